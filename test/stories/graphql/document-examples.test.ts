// The examples in the documents, sent to a gateway with the sandbox in the order of the text.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { OPERATOR_ID } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { parseBlocks, readDocument, readDocumentBlock } from '../../support/documents/markdown.ts'
import { startWorld, type World } from '../../support/harness.ts'

const ORIGIN = 'http://127.0.0.1:3000'

let world: World
let mara: Browser
let program: Browser
beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  mara = await world.connected('maraholt')
  program = world.browser()
})
afterAll(() => world.close())

/** Sends the request of a curl command in a document, with this token. */
async function sendCurl(command: string, token: string) {
  const url = command.match(/curl (?:-N )?(\S+)/)?.[1] ?? ''
  expect(url.startsWith(ORIGIN)).toBe(true)
  const headers = [...command.matchAll(/-H (['"])(.*?)\1/g)].map(([, , header = '']) => {
    const [name = '', value = ''] = header.replace('$TOKEN', token).split(': ')
    return [name, value] as [string, string]
  })
  const body = command.match(/-d '(.*)'/)?.[1] ?? ''
  return program.request(url.replace(ORIGIN, ''), { method: 'POST', headers, body })
}

test('those of the README connect an account, post one tweet, and create a token with which a program reads', async () => {
  const tomasz = await world.signedIn('tomasz-k')
  const blocks = parseBlocks(readDocument('README.md')).filter(({ language }) => language === 'graphql')
  const [connect = '', post = '', create = '', ...more] = blocks.map(({ text }) => text)
  expect(more).toEqual([])

  const { startXConnect } = await tomasz.query<{ startXConnect: { authorizationUrl: string } }>(connect)
  const { outcome } = await tomasz.finish(await tomasz.consent(startXConnect.authorizationUrl, 'tomasz_k'))
  expect(outcome).toBe('connected')

  const posted = await tomasz.query(post)
  const [tweet, ...others] = world.sandbox.control.tweets('tomasz_k')
  const url = `${world.sandbox.url}/tomasz_k/status/${tweet?.id}`
  expect(posted).toEqual({ postTweet: { tweet: { status: 'POSTED', url }, userErrors: [] } })
  expect(await tomasz.query(post)).toEqual(posted)
  expect(world.sandbox.control.tweets('tomasz_k')).toHaveLength(others.length + 1)

  const { createApiToken } = await tomasz.query<{ createApiToken: { secret: string; userErrors: unknown[] } }>(create)
  expect(createApiToken.userErrors).toEqual([])
  const read = await sendCurl(readDocumentBlock('README.md', 'sh', 'connectedAccounts'), createApiToken.secret)
  expect(await read.json()).toEqual({
    data: { viewer: { login: 'tomasz-k' }, connectedAccounts: [{ username: 'tomasz_k', status: 'ACTIVE' }] },
  })
})

test.each(['README.md', 'docs/integrators.md'])(
  'that of an integrator in %s finds a user who shows an account',
  async (document) => {
    await mara.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
    const options = { name: 'status page', scopes: ['accounts:read' as const], expiresInDays: null }
    const { secret } = await createApiToken({ db: world.db(), clock: world.clock }, { userId: OPERATOR_ID }, options)
    const found = await sendCurl(readDocumentBlock(document, 'sh', 'linkedUser'), secret)
    expect(await found.json()).toMatchObject({
      data: { linkedUser: { login: 'mara-holt', accounts: [{ username: 'maraholt', status: 'ACTIVE' }] } },
    })
  },
)

test('that of the manual streams an event as shown there', async () => {
  const { createApiToken } = await mara.api('create-api-token', {
    input: { name: 'follower', scopes: ['events:read'] },
  })
  const stream = await sendCurl(
    readDocumentBlock('schema/README.md', 'sh', 'subscription'),
    createApiToken.secret ?? '',
  )
  expect(stream.headers.get('content-type')).toContain('text/event-stream')
  await mara.api('post-tweet', { input: { text: 'To be followed' } })
  const [, shown = ''] = readDocument('schema/README.md').match(/^event: next\ndata: (.*)$/m) ?? []
  expect(await readEvent(stream, 'TWEET_POSTED')).toEqual({
    data: {
      events: {
        cursor: expect.any(String),
        node: {
          ...JSON.parse(shown).data.events.node,
          accountId: expect.any(String),
          tweetId: expect.any(String),
        },
      },
    },
  })
})

test('that of the manual creates a webhook endpoint', async () => {
  const block = readDocumentBlock('schema/README.md', 'graphql', 'createWebhookEndpoint')
  const created = await mara.query<{ createWebhookEndpoint: { secret: string; userErrors: unknown[] } }>(
    block.replace('https://hooks.example.com/xconnect', 'http://127.0.0.1:4000/'),
  )
  expect(created.createWebhookEndpoint).toMatchObject({ secret: expect.stringMatching(/^whsec_/), userErrors: [] })
})

/** Returns the first event of a stream that contains a word, and closes the stream. */
async function readEvent(stream: Awaited<ReturnType<typeof sendCurl>>, word: string): Promise<unknown> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of stream.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    const line = text.split('\n').find((line) => line.startsWith('data: ') && line.includes(word))
    // The line is complete once another follows.
    if (line !== undefined && !text.endsWith(line)) return JSON.parse(line.slice('data: '.length))
  }
  throw new Error(`The stream ended without ${word}: ${text}`)
}
