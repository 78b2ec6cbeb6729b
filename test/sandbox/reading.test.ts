import { describe, expect, it } from 'vitest'
import { at, call, connectAccount, openSandbox } from './client.ts'

describe('GET /2/users/me', () => {
  it('returns id, name and username, and the requested fields', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox, 'tomasz_k')
    const plain = await call(sandbox, access, 'GET', '/2/users/me')
    expect(plain.body).toEqual({ data: { id: '244991042', name: 'Tomasz Kowal', username: 'tomasz_k' } })
    const fields = 'profile_image_url,verified,verified_type,subscription_type'
    const { body } = await call(sandbox, access, 'GET', `/2/users/me?user.fields=${fields}`)
    expect(body.data).toMatchObject({ verified: true, verified_type: 'blue', subscription_type: 'Premium' })
    const picture = await fetch(String(at(body, 'data', 'profile_image_url')))
    expect(picture.headers.get('content-type')).toBe('image/svg+xml')
  })

  it('refuses unknown fields', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const response = await call(sandbox, access, 'GET', '/2/users/me?user.fields=name,shoe_size')
    expect([response.status, response.body.title]).toEqual([400, 'Invalid Request'])
  })

  it('returns the new username after a rename, with the same id', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const before = await call(sandbox, access, 'GET', '/2/users/me')
    sandbox.control.renameAccount('maraholt', 'mara_h')
    const after = await call(sandbox, access, 'GET', '/2/users/me')
    expect(after.body).toEqual({ data: { ...Object(before.body.data), username: 'mara_h' } })
  })

  it('is limited to 75 in 15 minutes', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    sandbox.control.freezeClock(true)
    for (let count = 1; count <= 75; count += 1) {
      expect((await call(sandbox, access, 'GET', '/2/users/me')).headers.get('x-rate-limit-remaining')).toBe(
        `${75 - count}`,
      )
    }
    expect((await call(sandbox, access, 'GET', '/2/users/me')).status).toBe(429)
  })
})

describe('a user’s tweets', () => {
  it('are listed newest first, in pages', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const ids = Array.from({ length: 12 }, (_, index) => sandbox.control.postAs('maraholt', `tweet ${index}`)).reverse()
    const path = '/2/users/1849302774156890113/tweets?max_results=5&tweet.fields=created_at'
    const seen: unknown[] = []
    let token: unknown = null
    for (const expected of [5, 5, 2]) {
      const { body } = await call(sandbox, access, 'GET', token === null ? path : `${path}&pagination_token=${token}`)
      const data = Array.isArray(body.data) ? body.data : []
      expect(body.meta).toMatchObject({ result_count: expected, newest_id: data[0].id, oldest_id: data.at(-1).id })
      expect(data[0].created_at).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
      seen.push(...data.map((tweet) => tweet.id))
      token = at(body, 'meta', 'next_token') ?? null
    }
    expect(token).toBeNull()
    expect(seen).toEqual(ids)
  })

  it('begin at start_time', async () => {
    const sandbox = await openSandbox()
    sandbox.control.postAs('maraholt', 'before')
    sandbox.control.advance(60)
    const startTime = new Date(sandbox.control.now()).toISOString()
    sandbox.control.advance(60)
    const after = sandbox.control.postAs('maraholt', 'after')
    const { access } = await connectAccount(sandbox)
    const { body } = await call(sandbox, access, 'GET', `/2/users/1849302774156890113/tweets?start_time=${startTime}`)
    expect(body).toMatchObject({ data: [{ id: after }], meta: { result_count: 1 } })
  })

  it('are a count without data when there are none', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const { body } = await call(sandbox, access, 'GET', '/2/users/1849302774156890113/tweets')
    expect(body).toEqual({ meta: { result_count: 0 } })
  })

  it('of a protected or unknown account are errors without data', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    for (const id of ['1390114982207721473', '12']) {
      const { status, body } = await call(sandbox, access, 'GET', `/2/users/${id}/tweets`)
      expect([status, Object.keys(body)]).toEqual([200, ['errors']])
    }
  })

  it.each([
    'max_results=4',
    'max_results=101',
    'max_results=ten',
    'start_time=yesterday',
    'pagination_token=1',
    'since_id=x',
    'tweet.fields=mood',
  ])('refuse %s', async (query) => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const response = await call(sandbox, access, 'GET', `/2/users/1849302774156890113/tweets?${query}`)
    expect([response.status, response.body.title]).toEqual([400, 'Invalid Request'])
  })
})

