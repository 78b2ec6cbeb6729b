// What one caller may ask of the gateway, and what he is told of it. Points of these budgets come
// back so slowly that none does during a story, however slow the machine, unless the clock is
// moved.
import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { createSecret } from '../../../src/auth/api-token-format.ts'
import { connectAttempts, rateLimits, users } from '../../../src/db/tables.ts'
import { type Browser, cookieOf, type UserError } from '../../support/browser.ts'
import { connectAccount, isPerson, type PostedTweet, queryRows } from '../../support/connected-account.ts'
import { openStream } from '../../support/event-stream.ts'
import { generousLimits } from '../../support/generous-limits.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { ask } from '../../support/raw-graphql.ts'
import { sweepNow } from '../../support/sweep.ts'

const HOUR = 3600

let world: World
afterEach(() => world.close())

const start = async (limits: string, environment: Record<string, string> = {}) => {
  world = await startWorld({ RATE_LIMITS: `${generousLimits},${limits}`, ...environment })
}

async function send(person: Browser, query: string, headers: Record<string, string> = {}) {
  const response = await person.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: ask(query),
  })
  const header = (name: string) => response.headers.get(name)
  return {
    status: response.status,
    policy: header('ratelimit-policy'),
    left: header('ratelimit'),
    retryAfter: header('retry-after'),
    body: (await response.json()) as {
      data?: Record<string, unknown>
      errors?: { message: string; extensions: { code: string; retryAt: string } }[]
    },
  }
}

const statuses = async (count: number, work: () => Promise<{ status: number }>) => {
  const seen: number[] = []
  for (let call = 0; call < count; call++) seen.push((await work()).status)
  return seen
}

