import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { Client } from '@xdevplatform/xdk'
import { describe, expect, it } from 'vitest'
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { expectSafePage } from '../support/content-policy.ts'
import { makeGif, makeJpeg, makeMp4, makePng } from '../support/media-files.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { ALL_SCOPES, at, call, connectAccount, OPTIONS, openSandbox, type ReceivedResponse, read } from './client.ts'

const MEDIA_SCOPES = `${ALL_SCOPES} media.write`
const INVALID = 'Your media IDs are invalid.'

const connect = async (sandbox: Sandbox, account = 'maraholt') =>
  (await connectAccount(sandbox, account, MEDIA_SCOPES)).access

async function initialize(sandbox: Sandbox, access: string, category: string, bytes: number): Promise<string> {
  const body = { media_category: category, total_bytes: bytes }
  return String(at((await call(sandbox, access, 'POST', '/2/media/upload/initialize', body)).body, 'data', 'id'))
}

async function append(sandbox: Sandbox, access: string, id: string, index: number, bytes: Buffer) {
  const form = new FormData()
  form.set('segment_index', String(index))
  form.set('media', new Blob([new Uint8Array(bytes)]), 'segment')
  const init = { method: 'POST', headers: { authorization: `Bearer ${access}` }, body: form }
  return read(await fetch(`${sandbox.url}/2/media/upload/${id}/append`, init))
}

const finalize = (sandbox: Sandbox, access: string, id: string) =>
  call(sandbox, access, 'POST', `/2/media/upload/${id}/finalize`)

const status = (sandbox: Sandbox, access: string, id: string) =>
  call(sandbox, access, 'GET', `/2/media/upload?command=STATUS&media_id=${id}`)

/** Uploads a file in segments of this size. */
async function upload(sandbox: Sandbox, access: string, category: string, file: Buffer, segmentBytes = 1000) {
  const id = await initialize(sandbox, access, category, file.length)
  for (let index = 0; index * segmentBytes < file.length; index += 1) {
    await append(sandbox, access, id, index, file.subarray(index * segmentBytes, (index + 1) * segmentBytes))
  }
  return { id, finalized: await finalize(sandbox, access, id) }
}

/** Uploads a file, and waits for X's processing. */
async function uploadReady(sandbox: Sandbox, access: string, category: string, file: Buffer): Promise<string> {
  const { id } = await upload(sandbox, access, category, file)
  sandbox.control.advance(10)
  return id
}

const postMedia = (sandbox: Sandbox, access: string, ids: string[], more: Record<string, unknown> = {}) =>
  call(sandbox, access, 'POST', '/2/tweets', { media: { media_ids: ids }, ...more })

const messageOf = (response: ReceivedResponse) => [response.status, at(response.body, 'errors', 0, 'message')]

