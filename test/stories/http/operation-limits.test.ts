// The rate limits of single operations, and the settings of all rate limits.
import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { rateLimits } from '../../../src/db/tables.ts'
import { connectAccount, type PostedTweet, queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { HOUR_SECONDS, send, startLimited } from '../../support/rate-limited.ts'
import { ask } from '../../support/raw-graphql.ts'

let world: World
afterEach(() => world.close())

describe('an expensive operation', () => {
  test('has its own limit: the tweets of a user over all accounts, where a repeated key consumes once', async () => {
    world = await startLimited(`post=3/${HOUR_SECONDS}`)
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
    world = await startLimited(`connect=2/${HOUR_SECONDS}`)
    const person = await world.signedIn()
    const start_ = () => person.api('start-x-connect')
    expect((await start_()).startXConnect.userErrors).toEqual([])
    expect((await person.request('/auth/x')).headers.get('location')).toContain(world.sandbox.url)
    expect((await start_()).startXConnect.userErrors).toMatchObject([{ code: 'RATE_LIMITED', retryable: true }])
    const location = new URL((await person.request('/auth/x')).headers.get('location') ?? '')
    expect([location.origin, location.searchParams.get('code')]).toEqual([world.url, 'RATE_LIMITED'])
  })
})

test('no request waits for a disk flush of its cost', async () => {
  world = await startLimited(`user=5/${HOUR_SECONDS}`)
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
  world = await startLimited(`user=5/${HOUR_SECONDS}`, { ALLOWED_ORIGINS: 'https://app.example.com' })
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