describe('K-07 a user', () => {
  test('gets a 429 with the time of the next try above the limit, and is served again at that time', async () => {
    await start(`user=3/${HOUR}`)
    const person = await world.signedIn()
    const first = await send(person, '{viewer{login}}')
    expect(first).toMatchObject({ status: 200, policy: '"user";q=3;w=3600', retryAfter: null })
    expect(first.left).toMatch(/^"user";r=2;t=(1200|1199)$/)
    expect((await send(person, '{viewer{login}}')).left).toMatch(/^"user";r=1;/)
    expect((await send(person, '{viewer{login}}')).left).toMatch(/^"user";r=0;/)

    const refused = await send(person, '{viewer{login}}')
    expect(refused.status).toBe(429)
    expect(refused.policy).toBe('"user";q=3;w=3600')
    expect(refused.left).toMatch(/^"user";r=0;/)
    const wait = Number(refused.retryAfter)
    expect(wait).toBeGreaterThan(1_000)
    expect(wait).toBeLessThanOrEqual(1_200)
    expect(refused.body).toEqual({
      errors: [
        {
          message: `This request costs 1, and 0 remain of this gateway's limit of 3 per 3600 s. Try again in ${wait} s.`,
          extensions: { code: 'RATE_LIMITED', retry: 'LATER', retryAt: expect.any(String) },
        },
      ],
    })

    world.advance(wait - 600)
    expect((await send(person, '{viewer{login}}')).status).toBe(429)
    world.advance(600)
    expect((await send(person, '{viewer{login}}')).status).toBe(200)
    expect((await send(person, '{viewer{login}}')).status).toBe(429)
    world.advance(HOUR)
    expect(await statuses(4, () => send(person, '{viewer{login}}'))).toEqual([200, 200, 200, 429])
  })

  test('has one limit over all sessions, separate from other users', async () => {
    await start(`user=4/${HOUR},address=4/${HOUR}`)
    const [here, elsewhere] = [await world.signedIn('mara-holt'), await world.signedIn('mara-holt')]
    const other = await world.signedIn('tomasz-k')
    expect(await statuses(3, () => send(here, '{viewer{login}}'))).toEqual([200, 200, 200])
    expect(await statuses(2, () => send(elsewhere, '{viewer{login}}'))).toEqual([200, 429])
    expect((await send(here, '{viewer{login}}')).status).toBe(429)
    expect(await statuses(5, () => send(other, '{viewer{login}}'))).toEqual([200, 200, 200, 200, 429])
    // From the same address, and signed in nowhere.
    expect(await statuses(5, () => send(world.browser(), '{viewer{login}}'))).toEqual([200, 200, 200, 200, 429])
  })

  test('cannot exceed the limit with concurrent requests', async () => {
    await start(`user=10/${HOUR}`)
    const person = await world.signedIn()
    const responses = await Promise.all(Array.from({ length: 30 }, () => send(person, '{viewer{login}}')))
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(10)
    const refused = responses.filter(({ status }) => status === 429)
    expect(refused).toHaveLength(20)
    for (const { left, retryAfter, body } of refused) {
      expect(left).toMatch(/^"user";r=0;/)
      expect(Number(retryAfter)).toBeGreaterThan(300)
      expect(body.errors?.[0]?.message).toMatch(/^This request costs 1, and 0 remain /)
    }
    const left = responses
      .filter(({ status }) => status === 200)
      .map((response) => response.left?.match(/r=(\d+)/)?.[1])
    expect(left.toSorted()).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
  })

  test('consumes the cost of a document; a document above the remaining limit is not executed and consumes nothing', async () => {
    await start(`user=30/${HOUR}`)
    const account = await connectAccount(world)
    await account.post()
    world.advance(HOUR)
    const { person } = account
    const page = '{tweets(first:100){edges{node{id text status url account{username}}}}}'
    const readLeft = (response: { left: string | null }) => Number(response.left?.match(/r=(\d+)/)?.[1])
    expect(readLeft(await send(person, '{viewer{login}}'))).toBe(29)
    const dear = await send(person, page)
    expect(dear).toMatchObject({ status: 200, body: { data: { tweets: { edges: [{}] } } } })
    const cost = 29 - readLeft(dear)
    expect(cost).toBe(1 + Math.floor((1 + 100 * 8) / 100))
    expect(readLeft(await send(person, '{tweets(first:1){edges{node{id}}}}'))).toBe(29 - cost - 1)

    // Paid before it runs: nothing of the mutation happens.
    const before = world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })
    const post = (number: number) =>
      `p${number}: postTweet(input:{text:"${number}",accountId:"${account.id}"}){tweet{id}}`
    const refused = await send(person, `mutation{${[1, 2, 3, 4].map(post).join(' ')}}`)
    expect(refused).toMatchObject({ status: 429, body: { errors: [{ extensions: { code: 'RATE_LIMITED' } }] } })
    expect(refused.body.errors?.[0]?.message).toMatch(
      /^This request costs 21, and 19 remain of this gateway's limit of 30 per/,
    )
    expect(world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(before)
    expect((await send(person, `mutation{${post(5)}}`)).body).toMatchObject({ data: { p5: { tweet: {} } } })
    expect(readLeft(await send(person, '{viewer{login}}'))).toBe(19 - 6 - 1)
  })

  test('consumes the cost of the selected operation with its variables, and 1 for an invalid document', async () => {
    await start(`user=100/${HOUR}`)
    const person = await world.signedIn()
    const spend = async (body: unknown) => {
      const response = await person.request('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
      return Number(response.headers.get('ratelimit')?.match(/r=(\d+)/)?.[1])
    }
    let left = 100
    const costs = async (body: unknown) => {
      const before = left
      left = await spend(body)
      return before - left
    }
    const query =
      'query Small{viewer{id}} query Large($first:Int){tweets(first:$first){edges{...node}}} fragment node on TweetEdge{node{id text status}}'
    expect(await costs({ query, operationName: 'Small' })).toBe(1)
    expect(await costs({ query, operationName: 'Large', variables: { first: 100 } })).toBe(6)
    expect(await costs({ query, operationName: 'Large', variables: { first: 10 } })).toBe(1)
    expect(await costs({ query, operationName: 'Large', variables: { first: 'ten' } })).toBe(1)
    expect(await costs({ query, operationName: 'Neither' })).toBe(1)
    expect(await costs({ query })).toBe(1)
    expect(await costs({ query: '{nothing}' })).toBe(1)
    expect(await costs({ query: '{' })).toBe(1)
    expect(await costs('no JSON')).toBe(1)
    // Refused for its size, it runs nothing.
    const far = Array.from({ length: 20 }, (_, index) => `a${index}:tweets(first:100){edges{node{id}}}`)
    expect(await costs({ query: `{${far.join(' ')}}` })).toBe(1)
  })

  test('consumes the cost of a stream when it is opened, and gets none without remaining limit', async () => {
    await start(`user=2/${HOUR}`)
    const person = await world.signedIn()
    const open = () => openStream(world.url, cookieOf(person))
    const streams = [await open(), await open(), await open()]
    const told = streams.map(({ status, headers }) => [status, headers.get('ratelimit')?.match(/r=\d+/)?.[0]])
    expect(told).toEqual([
      [200, 'r=1'],
      [200, 'r=0'],
      [429, 'r=0'],
    ])
    expect(await streams[2]?.ended).toEqual({ completed: true, codes: ['RATE_LIMITED'] })
    for (const stream of streams) await stream.hangUp()
  })

  test('reads the same values in the API', async () => {
    await start(`user=50/${HOUR},address=20/${HOUR}`)
    const query = '{rateLimit{limit windowSeconds cost remaining resetAt} tweets(first:100){edges{node{id}}}}'
    const { body } = await send(await world.signedIn(), query)
    expect(body.data?.rateLimit).toEqual({
      limit: 50,
      windowSeconds: HOUR,
      cost: 4,
      remaining: 46,
      resetAt: expect.stringMatching(/Z$/),
    })
    const { rateLimit } = await world.browser().api<{ rateLimit: { limit: number; remaining: number } }>('rate-limit')
    expect(rateLimit).toMatchObject({ limit: 20, remaining: 19 })
  })
})