describe('an upload', () => {
  it('joins its segments in their order, whatever the order in which they were sent', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const file = makePng({ padding: 2500 })
    const id = await initialize(sandbox, access, 'tweet_image', file.length)
    const segment = (index: number) => file.subarray(index * 1000, (index + 1) * 1000)
    await append(sandbox, access, id, 2, segment(2))
    await append(sandbox, access, id, 0, Buffer.from('a first try that was cut'))
    await append(sandbox, access, id, 1, segment(1))
    const again = await append(sandbox, access, id, 0, segment(0))
    expect([again.status, at(again.body, 'data', 'expires_at')]).toEqual([200, expect.any(Number)])
    const { status: code, body } = await finalize(sandbox, access, id)
    expect(code).toBe(200)
    expect(body.data).toMatchObject({
      id,
      media_key: `3_${id}`,
      size: file.length,
      image: { image_type: 'image/png', w: 4 },
    })
    expect(body.data).not.toHaveProperty('processing_info')
    expect(sandbox.control.media()).toMatchObject([
      { id, username: 'maraholt', ready: true, sha256: createHash('sha256').update(file).digest('hex') },
    ])
  })

  it('is refused when the segments do not add up: one missing, one short, one too many, none', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const file = makePng({ padding: 2500 })
    const cases: [number, Buffer][][] = [
      [[1, file.subarray(1000)]],
      [[0, file.subarray(0, 1000)]],
      [
        [0, file],
        [1, Buffer.from('more')],
      ],
      [],
    ]
    for (const segments of cases) {
      const id = await initialize(sandbox, access, 'tweet_image', file.length)
      for (const [index, bytes] of segments) await append(sandbox, access, id, index, bytes)
      const refused = await finalize(sandbox, access, id)
      expect(messageOf(refused)).toEqual([400, 'Segments do not add up to provided total file size.'])
    }
  })

  it('has a limit for each segment, above which X answers with an empty 413', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const id = await initialize(sandbox, access, 'tweet_video', 20_000_000)
    const tooLarge = await append(sandbox, access, id, 0, Buffer.alloc(8 * 1024 * 1024 + 1))
    expect([tooLarge.status, tooLarge.text]).toEqual([413, ''])
    expect((await append(sandbox, access, id, 0, Buffer.alloc(8 * 1024 * 1024))).status).toBe(200)
    sandbox.control.setMaxSegmentBytes(1_000_000)
    expect((await append(sandbox, access, id, 1, Buffer.alloc(1_000_001))).status).toBe(413)
    for (const index of [-1, 1000, 1.5]) {
      expect((await append(sandbox, access, id, index, Buffer.of(1))).status).toBe(400)
    }
  })

  it('has a limit for each category, and takes no unknown field', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const start = (body: unknown) => call(sandbox, access, 'POST', '/2/media/upload/initialize', body)
    const tooLarge = await start({ media_category: 'tweet_gif', total_bytes: 15 * 1024 * 1024 + 1 })
    expect(messageOf(tooLarge)).toEqual([400, 'File size exceeds 15728640 bytes.'])
    for (const body of [
      { media_category: 'picture' },
      { total_bytes: '5' },
      { command: 'INIT' },
      { media_type: 'image/heic' },
    ]) {
      expect((await start(body)).status, JSON.stringify(body)).toBe(400)
    }
  })

  it('belongs to its account, for 24 hours', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const other = await connect(sandbox, 'tomasz_k')
    const id = await uploadReady(sandbox, access, 'tweet_image', makePng())
    const started = await initialize(sandbox, access, 'tweet_image', 4)
    expect(messageOf(await postMedia(sandbox, other, [id]))).toEqual([400, INVALID])
    expect((await append(sandbox, other, started, 0, Buffer.of(1))).status).toBe(400)
    sandbox.control.advance(24 * 60 * 60)
    const renewed = await connect(sandbox)
    expect(messageOf(await postMedia(sandbox, renewed, [id]))).toEqual([400, INVALID])
    expect((await append(sandbox, renewed, started, 0, Buffer.of(1))).status).toBe(400)
  })

  it.each([
    ['unknown', Buffer.from('<html>no picture</html>')],
    ['a PNG that is cut off', makePng().subarray(0, 12)],
    ['a GIF that is cut off', makeGif().subarray(0, 7)],
    ['a text that begins like a bitmap', Buffer.from('BM is no picture')],
  ])('of content that is %s is refused in plain text', async (_, file) => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const { finalized } = await upload(sandbox, access, 'tweet_image', file)
    expect([finalized.status, finalized.text]).toEqual([400, 'media type unrecognized'])
    expect(sandbox.control.media()).toMatchObject([{ ready: true }])
  })

  it('needs the scope media.write', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const refused = await call(sandbox, access, 'POST', '/2/media/upload/initialize', { total_bytes: 5 })
    expect([refused.status, refused.body]).toEqual([
      403,
      { title: 'Forbidden', detail: 'Forbidden', type: 'about:blank', status: 403 },
    ])
  })

  it('cannot be finalized again, unless the switch says so', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const { id } = await upload(sandbox, access, 'tweet_image', makePng())
    expect((await finalize(sandbox, access, id)).status).toBe(400)
    sandbox.control.setFinalizesAgain(true)
    expect((await finalize(sandbox, access, id)).body.data).toMatchObject({ id })
  })

  it('in one request is for images only', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const send = async (category: string, file: Buffer, more: Record<string, string> = {}) => {
      const form = new FormData()
      form.set('media_category', category)
      for (const [name, value] of Object.entries(more)) form.set(name, value)
      form.set('media', new Blob([new Uint8Array(file)]), 'file')
      const init = { method: 'POST', headers: { authorization: `Bearer ${access}` }, body: form }
      return read(await fetch(`${sandbox.url}/2/media/upload`, init))
    }
    const sent = await send('tweet_image', makeJpeg())
    expect(sent.body.data).toMatchObject({ image: { image_type: 'image/jpeg', w: 8, h: 8 } })
    expect((await postMedia(sandbox, access, [String(at(sent.body, 'data', 'id'))])).status).toBe(201)
    expect((await send('tweet_video', makeMp4())).status).toBe(400)
    expect((await send('tweet_image', makeJpeg(), { command: 'INIT' })).status).toBe(400)
    expect((await send('tweet_image', makeJpeg({ padding: 5 * 1024 * 1024 }))).status).toBe(400)
  })

  it('survives a restart of the sandbox, with its file', async () => {
    await using directory = await makeTemporaryDirectory('sandbox-media')
    const stateFile = join(directory.path, 'state.json')
    const first = await startSandbox({ ...OPTIONS, stateFile })
    const access = await connect(first)
    const id = await uploadReady(first, access, 'tweet_image', makePng())
    await first.close()
    const second = await openSandbox({ stateFile })
    expect((await postMedia(second, access, [id])).status).toBe(201)
    const shown = await fetch(`${second.url}/assets/media/${id}`)
    expect(Buffer.from(await shown.arrayBuffer())).toEqual(makePng())
  })
})

