// The example bot as its own process, between a GitHub that signs its deliveries and a gateway that
// posts.
import { createHmac, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { defaultRateLimits } from '../../../src/config/rate-limits.ts'
import { rateLimits } from '../../../src/db/tables.ts'
import { weightedLength } from '../../../src/tweets/text/length.ts'
import { type ConnectedAccount, connectAccount, endFaults } from '../../support/connected-account.ts'
import { parseRelativeLinks } from '../../support/documents/markdown.ts'
import { findFreePort } from '../../support/free-port.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { type Program, startProgram } from '../../support/program.ts'

const FILE = 'test/examples/push-to-tweet.ts'
const SECRET = 'a secret of the webhook'

let world: World
let account: ConnectedAccount
let token: string
let bot: Program
let botUrl: string
beforeAll(async () => {
  world = await startWorld()
  account = await connectAccount(world)
  token = await account.makeToken(['tweets:write'])
  const port = await findFreePort()
  botUrl = `http://127.0.0.1:${port}/`
  bot = startProgram(FILE, { PORT: String(port), WEBHOOK_SECRET: SECRET, GATEWAY_TOKEN: token, GATEWAY_URL: world.url })
  await bot.printed('Listening')
})
afterEach(() => endFaults(world))
afterAll(async () => {
  await bot.stop()
  await world.close()
})

/** A push event of GitHub: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push */
function push(messages: string[], more: Record<string, unknown> = {}) {
  return {
    ref: 'refs/heads/main',
    before: randomBytes(20).toString('hex'),
    after: randomBytes(20).toString('hex'),
    created: false,
    deleted: false,
    forced: false,
    repository: { id: 186_853_002, name: 'parser', full_name: 'mara-holt/parser' },
    pusher: { name: 'mara-holt' },
    commits: messages.map((message) => ({ id: randomBytes(20).toString('hex'), message, distinct: true })),
    ...more,
  }
}

const sign = (body: string, secret = SECRET) => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`

async function deliver(payload: unknown, headers: Record<string, string | null> = {}, url = botUrl) {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const all = Object.entries({
    'content-type': 'application/json',
    'x-github-event': 'push',
    'x-hub-signature-256': sign(body),
    ...headers,
  }).filter((header): header is [string, string] => header[1] !== null)
  const response = await fetch(url, { method: 'POST', headers: all, body })
  return { status: response.status, text: (await response.text()).trim() }
}

const tweets = () => world.sandbox.control.tweets(account.username).map(({ text }) => text)
const postCalls = () => world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })

/** Returns the tweets that a delivery adds to the timeline. */
async function tweeted(work: () => Promise<unknown>): Promise<string[]> {
  const before = new Set(tweets())
  await work()
  return tweets().filter((text) => !before.has(text))
}

test('is linked from the manual of the API, and has less than 100 lines', () => {
  const text = readFileSync(path.join(import.meta.dirname, '../../..', FILE), 'utf8')
  expect(
    parseRelativeLinks(readFileSync(path.join(import.meta.dirname, '../../../schema/README.md'), 'utf8')),
  ).toContain(`../${FILE}`)
  expect(text.trimEnd().split('\n').length).toBeLessThan(100)
})

describe('a push', () => {
  test('is one tweet, however often GitHub delivers it', async () => {
    const payload = push(['Read numbers with a sign'])
    const first = await deliver(payload)
    expect(first).toEqual({ status: 200, text: expect.stringContaining(`/${account.username}/status/`) })
    expect(tweets().at(0)).toBe(`parser ${payload.after.slice(0, 7)}: Read numbers with a sign`)
    const calls = postCalls()
    expect(await Promise.all([deliver(payload), deliver(payload), deliver(payload)])).toEqual([first, first, first])
    expect(postCalls()).toBe(calls)
  })

  test('delivered many times at once is one tweet', async () => {
    const payload = push(['At once'])
    const responses: { status: number }[] = []
    const added = await tweeted(async () => {
      responses.push(...(await Promise.all(Array.from({ length: 10 }, () => deliver(payload)))))
    })
    expect(responses.map(({ status }) => status)).toEqual(Array(10).fill(200))
    expect(added).toHaveLength(1)
  })

  test('of several commits names them all by their first lines, and mentions nobody', async () => {
    const payload = push(['Add a lexer\n\nWith @tomasz-k, over a weekend.', '  Thanks to @tomasz-k ', 'Fix\r\nmore'])
    expect(await tweeted(() => deliver(payload))).toEqual([
      `parser ${payload.after.slice(0, 7)}: Add a lexer · Thanks to tomasz-k · Fix`,
    ])
  })

  test('with the same text as another is its own tweet', async () => {
    expect(await tweeted(() => deliver(push(['wip'])))).toHaveLength(1)
    expect(await tweeted(() => deliver(push(['wip'])))).toHaveLength(1)
  })

  test.each<[string, string[]]>([
    ['a long subject', ['x'.repeat(2_000)]],
    ['many words', ['never too many words '.repeat(100)]],
    ['many commits', Array.from({ length: 2_000 }, (_, number) => `Commit number ${number}`)],
    ['Japanese', ['構文解析器を書き直した。'.repeat(40)]],
    ['emoji', ['👩‍👩‍👧‍👦🏳️‍🌈'.repeat(60)]],
    ['names that X takes for links', ['a.io b.co c.md d.sh e.rs '.repeat(30)]],
    ['names that X takes for links, and little else', ['a.io '.repeat(14)]],
    ['combining characters', ['e\u0301'.repeat(400)]],
    ['half of an emoji', ['\ud83d'.repeat(3) + 'x'.repeat(400)]],
  ])('of %s is shortened to X’s limit', async (_what, messages) => {
    const payload = push(messages)
    const [text, ...more] = await tweeted(() => deliver(payload))
    expect(more).toEqual([])
    expect(text?.startsWith(`parser ${payload.after.slice(0, 7)}: `)).toBe(true)
    expect(text?.endsWith('…')).toBe(true)
    expect(weightedLength(text ?? '')).toBeLessThanOrEqual(280)
    expect(text?.length).toBeGreaterThan(50)
  })

  test.each<[string, Record<string, unknown>]>([
    ['to another branch', { ref: 'refs/heads/feature/main' }],
    ['of a tag', { ref: 'refs/tags/main' }],
    ['that deletes the branch', { deleted: true, after: '0'.repeat(40), commits: [] }],
    ['without commits', { commits: [] }],
  ])('%s is not tweeted', async (_what, more) => {
    const calls = postCalls()
    expect(await deliver(push(['Nothing to see'], more))).toEqual({ status: 200, text: 'Nothing to tweet.' })
    expect(postCalls()).toBe(calls)
  })

  test('is tweeted, and GitHub’s ping is not', async () => {
    const calls = postCalls()
    expect((await deliver({ zen: 'Design for failure.' }, { 'x-github-event': 'ping' })).status).toBe(200)
    expect((await deliver(push(['x']), { 'x-github-event': 'deployment' })).status).toBe(200)
    expect(postCalls()).toBe(calls)
  })
})

describe('a delivery that GitHub did not sign', () => {
  const body = JSON.stringify(push(['Signed']))
  test.each<[string, string | null]>([
    ['nothing', null],
    ['an empty signature', ''],
    ['another secret', sign(body, 'another')],
    ['no secret', createHmac('sha256', 'x').update(body).digest('hex')],
    ['another body', sign(`${body} `)],
    ['SHA-1', `sha1=${createHmac('sha1', SECRET).update(body).digest('hex')}`],
    ['its hash in capitals', sign(body).toUpperCase()],
    ['half of it', sign(body).slice(0, 40)],
    ['more than it', `${sign(body)}00`],
  ])('is refused and not posted: with %s', async (_what, signature) => {
    const calls = postCalls()
    expect(await deliver(body, { 'x-hub-signature-256': signature })).toEqual({
      status: 401,
      text: 'The signature is wrong.',
    })
    expect(postCalls()).toBe(calls)
  })

  test.each(['WEBHOOK_SECRET', 'GATEWAY_TOKEN'])('does not start without %s', async (name) => {
    const environment = { PORT: '0', WEBHOOK_SECRET: SECRET, GATEWAY_TOKEN: token, [name]: '' }
    const refused = startProgram(FILE, environment)
    expect(await refused.ended).toBe(1)
    expect(refused.output()).toContain(`Set ${name}: `)
    expect(refused.output()).not.toContain('Listening')
  })
})

describe('a tweet that cannot be posted now is shown as failed at GitHub, and', () => {
  test('is posted when delivered again, after X was down', async () => {
    const payload = push(['After an outage of X'])
    world.sandbox.control.inject({ kind: 'status', status: 503, match: { path: '/2/tweets' } })
    expect((await deliver(payload)).status).toBe(503)
    endFaults(world)
    await vi.waitFor(async () => expect((await deliver(payload)).status).toBe(200), { timeout: 60_000, interval: 500 })
    expect(tweets().filter((text) => text.endsWith('After an outage of X'))).toHaveLength(1)
  })

  test('is posted once, after X posted it without a response', async () => {
    const payload = push(['In doubt'])
    world.sandbox.control.inject({ kind: 'dropAfter', match: { path: '/2/tweets' } })
    expect((await deliver(payload)).status).toBe(503)
    endFaults(world)
    await vi.waitFor(async () => expect((await deliver(payload)).status).toBe(200), { timeout: 60_000, interval: 500 })
    expect(tweets().filter((text) => text.endsWith('In doubt'))).toHaveLength(1)
  })

  test('is not posted from a form: the response says what to set at GitHub', async () => {
    const form = `payload=${encodeURIComponent(JSON.stringify(push(['A form'])))}`
    const response = await deliver(form, { 'content-type': 'application/x-www-form-urlencoded' })
    expect(response).toEqual({ status: 415, text: 'Send application/json: a setting of the webhook.' })
  })

  test('is posted once the account is connected again', async () => {
    const payload = push(['After unlinking'])
    await account.disconnect()
    expect(await deliver(payload)).toEqual({ status: 422, text: expect.stringContaining('no active X account') })
    await account.person.connect(account.username)
    expect((await deliver(payload)).status).toBe(200)
  })

  test('is posted by a bot with a valid token', async () => {
    const port = await findFreePort()
    const environment = { WEBHOOK_SECRET: SECRET, GATEWAY_TOKEN: 'xcg_junk', GATEWAY_URL: world.url }
    const misled = startProgram(FILE, { PORT: String(port), ...environment })
    await misled.printed('Listening')
    const payload = push(['With another token'])
    const response = await deliver(payload, {}, `http://127.0.0.1:${port}/`)
    expect(response).toEqual({ status: 503, text: expect.stringContaining('API token is not valid') })
    await misled.stop()
    expect((await deliver(payload)).status).toBe(200)
  })

  test('is posted when the gateway’s limit allows it', async () => {
    await world.restart({ rateLimits: { ...defaultRateLimits, post: { limit: 1, windowSeconds: 3600 } } })
    await world.db().delete(rateLimits)
    expect((await deliver(push(['Within the limit']))).status).toBe(200)
    const payload = push(['Beyond the limit'])
    expect(await deliver(payload)).toEqual({ status: 503, text: expect.stringContaining('Try again in') })
    world.advance(3600)
    expect((await deliver(payload)).status).toBe(200)
  })
})