describe('K-07 an API token', () => {
  const ask = (secret: string) => () => send(world.browser(), '{viewer{login}}', { authorization: `Bearer ${secret}` })
  const makeToken = async (userId: string | null) => {
    const deps = { db: world.db(), clock: world.clock }
    const made = { name: 'a bot', scopes: ['accounts:read'], expiresInDays: null }
    return (await createApiToken(deps, { userId }, made)).secret
  }

  test('has its own limit, separate from other tokens and from its user', async () => {
    await start(`token=3/${HOUR},user=2/${HOUR}`)
    const person = await world.signedIn()
    const [user] = await world.db().select().from(users).where(isPerson)
    const [one, other, operators] = [
      await makeToken(user?.id ?? ''),
      await makeToken(user?.id ?? ''),
      await makeToken(null),
    ]
    expect(await statuses(4, ask(one))).toEqual([200, 200, 200, 429])
    expect(await statuses(4, ask(other))).toEqual([200, 200, 200, 429])
    expect(await statuses(4, ask(operators))).toEqual([200, 200, 200, 429])
    expect(await statuses(3, () => send(person, '{viewer{login}}'))).toEqual([200, 200, 429])
    expect(await ask(one)()).toMatchObject({ policy: '"token";q=3;w=3600', retryAfter: expect.stringMatching(/^\d+$/) })
  })

  test('that is unknown consumes from the limit of the address if it was looked up', async () => {
    await start(`address=3/${HOUR},token=5/${HOUR}`)
    expect(await statuses(6, ask('xcg_junk'))).toEqual([401, 401, 401, 401, 401, 401])
    expect(await world.db().$count(rateLimits)).toBe(0)
    const responses = []
    for (let call = 0; call < 4; call++) responses.push(await ask(createSecret())())
    expect(responses.map(({ status }) => status)).toEqual([401, 401, 401, 429])
    expect(responses.at(-1)).toMatchObject({
      policy: '"address";q=3;w=3600',
      retryAfter: expect.stringMatching(/^\d+$/),
    })
    // So is revoking one, whatever it is.
    const revoke = async (token: string) => {
      const form = { 'content-type': 'application/x-www-form-urlencoded' }
      const response = await world
        .browser()
        .request('/auth/token/revoke', { method: 'POST', headers: form, body: `token=${token}` })
      return response.status
    }
    expect([await revoke('xcg_junk'), await revoke(createSecret())]).toEqual([429, 429])
    // Whoever has a good one at the same address goes on.
    expect(await statuses(1, ask(await makeToken(null)))).toEqual([200])
  })
})