describe('processing', () => {
  it('of a video goes from pending to succeeded by the sandbox’s clock', async () => {
    const sandbox = await openSandbox()
    sandbox.control.freezeClock(true)
    sandbox.control.setMediaProcessing({ seconds: 10 })
    const access = await connect(sandbox)
    const { id, finalized } = await upload(sandbox, access, 'tweet_video', makeMp4({ seconds: 3 }))
    expect(at(finalized.body, 'data', 'processing_info')).toEqual({ state: 'pending', check_after_secs: 1 })
    expect(messageOf(await postMedia(sandbox, access, [id]))).toEqual([400, INVALID])
    sandbox.control.advance(5)
    const half = await status(sandbox, access, id)
    expect(at(half.body, 'data', 'processing_info')).toMatchObject({ state: 'in_progress', progress_percent: 50 })
    sandbox.control.advance(5)
    const done = await status(sandbox, access, id)
    expect(done.body.data).toMatchObject({
      processing_info: { state: 'succeeded' },
      video: { video_type: 'video/mp4' },
    })
    expect((await postMedia(sandbox, access, [id])).status).toBe(201)
  })

  it('fails with X’s reason', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const failures = [
      ['tweet_gif', makeGif({ width: 1281 }), 'Dimensions of the GIF are above 1280x1080.'],
      ['tweet_gif', makeGif({ frames: 351 }), 'The GIF has more than 350 frames.'],
      ['tweet_video', makeMp4({ seconds: 0.25 }), 'Video duration is below 0.5 seconds.'],
    ] as const
    for (const [category, file, message] of failures) {
      const id = await uploadReady(sandbox, access, category, file)
      const info = at((await status(sandbox, access, id)).body, 'data', 'processing_info')
      expect(info).toEqual({ state: 'failed', error: { code: 1, name: 'InvalidMedia', message } })
      expect(messageOf(await postMedia(sandbox, access, [id]))).toEqual([400, INVALID])
    }
    sandbox.control.setMediaProcessing({ failure: 'InvalidContent' })
    const id = await uploadReady(sandbox, access, 'tweet_video', makeMp4())
    expect(at((await status(sandbox, access, id)).body, 'data', 'processing_info', 'state')).toBe('failed')
  })

  it('is not asked about for an image', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const { id } = await upload(sandbox, access, 'tweet_image', makePng())
    expect((await status(sandbox, access, id)).status).toBe(400)
    const wrong = await call(sandbox, access, 'GET', `/2/media/upload?command=FINALIZE&media_id=${id}`)
    expect(wrong.status).toBe(400)
  })
})

