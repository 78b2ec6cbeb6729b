// What is done for a request whose rate limit is used up.
import { getIntrospectionQuery, Lexer } from 'graphql'
import { Agent, fetch } from 'undici'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { users } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { isPerson } from '../../support/connected-account.ts'
import { generousLimits } from '../../support/generous-limits.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openListeningInstance } from '../../support/instance.ts'
import { HOUR_SECONDS } from '../../support/rate-limited.ts'
import { serveInstance } from '../../support/served-instance.ts'

const LIMIT = 30
const FLOOD = 60

let world: World
let instance: Instance
let served: Awaited<ReturnType<typeof serveInstance>>
// That of the process is the gateway's, with its own bounds of responses.
const agent = new Agent()
beforeAll(async () => {
  const limits = ['address', 'user', 'token'].map((name) => `${name}=${LIMIT}/${HOUR_SECONDS}`)
  world = await startWorld({ RATE_LIMITS: `${generousLimits},${limits.join()}`, TRUSTED_PROXIES: '127.0.0.1' })
  instance = await openListeningInstance(world)
  served = await serveInstance(instance)
})
afterAll(async () => {
  await agent.destroy()
  await served.close()
  await instance.close()
  await world.close()
})

type Headers = Record<string, string>

let callers = 0
const logins = ['mara-holt', 'tomasz-k', 'yuki-ito']
/** Callers whose limits no other test has used. */
const makers = {
  nobody: () => ({ 'x-forwarded-for': `203.0.113.${callers}` }),
  'a session': async () => cookieOf(await world.signedIn(logins.pop())),
  'an API token': async () => {
    await world.signedIn()
    const [user] = await world.db().select().from(users).where(isPerson)
    const input = { name: 'a program', scopes: ['tweets:read' as const], expiresInDays: 1 }
    const deps = { db: world.db(), clock: world.clock }
    return bearer((await createApiToken(deps, { userId: user?.id ?? '' }, input)).secret)
  },
}
beforeEach(() => {
  callers += 1
})
afterEach(() => vi.restoreAllMocks())

async function send(path: string, caller: Headers, body: string) {
  const response = await fetch(`${served.url}${path}`, {
    method: 'POST',
    dispatcher: agent,
    headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', ...caller },
    body,
  })
  const { status, headers } = response
  const left = Number(/;r=(\d+);/.exec(headers.get('ratelimit') ?? '')?.[1])
  return { status, type: headers.get('content-type'), left, text: await response.text() }
}

// Distinct documents of the largest size.
let documents = 0
const write = (selection = 'viewer { id }') => {
  documents += 1
  const operations = Array.from({ length: 100 }, (_, at) => `query q${documents}_${at} { viewer { id login } }`)
  return JSON.stringify({ query: `query main { ${selection} } ${operations.join(' ')}`, operationName: 'main' })
}

async function spend(caller: Headers): Promise<void> {
  for (let sent = 0; sent <= LIMIT; sent += 1) await send('/graphql', caller, '{"query":"{ __typename }"}')
}

// Every parser of a document has a lexer of its own.
function countParsers() {
  const spy = vi.spyOn(Lexer.prototype, 'advance')
  return () => new Set(spy.mock.contexts).size
}