describe('an address', () => {
  const SPOOFED = { 'x-forwarded-for': '203.0.113.7' }

  test('C-07 is that of the socket, regardless of X-Forwarded-For from an untrusted peer', async () => {
    await start(`address=3/${HOUR}`)
    let last = 0
    const call = () => {
      last += 1
      return send(world.browser(), '{viewer{login}}', { 'x-forwarded-for': `203.0.113.${last}` })
    }
    expect(await statuses(4, call)).toEqual([200, 200, 200, 429])
    expect((await world.db().select().from(rateLimits)).map(({ subject }) => subject)).toEqual(['127.0.0.1'])
  })

  test('C-07 is the one that a trusted proxy forwards, and for IPv6 its /64 network', async () => {
    await start(`address=2/${HOUR}`, { TRUSTED_PROXIES: '127.0.0.1' })
    const call = (address: string) => () => send(world.browser(), '{viewer{login}}', { 'x-forwarded-for': address })
    expect(await statuses(3, call('203.0.113.7'))).toEqual([200, 200, 429])
    // What the client had written before the proxy added its own.
    expect(await statuses(1, call('198.51.100.1, 203.0.113.7'))).toEqual([429])
    expect(await statuses(1, call('203.0.113.8'))).toEqual([200])
    expect(await statuses(1, call('2001:db8:1:2::1'))).toEqual([200])
    expect(await statuses(2, call('2001:0db8:0001:0002:ffff::9'))).toEqual([200, 429])
    expect(await statuses(1, call('2001:db8:1:3::1'))).toEqual([200])
  })

  test('O-13 above the limit of sign-ins is refused without a row, and expired attempts are deleted', async () => {
    await start(`sign-in=5/${HOUR}`)
    const person = world.browser()
    const responses = await Promise.all(
      Array.from({ length: 200 }, () => person.request('/auth/github', { headers: SPOOFED })),
    )
    // A person sees no bare error: the console says what happened.
    const sentBack = (trip: string) => `${world.url}/?${trip}=failed&code=RATE_LIMITED`
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([303]))
    const refused = responses.filter(({ headers }) => headers.get('location') === sentBack('signIn'))
    const granted = responses.filter(({ headers }) => headers.get('location')?.startsWith(world.sandbox.url))
    expect([granted.length, refused.length]).toEqual([5, 195])
    expect(await world.db().$count(connectAttempts)).toBe(5)
    expect(refused[0]?.headers.get('ratelimit-policy')).toBe('"sign-in";q=5;w=3600')
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(600)
    expect(refused.flatMap(({ headers }) => headers.getSetCookie())).toEqual([])
    // Both callbacks are of the same budget, and a health check of none.
    for (const [path, trip] of [
      ['/auth/github/callback?state=x&code=y', 'signIn'],
      ['/auth/x/callback?state=x&code=y', 'xConnect'],
    ] as const) {
      const { status, headers } = await person.request(path)
      expect([status, headers.get('location'), headers.get('retry-after')]).toEqual([
        303,
        sentBack(trip),
        expect.stringMatching(/^\d+$/),
      ])
    }
    for (const path of ['/healthz', '/readyz', '/']) {
      const response = await person.request(path)
      expect([response.status, response.headers.get('ratelimit')]).toEqual([200, null])
    }
    world.advance(2 * HOUR)
    await sweepNow(world)
    expect([await world.db().$count(connectAttempts), await world.db().$count(rateLimits)]).toEqual([0, 0])
    expect((await person.request('/auth/github')).headers.get('location')).toContain(world.sandbox.url)
  })
})

