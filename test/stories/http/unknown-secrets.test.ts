// What cookies and API tokens that are made up make the database do.
import { Agent, fetch, type Response } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { createSecret } from '../../../src/auth/api-token-format.ts'
import { createUserSecret } from '../../../src/auth/user-secret.ts'
import { randomToken } from '../../../src/crypto.ts'
import { sessions, users } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { isPerson } from '../../support/connected-account.ts'
import { createEarlierSecret } from '../../support/earlier-secret.ts'
import { generousLimits } from '../../support/generous-limits.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance, openListeningInstance } from '../../support/instance.ts'
import { HOUR_SECONDS } from '../../support/rate-limited.ts'
import { serveInstance } from '../../support/served-instance.ts'
import { isSessionOf } from '../../support/session-row.ts'

const BUDGET = 20
const AT_ONCE = 25
const WHO = JSON.stringify({ query: '{ viewer { login } }' })
const FOLLOW = JSON.stringify({ query: 'subscription { events { cursor } }' })

let world: World
let instance: Instance
let served: Awaited<ReturnType<typeof serveInstance>>
// That of the process is the gateway's, which follows no redirects.
const agent = new Agent()
let addresses = 0
/** The address of a client that no other test has. */
let client: { 'x-forwarded-for': string }
beforeAll(async () => {
  world = await startWorld({
    RATE_LIMITS: `${generousLimits},address=${BUDGET}/${HOUR_SECONDS}`,
    TRUSTED_PROXIES: '127.0.0.1',
  })
  instance = await openListeningInstance(world)
  served = await serveInstance(instance)
})
afterAll(async () => {
  await agent.destroy()
  await served.close()
  await instance.close()
  await world.close()
})
beforeEach(() => {
  addresses += 1
  client = { 'x-forwarded-for': `203.0.113.${addresses}` }
})

type Sent = { path: string; method?: string; headers?: Record<string, string>; body?: string }

async function send({ path, headers, ...init }: Sent, secret: Record<string, string>) {
  const response = await fetch(`${served.url}${path}`, {
    redirect: 'manual',
    dispatcher: agent,
    ...init,
    headers: { 'sec-fetch-site': 'same-origin', ...client, ...headers, ...secret },
  })
  // A stream does not end.
  await response.body?.cancel()
  return response
}

async function sendMany(count: number, sent: Sent, make: () => Record<string, string>): Promise<Response[]> {
  const responses: Response[] = []
  for (let rest = count; rest > 0; rest -= AT_ONCE)
    responses.push(...(await Promise.all(Array.from({ length: Math.min(rest, AT_ONCE) }, () => send(sent, make())))))
  return responses
}

const cookie = (token: string) => ({ cookie: `xconnect_session=${token}` })
const secrets = {
  'session cookies': () => cookie(createUserSecret(crypto.randomUUID())),
  'session cookies of an earlier release': () => cookie(randomToken()),
  'API tokens': () => bearer(createSecret(crypto.randomUUID())),
  'API tokens of an earlier release': () => bearer(createEarlierSecret()),
}
const json = { 'content-type': 'application/json' }
const navigation = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
const requests: Record<string, Sent> = {
  'a query': { path: '/graphql', method: 'POST', headers: json, body: WHO },
  'a query that the router handles': { path: '/graphql?from=router', method: 'POST', headers: json, body: WHO },
  'an event stream': {
    path: '/graphql',
    method: 'POST',
    headers: { ...json, accept: 'text/event-stream' },
    body: FOLLOW,
  },
  'a persisted query': { path: '/graphql?extensions={"persistedQuery":{}}' },
  'a sign-in': { path: '/auth/github', headers: navigation },
  'the callback of GitHub': { path: '/auth/github/callback?state=x&code=x', headers: navigation },
  'the start of a connection': { path: '/auth/x', headers: navigation },
  'the callback of X': { path: '/auth/x/callback?state=x&code=x', headers: navigation },
  'a sign-out': { path: '/auth/sign-out', method: 'POST' },
}
const isLookUp = (text: string) => /from "(sessions|api_tokens|secret_owners)"/.test(text)

describe.each(Object.entries(secrets))('G-22 made-up %s', (kind, make) => {
  test('of 1,000 requests of one address at most its limit is looked up, and the rest refused without a statement', async () => {
    const sent = requests['a query'] as Sent
    const first = await instance.queriesOf(() => sendMany(AT_ONCE * 2, sent, make))
    expect(first.filter(isLookUp).length).toBeLessThanOrEqual(BUDGET)
    expect(first.filter(isLookUp).length).toBeGreaterThan(0)
    let responses: Response[] = []
    const further = await instance.queriesOf(async () => {
      responses = await sendMany(1_000 - AT_ONCE * 2, sent, make)
    })
    expect(further).toEqual([])
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([429]))
    for (const { headers } of responses) {
      expect(headers.get('ratelimit-policy')).toBe(`"address";q=${BUDGET};w=${HOUR_SECONDS}`)
      expect(headers.get('ratelimit')).toMatch(/^"address";r=0;t=\d+$/)
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    }
  })

  // Both forms of a secret take the same way.
  test.each(kind.endsWith('release') ? [] : Object.entries(requests))('the same holds for %s', async (_what, sent) => {
    const first = await instance.queriesOf(() => sendMany(AT_ONCE * 2, sent, make))
    expect(first.filter(isLookUp).length).toBeLessThanOrEqual(BUDGET)
    expect(first.filter(isLookUp).length).toBeGreaterThan(0)
    let responses: Response[] = []
    const further = await instance.queriesOf(async () => {
      responses = await sendMany(AT_ONCE, sent, make)
    })
    expect(further).toEqual([])
    expect(responses.map(({ status }) => status)).toEqual(Array(AT_ONCE).fill(429))
    expect(responses.filter(({ headers }) => headers.get('retry-after') === null)).toEqual([])
  })

  test('one that is sent again and again is looked up once', async () => {
    const secret = make()
    const sent = requests['a sign-out'] as Sent
    const queries = await instance.queriesOf(async () => {
      for (let round = 0; round < 5; round++) await send(sent, secret)
      await sendMany(AT_ONCE * 4, sent, () => secret)
    })
    expect(queries.filter(isLookUp)).toHaveLength(1)
  })
})