describe.each(['/graphql', '/graphql?way=router'])('G-27 over its limit, at %s', (path) => {
  test.each(Object.entries(makers))(
    '%s has no document parsed, no body read and no statement sent',
    async (_who, make) => {
      const caller: Headers = await make()
      await spend(caller)
      const parsers = countParsers()
      const bodies = vi.spyOn(JSON, 'parse')
      const logged = instance.logs().length
      const responses: Awaited<ReturnType<typeof send>>[] = []
      const queries = await instance.queriesOf(async () => {
        for (let sent = 0; sent < FLOOD; sent += 1) responses.push(await send(path, caller, write()))
      })
      expect(parsers()).toBe(0)
      expect(bodies.mock.calls.filter(([text]) => String(text).includes('query main'))).toEqual([])
      expect(queries).toEqual([])
      expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([429]))
      for (const { text } of responses)
        expect(text).toMatch(/^\{"errors":\[\{"message":"This request costs 1, and 0 remain/)
      const lines = instance.logs().slice(logged).trim().split('\n')
      expect(lines).toHaveLength(FLOOD)
      expect(lines.filter((line) => !line.includes('"errorCodes":["RATE_LIMITED"]'))).toEqual([])
    },
  )

  test.each([
    ['accept: text/event-stream', 'text/event-stream', { accept: 'text/event-stream' }, write('viewer { id }')],
    [
      'accept: application/graphql-response+json',
      'application/graphql-response+json',
      { accept: 'application/graphql-response+json' },
      write(),
    ],
    ['accept: image/png', 'application/json', { accept: 'image/png' }, write()],
    ['no JSON', 'application/json', {}, 'no JSON'],
    ['a batch', 'application/json', {}, `[${write()}]`],
    ['an introspection', 'application/json', {}, JSON.stringify({ query: getIntrospectionQuery() })],
    [
      'a document that is too long',
      'application/json',
      {},
      JSON.stringify({ query: `{ viewer { id } } #${'x'.repeat(9_000)}` }),
    ],
  ])('%s is refused unparsed', async (_what, expected, headers, body) => {
    const caller: Headers = { ...makers.nobody(), ...headers }
    await spend({ ...caller, accept: '*/*' })
    const parsers = countParsers()
    const bodies = vi.spyOn(JSON, 'parse')
    const queries = await instance.queriesOf(async () => {
      for (let sent = 0; sent < 3; sent += 1) {
        const { status, type } = await send(path, caller, body)
        expect([status, type]).toEqual([429, expect.stringContaining(expected)])
      }
    })
    expect([parsers(), bodies.mock.calls.filter(([text]) => text === body), queries]).toEqual([0, [], []])
  })
})

test('G-27 documents that cost more than is left are parsed no more often than the limit allows', async () => {
  const caller = await makers['a session']()
  const parsers = countParsers()
  const dear = () =>
    write(`a${documents}: tweets(first: 100) { nodes { id text status createdAt url xTweetId error { code } } }`)
  const statuses: number[] = []
  for (let sent = 0; sent < 3 * LIMIT; sent += 1) statuses.push((await send('/graphql', caller, dear())).status)
  const granted = statuses.filter((status) => status === 200).length
  expect(granted).toBeGreaterThan(0)
  expect(granted).toBeLessThan(LIMIT / 2)
  // Ten refusals are free. All others consumed what was left.
  expect(parsers()).toBeLessThanOrEqual(LIMIT + 10)
  expect(statuses.slice(LIMIT + 10)).toEqual(Array(2 * LIMIT - 10).fill(429))
})

test.each(['/graphql', '/graphql?way=router'])(
  'G-27 at %s, a refusal that is charged shows what is left after the charge',
  async (path) => {
    const caller = await makers['an API token']()
    const dear = () =>
      write([1, 2, 3].map((n) => `t${n}: tweets(first: 100) { nodes { id text status createdAt url } }`).join(' '))
    for (let sent = 0; sent < LIMIT - 8; sent += 1) await send(path, caller, '{"query":"{ __typename }"}')
    const lefts: number[] = []
    for (let sent = 0; sent < 16; sent += 1) {
      const { status, left, text } = await send(path, caller, dear())
      expect(status).toBe(429)
      expect(text).toContain(`and ${left} remain of this gateway's limit`)
      lefts.push(left)
    }
    expect(lefts).toEqual([...Array(10).fill(8), 7, 6, 5, 4, 3, 2])
    expect((await send(path, caller, '{"query":"{ __typename }"}')).left).toBe(1)
  },
)

test('G-27 a refusal takes a fraction of the processor time of a response', async () => {
  const [refused, answered] = [makers.nobody(), { 'x-forwarded-for': '203.0.113.250' }]
  await spend(refused)
  const timeOf = async (caller: Headers) => {
    const before = process.cpuUsage()
    const responses = []
    for (let sent = 0; sent < LIMIT - 5; sent += 1) responses.push(await send('/graphql', caller, write()))
    const { user, system } = process.cpuUsage(before)
    return { status: new Set(responses.map(({ status }) => status)), time: user + system }
  }
  const [less, more] = [await timeOf(refused), await timeOf(answered)]
  expect([less.status, more.status]).toEqual([new Set([429]), new Set([200])])
  // Both have the time of the client, which is the same process.
  expect(less.time / more.time).toBeLessThan(0.5)
})