describe('an expensive operation', () => {
  test('has its own limit: the tweets of a user over all accounts, where a repeated key consumes once', async () => {
    await start(`post=3/${HOUR}`)
    const account = await connectAccount(world)
    const other = await connectAccount(world, { person: account.person })
    const codes = ({ tweet, userErrors }: PostedTweet) => tweet?.status ?? userErrors[0]?.code
    const once = { idempotencyKey: 'once' }
    const same = await Promise.all(Array.from({ length: 8 }, () => account.post('Once', once)))
    expect(new Set(same.map(codes))).toEqual(new Set(['POSTED']))
    expect(codes(await other.post())).toBe('POSTED')
    expect(codes(await account.post())).toBe('POSTED')

    const refused = await other.post('Late', { idempotencyKey: 'late' })
    expect(refused).toMatchObject({ tweet: null, userErrors: [{ code: 'RATE_LIMITED', retryable: true }] })
    const wait = (Date.parse(refused.userErrors[0]?.retryAt ?? '') - world.sandbox.control.now()) / 1000
    expect(wait).toBeGreaterThan(600)
    expect(wait).toBeLessThanOrEqual(1_200)
    expect(codes(await account.post('Once', once))).toBe('POSTED')
    expect(world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(3)
    expect(await account.person.api('tweets', { first: 100 })).toMatchObject({ tweets: { edges: { length: 3 } } })
    world.advance(Math.ceil(wait))
    expect(codes(await other.post('Late', { idempotencyKey: 'late' }))).toBe('POSTED')
  })

  test('is a connect attempt too, by either way to start it', async () => {
    await start(`connect=2/${HOUR}`)
    const person = await world.signedIn()
    const start_ = () => person.api<{ startXConnect: { userErrors: UserError[] } }>('start-x-connect')
    expect((await start_()).startXConnect.userErrors).toEqual([])
    expect((await person.request('/auth/x')).headers.get('location')).toContain(world.sandbox.url)
    expect((await start_()).startXConnect.userErrors).toMatchObject([{ code: 'RATE_LIMITED', retryable: true }])
    const location = new URL((await person.request('/auth/x')).headers.get('location') ?? '')
    expect([location.origin, location.searchParams.get('code')]).toEqual([world.url, 'RATE_LIMITED'])
  })
})

test('no request waits for a disk flush of its cost', async () => {
  await start(`user=5/${HOUR}`)
  const found = await queryRows(world, sql`select relpersistence from pg_class where relname = 'rate_limits'`)
  expect(found).toEqual([{ relpersistence: 'u' }])
})

test('with RATE_LIMITS=off nothing is counted, and no header is sent', async () => {
  world = await startWorld({ RATE_LIMITS: 'off' })
  const person = await world.signedIn()
  const response = await send(person, '{rateLimit{limit}}')
  expect(response).toMatchObject({ status: 200, policy: null, left: null, body: { data: { rateLimit: null } } })
  expect(await world.db().$count(rateLimits)).toBe(0)
})

test('a front end of another origin can read the remaining limit', async () => {
  await start(`user=5/${HOUR}`, { ALLOWED_ORIGINS: 'https://app.example.com' })
  const person = await world.signedIn()
  const response = await person.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: 'https://app.example.com' },
    body: ask('{viewer{id}}'),
  })
  expect(response.headers.get('access-control-expose-headers')).toBe(
    'RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id',
  )
})