describe('the text of a tweet', () => {
  const FIELDS = 'tweet.fields=created_at,entities,note_tweet,referenced_tweets,in_reply_to_user_id'
  const timeline = `/2/users/1849302774156890113/tweets?${FIELDS}`
  const newest = async (sandbox: Awaited<ReturnType<typeof openSandbox>>, access: string) =>
    at((await call(sandbox, access, 'GET', timeline)).body, 'data', 0)

  it('begins with the handles that a reply addresses, each once, beside a reference to its target', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const id = sandbox.control.postAs('tomasz_k', '@maraholt and @harbourbakery: hello')
    sandbox.control.postAs('maraholt', 'see example.com', id)
    expect(await newest(sandbox, access)).toMatchObject({
      text: expect.stringMatching(/^@tomasz_k @harbourbakery see https:\/\/t\.co\/\w+$/),
      in_reply_to_user_id: '244991042',
      referenced_tweets: [{ type: 'replied_to', id }],
      entities: { urls: [{ start: 29, end: 52, expanded_url: 'http://example.com' }] },
    })
    sandbox.control.postAs('maraholt', '@TOMASZ_K hello', id)
    expect(await newest(sandbox, access)).toMatchObject({ text: '@harbourbakery @TOMASZ_K hello' })
  })

  it('is cut when it is long, with the whole text in the note', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const text = `${'long & '.repeat(60)}example.com`
    const id = sandbox.control.postAs('maraholt', text)
    const shown = await newest(sandbox, access)
    expect(shown).toMatchObject({
      text: expect.stringMatching(/^long &amp; .{200,}… https:\/\/t\.co\/\w+$/),
      entities: { urls: [{ expanded_url: `https://x.com/i/web/status/${id}` }] },
      note_tweet: {
        text: expect.stringMatching(/^(long &amp; ){60}https:\/\/t\.co\/\w+$/),
        entities: { urls: [{ expanded_url: 'http://example.com' }] },
      },
    })
    expect(String(at(shown, 'text'))).not.toMatch(/&[a-z]*…/)
    sandbox.control.setShowsNotes(false)
    expect(await newest(sandbox, access)).not.toHaveProperty('note_tweet')
  })

  it('loses invisible characters, but none of emoji', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    sandbox.control.postAs('maraholt', 'a\u200bb\u00adc\u0007d ❤️‍🔥')
    expect(await newest(sandbox, access)).toMatchObject({ text: 'abcd ❤️‍🔥' })
  })

  it('has a new id after an edit, beside the id of the version before', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const before = sandbox.control.postAs('maraholt', 'a tpyo')
    const id = sandbox.control.editTweet(before, 'a typo')
    expect(await newest(sandbox, access)).toMatchObject({ id, text: 'a typo', edit_history_tweet_ids: [before, id] })
  })

  it('uses the word post in the newer vocabulary', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    sandbox.control.setVocabulary('post')
    const id = sandbox.control.postAs('maraholt', 'A Tweet about a tweet')
    sandbox.control.postAs('maraholt', 'and on', id)
    const shown = await newest(sandbox, access)
    expect(shown).toMatchObject({
      referenced_posts: [{ type: 'replied_to', id }],
      edit_history_post_ids: [expect.any(String)],
    })
    expect(shown).not.toHaveProperty('referenced_tweets')
    const { body } = await call(sandbox, access, 'GET', `/2/tweets/${id}`)
    expect(at(body, 'data', 'text')).toBe('A Tweet about a tweet')
    const twice = await call(sandbox, access, 'POST', '/2/tweets', { text: 'A Tweet about a tweet' })
    expect([twice.status, twice.body.detail]).toEqual([
      403,
      'You are not allowed to create a Post with duplicate content.',
    ])
  })
})

describe('one tweet', () => {
  it('can be deleted by its author, once', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const id = sandbox.control.postAs('maraholt', 'a slip')
    const page = `${sandbox.url}/maraholt/status/${id}`
    expect(await (await fetch(page)).text()).toContain('a slip')
    const response = await call(sandbox, access, 'DELETE', `/2/tweets/${id}`)
    expect([response.status, response.body]).toEqual([200, { data: { deleted: true } }])
    expect(response.headers.get('x-rate-limit-limit')).toBe('50')
    expect(Object.keys((await call(sandbox, access, 'DELETE', `/2/tweets/${id}`)).body)).toEqual(['errors'])
    expect((await fetch(page)).status).toBe(404)
  })

  it('cannot be deleted by another account', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const id = sandbox.control.postAs('tomasz_k', 'mine')
    expect((await call(sandbox, access, 'DELETE', `/2/tweets/${id}`)).status).toBe(403)
    expect(sandbox.control.tweets('tomasz_k')).toHaveLength(1)
  })

  it('that is missing gives 200 with errors and no data', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const { status, body } = await call(sandbox, access, 'GET', '/2/tweets/123')
    expect([status, Object.keys(body)]).toEqual([200, ['errors']])
    expect(at(body, 'errors', 0, 'type')).toMatch(/\/resource-not-found$/)
    const id = sandbox.control.postAs('tomasz_k', 'there')
    const both = await call(sandbox, access, 'GET', `/2/tweets?ids=${id},123`)
    expect(both.body).toMatchObject({ data: [{ id, text: 'there' }], errors: [{ resource_id: '123' }] })
    expect((await call(sandbox, access, 'GET', '/2/tweets/abc')).status).toBe(400)
  })
})