describe('a post with media', () => {
  it('has 1 to 4 images, or one GIF, or one video', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const images: string[] = []
    for (let count = 0; count < 5; count += 1) {
      images.push(await uploadReady(sandbox, access, 'tweet_image', makePng({ width: 4 + count })))
    }
    const [gif, video] = [
      await uploadReady(sandbox, access, 'tweet_gif', makeGif()),
      await uploadReady(sandbox, access, 'tweet_video', makeMp4()),
    ]
    const renewed = await connect(sandbox)
    for (const ids of [images.slice(0, 4), [gif], [video]]) {
      expect((await postMedia(sandbox, renewed, ids, { text: `with ${ids.length} of them` })).status).toBe(201)
    }
    const [image = ''] = images
    for (const ids of [images, [image, gif], [image, video], [gif, video], [image, image], []]) {
      expect((await postMedia(sandbox, renewed, ids, { text: 'wrong' })).status, String(ids.length)).toBe(400)
    }
  })

  it('is refused when the category is not that of the content', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    for (const [category, file] of [
      ['tweet_image', makeGif()],
      ['tweet_gif', makePng()],
      ['tweet_video', makePng()],
      ['tweet_image', makeMp4()],
    ] as const) {
      const id = await uploadReady(sandbox, access, category, file)
      expect(messageOf(await postMedia(sandbox, access, [id])), category).toEqual([400, INVALID])
    }
  })

  it('is refused for a video of more than 20 minutes, except to Premium', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const id = await uploadReady(sandbox, access, 'tweet_video', makeMp4({ seconds: 20 * 60 + 1 }))
    const refused = await postMedia(sandbox, access, [id])
    const detail = 'This user is not allowed to post a video longer than 20 minutes.'
    expect([refused.status, refused.body.detail]).toEqual([403, detail])
    sandbox.control.setAccount('maraholt', { subscriptionType: 'Premium' })
    expect((await postMedia(sandbox, access, [id])).status).toBe(201)
  })

  it('needs no text, ends with a link to the media, and names them in the timeline', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const id = await uploadReady(sandbox, access, 'tweet_image', makePng())
    const described = await call(sandbox, access, 'POST', '/2/media/metadata', {
      id,
      metadata: { alt_text: { text: 'A grey square' } },
    })
    expect(described.body).toEqual({ data: { id, associated_metadata: { alt_text: { text: 'A grey square' } } } })
    const posted = await postMedia(sandbox, access, [id], { text: 'look' })
    expect(at(posted.body, 'data', 'text')).toMatch(/^look https:\/\/t\.co\/\w+$/)
    const silent = await postMedia(sandbox, access, [id])
    expect(at(silent.body, 'data', 'text')).toMatch(/^https:\/\/t\.co\/\w+$/)
    const fields = 'attachments,media_metadata,entities'
    const path = `/2/users/1849302774156890113/tweets?max_results=5&tweet.fields=${fields}`
    const timeline = await call(sandbox, access, 'GET', path)
    expect(at(timeline.body, 'data', 1)).toMatchObject({
      attachments: { media_keys: [`3_${id}`] },
      media_metadata: [{ media_key: `3_${id}`, alt_text: 'A grey square' }],
      entities: { urls: [{ expanded_url: expect.stringMatching(/\/photo\/1$/) }] },
    })
  })

  it('takes alt text of up to 1,000 characters, in its wrapper', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const { id } = await upload(sandbox, access, 'tweet_image', makePng())
    const describeIt = (body: unknown) => call(sandbox, access, 'POST', '/2/media/metadata', body)
    expect((await describeIt({ id, metadata: { alt_text: { text: 'a'.repeat(1001) } } })).status).toBe(400)
    expect((await describeIt({ id, alt_text: { text: 'a' } })).status).toBe(500)
    expect((await describeIt({ id: '12', metadata: {} })).status).toBe(400)
  })

  it('is shown on the pages, with alt text, and never as a page of its own', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const image = await uploadReady(sandbox, access, 'tweet_image', makePng())
    await call(sandbox, access, 'POST', '/2/media/metadata', { id: image, metadata: { alt_text: { text: '"<b>' } } })
    const video = await uploadReady(sandbox, access, 'tweet_video', makeMp4())
    await postMedia(sandbox, access, [image], { text: 'a picture' })
    await postMedia(sandbox, access, [video])
    const response = await fetch(`${sandbox.url}/maraholt`)
    const page = await response.text()
    expectSafePage(response.headers.get('content-security-policy'), page)
    expect(page).toContain(`<img src="/assets/media/${image}" alt="&quot;&lt;b&gt;">`)
    expect(page).toContain(`src="/assets/media/${video}"`)
    expect(page).not.toContain('t.co')
    const file = await fetch(`${sandbox.url}/assets/media/${image}`)
    expect(file.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
    expect(file.headers.get('x-content-type-options')).toBe('nosniff')
  })
})