describe('G-22 pages and assets, health and the revocation of tokens', () => {
  test.each<[string, Sent]>([
    ['the console', { path: '/', headers: { accept: 'text/html' } }],
    ['GraphiQL', { path: '/graphql', headers: { accept: 'text/html' } }],
    ['an icon', { path: '/favicon.ico' }],
    ['/healthz', { path: '/healthz' }],
    ['a path that does not exist', { path: '/nowhere' }],
  ])('%s causes no statement with any made-up secret', async (_what, sent) => {
    const queries = await instance.queriesOf(async () => {
      for (const make of Object.values(secrets)) await sendMany(AT_ONCE, sent, make)
    })
    expect(queries).toEqual([])
  })

  test('the revocation of made-up tokens is charged before the look-up', async () => {
    const revoke = (make: () => string) =>
      send({ path: '/auth/token/revoke', method: 'POST', body: `token=${make()}`, headers: form }, {})
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const queries = await instance.queriesOf(async () => {
      for (let round = 0; round < BUDGET * 2; round++)
        await revoke(round % 2 === 0 ? createEarlierSecret : () => createSecret(crypto.randomUUID()))
    })
    const lookUps = queries.filter((text) => /"(secret_owners|api_tokens)"/.test(text))
    expect(lookUps.length).toBe(BUDGET)
    expect(await instance.queriesOf(() => revoke(createEarlierSecret))).toEqual([])
  })

  test('callbacks over the limit of sign-ins look attempts up within the limit of the address', async () => {
    const rateLimits = { ...world.config.rateLimits, 'sign-in': { limit: 1, windowSeconds: HOUR_SECONDS } }
    const limited = openInstance({ ...world, config: { ...world.config, rateLimits } as World['config'] })
    for (const path of ['/auth/github/callback?state=x&code=x', '/auth/x/callback?state=x&code=x']) {
      const ask = () => limited.request(path, { headers: navigation })
      for (let round = 0; round < BUDGET + 2; round++)
        expect((await ask()).headers.get('location')).toContain('=failed&code=')
      expect((await ask()).headers.get('location')).toContain('code=RATE_LIMITED')
      expect(await limited.queriesOf(ask)).toEqual([])
    }
    await limited.close()
  })
})

describe('G-22 a valid secret', () => {
  const makeTokens = async (count: number) => {
    await world.signedIn()
    const [user] = await world.db().select().from(users).where(isPerson)
    const deps = { db: world.db(), clock: world.clock }
    const input = { name: 'a bot', scopes: ['accounts:read'], expiresInDays: null }
    const made: string[] = []
    for (let number = 0; number < count; number++)
      made.push((await createApiToken(deps, { userId: user?.id ?? '' }, input)).secret)
    return made
  }
  const query = requests['a query'] as Sent
  const spend = () => sendMany(BUDGET * 2, query, secrets['API tokens'])

  test('that another instance has made costs the address nothing, however many come at once', async () => {
    const made = await makeTokens(BUDGET + 15)
    const responses = await Promise.all(made.map((secret) => send(query, bearer(secret))))
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]))
    expect((await send(query, {})).headers.get('ratelimit')).toContain(`r=${BUDGET - 1};`)
  })

  test('works at once after others were refused, and after it was made at another instance', async () => {
    expect((await send(query, secrets['API tokens']())).status).toBe(401)
    const person = await world.signedIn()
    const response = await send(query, cookieOf(person))
    expect(response.status).toBe(200)
    const [secret = ''] = await makeTokens(1)
    expect((await send(query, bearer(secret))).status).toBe(200)
  })

  test('that this instance has found before is looked up although the limit of its address is used up', async () => {
    const [known = '', other = ''] = await makeTokens(2)
    const person = await world.signedIn()
    for (const headers of [bearer(known), cookieOf(person)]) expect((await send(query, headers)).status).toBe(200)
    await spend()
    instance.deps.viewers.stopKeeping()
    for (const headers of [bearer(known), cookieOf(person)]) {
      const queries = await instance.queriesOf(async () => expect((await send(query, headers)).status).toBe(200))
      expect(queries.filter(isLookUp)).toHaveLength(1)
    }
    expect((await send(query, bearer(other))).status).toBe(429)
  })

  test('that has ended is looked up once more without a charge, and not again', async () => {
    const person = await world.signedIn()
    expect((await send(query, cookieOf(person))).status).toBe(200)
    await spend()
    instance.deps.viewers.stopKeeping()
    await world.db().delete(sessions).where(isSessionOf(person))
    const queries = await instance.queriesOf(async () => {
      for (let round = 0; round < 5; round++) expect((await send(query, cookieOf(person))).status).toBe(429)
    })
    expect(queries.filter(isLookUp)).toHaveLength(1)
  })
})