describe('the record of requests', () => {
  it('has the size and digest of a segment instead of its bytes', async () => {
    const sandbox = await openSandbox()
    const access = await connect(sandbox)
    const file = makePng({ padding: 500 })
    const id = await initialize(sandbox, access, 'tweet_image', file.length)
    await append(sandbox, access, id, 0, file)
    await call(sandbox, access, 'POST', `/2/media/upload/${id}/append`, {
      media: file.toString('base64'),
      segment_index: 0,
    })
    const media = { bytes: file.length, sha256: createHash('sha256').update(file).digest('hex') }
    const received = sandbox.control.received({ path: '/2/media/upload/\\d+/append' })
    expect(received.map(({ body }) => body)).toEqual([
      { segment_index: '0', media },
      { segment_index: 0, media },
    ])
  })
})

describe('X’s own SDK', () => {
  it('uploads an image and a video, and posts them', async () => {
    const sandbox = await openSandbox()
    sandbox.control.setMediaProcessing({ seconds: 0 })
    const access = await connect(sandbox)
    const client = new Client({ accessToken: access, baseUrl: sandbox.url })
    const image = makePng({ padding: 3000 })
    const sent = await client.media.upload({ media: image.toString('base64'), mediaCategory: 'tweet_image' })
    const video = makeMp4({ mediaBytes: 4000 })
    const started = await client.media.initializeUpload({
      mediaType: 'video/mp4',
      mediaCategory: 'tweet_video',
      totalBytes: video.length,
    })
    const id = String(started.data?.id)
    for (const segmentIndex of [0, 1, 2]) {
      const media = video.subarray(segmentIndex * 2000, (segmentIndex + 1) * 2000).toString('base64')
      await client.media.appendUpload(id, { media, segmentIndex })
    }
    await client.media.finalizeUpload(id)
    expect((await client.media.getUploadStatus(id)).data).toMatchObject({ id, size: video.length })
    await client.media.createMetadata({ id: String(sent.data?.id), metadata: { altText: { text: 'grey' } } })
    await client.posts.create({ text: 'an image', media: { mediaIds: [String(sent.data?.id)] } })
    await client.posts.create({ media: { mediaIds: [id] } })
    expect(sandbox.control.tweets('maraholt')).toMatchObject([
      { sentText: 'an image', mediaIds: [sent.data?.id] },
      { sentText: '', mediaIds: [id] },
    ])
    const digests = sandbox.control.media().map(({ sha256 }) => sha256)
    expect(digests).toEqual([image, video].map((file) => createHash('sha256').update(file).digest('hex')))
  })
})
