// No fault of a refresh disconnects an account. The faults differ in whether the refresh token may
// be used up.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import {
  connectAccount,
  endFaults,
  momentIn,
  refreshFault,
  UNTIL_DUE_SECONDS,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, impatient)
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

type Case = [title: string, fault: FaultKind, code?: string, cause?: string]

// X has refused and did nothing: the token is unused, and is tried again after a while.
const refusals: Case[] = [
  ['429', { kind: 'problem', name: 'oauth-rate-limited' }],
  ['503 in its own words', { kind: 'problem', name: 'temporarily-unavailable' }, 'X_UNAVAILABLE', 'SERVER_ERROR'],
  ['500 in its own words', { kind: 'problem', name: 'internal-server-error' }, 'X_UNAVAILABLE', 'SERVER_ERROR'],
  ['400 with an error of no known meaning', { kind: 'status', status: 400, body: { error: 'server_is_sad' } }],
  ['400 naming a missing parameter', { kind: 'problem', name: 'missing-code-verifier' }],
  ['400 without JSON', { kind: 'malformed', status: 400, body: '<h1>Bad Request</h1>', contentType: 'text/html' }],
  ['400 with an error that is no text', { kind: 'status', status: 400, body: { error: { code: 7 } } }],
  ['403', { kind: 'status', status: 403, body: { title: 'Forbidden' } }],
  ['404', { kind: 'status', status: 404, body: 'Not Found' }],
  ['418', { kind: 'status', status: 418, body: { error: 'invalid_grant' } }],
  ['401 unauthorized_client', { kind: 'problem', name: 'unauthorized-client' }, 'X_CREDENTIALS_REJECTED'],
  ['400 invalid_client', { kind: 'problem', name: 'invalid-client' }, 'X_CREDENTIALS_REJECTED'],
  [
    '401 with the words for a dead token',
    {
      kind: 'status',
      status: 401,
      body: { error: 'invalid_request', error_description: 'Value passed for the token was invalid.' },
    },
    'X_CREDENTIALS_REJECTED',
  ],
  ['401 without a body', { kind: 'status', status: 401 }, 'X_CREDENTIALS_REJECTED'],
]

// X has not acted, but could have: the token must not be sent again while the access token is
// valid.
const unspentDoubts: Case[] = [
  ['503 of something in between', { kind: 'status', status: 503, body: 'upstream connect error' }],
  ['502', { kind: 'problem', name: 'bad-gateway' }],
  ['504', { kind: 'problem', name: 'gateway-timeout' }],
  ['silence', { kind: 'hang' }],
  ['a connection cut before it acted', { kind: 'dropBefore' }],
  ['302', { kind: 'redirect', location: 'http://127.0.0.1:9/' }],
  ['307', { kind: 'redirect', location: 'http://127.0.0.1:9/', status: 307 }],
  ['a megabyte', { kind: 'oversized', bytes: 1_000_000 }],
  ['a compressed megabyte', { kind: 'oversized', bytes: 1_000_000, gzip: true }],
  ['half a JSON text', { kind: 'malformed' }],
  ['a page', { kind: 'malformed', body: '<html>Hello</html>', contentType: 'text/html' }],
  ['an empty 200', { kind: 'malformed', body: '' }],
  ['null', { kind: 'malformed', body: 'null' }],
  ['lists in lists in lists', { kind: 'malformed', body: '['.repeat(30_000) + ']'.repeat(30_000) }],
  ['an array', { kind: 'malformed', body: '[]' }],
  ['a 200 with neither token', { kind: 'malformed', body: '{"token_type":"bearer","expires_in":7200}' }],
  ['tokens that are no text', { kind: 'malformed', body: '{"access_token":7,"refresh_token":["x"]}' }],
  ['empty tokens', { kind: 'malformed', body: '{"access_token":"","refresh_token":""}' }],
]

// X has acted, and its response is lost.
const spentDoubts: Case[] = [
  ['a connection cut after it acted', { kind: 'dropAfter' }],
  ['a connection cut half-way through the answer', { kind: 'cutHalfway' }],
  ['an answer that never ends', { kind: 'drip' }],
  ['a page after it acted', { kind: 'malformed', act: true, body: '<html>', contentType: 'text/html' }],
  ['a megabyte after it acted', { kind: 'oversized', bytes: 1_000_000, act: true }],
  ['500 of something in between after it acted', { kind: 'statusAfter', status: 500, body: 'oops' }],
  ['504 after it acted', { kind: 'problemAfter', name: 'gateway-timeout' }],
]

describe.each(refusals)('T-05 a refresh that gets %s', (_, fault, code = 'X_UNAVAILABLE', cause = undefined) => {
  test('leaves the refresh token as it was, and a valid access token in use', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_DUE_SECONDS)
    world.sandbox.control.inject(refreshFault(fault))
    const x = watchX(world)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])
    expect(await account.tokens()).toMatchObject({
      state: 'ACTIVE',
      version: 1,
      leaseId: null,
      leaseUntil: null,
      sentAt: null,
      cause: cause ?? null,
      failCount: 1,
      nextTryAt: expect.any(Date),
    })
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
    expect(account.grant()).toMatchObject({ live: true, rotations: 0, replays: 0 })
  })

  test('refuses a post when the access token has expired, and recovers without help', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    world.sandbox.control.inject(refreshFault(fault))
    const x = watchX(world)
    expect(await account.post('Now or never')).toMatchObject({
      tweet: { status: 'FAILED', xTweetId: null },
      userErrors: [{ code, retryable: true }],
    })
    expect([x.refreshes(), x.posts()]).toEqual([1, 0])
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
    world.advance(2)
    expect(await account.post('Later')).toMatchObject({ tweet: { status: 'POSTED' } })
    expect(account.grant()).toMatchObject({ live: true, rotations: 1, replays: 0 })
    expect(await account.tokens()).toMatchObject({ version: 2, failCount: 0, nextTryAt: null, cause: null })
  })
})

describe.each([
  ...unspentDoubts.map(([title, fault]) => ({ title, fault, spent: false })),
  ...spentDoubts.map(([title, fault]) => ({ title, fault, spent: true })),
])('T-02 T-03 T-05 a refresh that ends with $title', ({ fault, spent }) => {
  test('is not tried again before the access token expires, which stays in use', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_DUE_SECONDS)
    world.sandbox.control.inject(refreshFault(fault))
    const x = watchX(world)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
    expect(await account.tokens()).toMatchObject({
      state: 'UNCERTAIN',
      cause: 'RESPONSE_LOST',
      version: 1,
      leaseId: null,
      leaseUntil: null,
      sentAt: expect.any(Date),
    })
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
    // Long after X must have processed it.
    world.advance(60)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    expect([x.refreshes(), x.posts()]).toEqual([1, 2])
    expect(account.grant()).toMatchObject({ live: true, replays: 0 })
  })

  test(`is probed once when the access token has expired: ${spent ? 'lost, and reported as lost' : 'recovered'}`, async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    world.sandbox.control.inject(refreshFault(fault))
    const x = watchX(world)
    expect(await account.post('First')).toMatchObject({
      tweet: { status: 'FAILED' },
      userErrors: [{ code: 'X_UNAVAILABLE', retryable: true }],
    })
    expect((await account.tokens())?.nextTryAt?.getTime()).toBeLessThan(momentIn(world, 20).getTime())
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
    world.advance(20)
    const response = await account.post('Second')
    expect(x.refreshes()).toBe(2)
    if (spent) {
      expect(response).toMatchObject({ tweet: { status: 'FAILED' }, userErrors: [{ code: 'ACCOUNT_NEEDS_REAUTH' }] })
      expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'REFRESH_LOST' })
      expect(await account.tokens()).toMatchObject({ state: 'DEAD', cause: 'RESPONSE_LOST' })
      expect(x.posts()).toBe(0)
    } else {
      expect(response).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
      expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
      expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', cause: null, sentAt: null, version: 2 })
    }
  })
})

test.each([
  ['503', 'temporarily-unavailable'],
  ['500', 'internal-server-error'],
] as const)('a refresh with the response %s, after X acted, is lost and not revoked', async (_, name) => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'problemAfter', name }))
  const x = watchX(world)
  expect((await account.post('First')).userErrors).toMatchObject([{ code: 'X_UNAVAILABLE', retryable: true }])
  // Other responses in between prove nothing about it.
  world.sandbox.control.inject(refreshFault({ kind: 'problem', name: 'oauth-rate-limited' }))
  world.advance(2)
  expect((await account.post('Second')).userErrors).toMatchObject([{ code: 'X_UNAVAILABLE' }])
  world.advance(3600)
  expect((await account.post('Third')).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
  expect(x.refreshes()).toBe(3)
  expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'REFRESH_LOST' })
  expect(await account.tokens()).toMatchObject({ state: 'DEAD', cause: 'SERVER_ERROR' })
})

test('a grant that the user revokes long after a failure of X is revoked and not lost', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'problem', name: 'temporarily-unavailable' }))
  await account.post('First')
  world.advance(2)
  expect((await account.post('Second')).tweet).toMatchObject({ status: 'POSTED' })
  world.sandbox.control.revokeGrant(account.username)
  expect((await account.post('Third')).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
  expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
})

test('T-08 a limited or failing X is not asked again before the time that it named', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(
    refreshFault({ kind: 'problem', name: 'oauth-rate-limited', headers: { 'retry-after': '120' } }),
  )
  const x = watchX(world)
  const [first] = (await account.post()).userErrors
  expect(first).toMatchObject({ code: 'X_UNAVAILABLE', retryable: true, retryAt: expect.any(String) })
  const wait = (Date.parse(first?.retryAt ?? '') - world.sandbox.control.now()) / 1000
  expect(wait).toBeGreaterThan(60)
  expect(wait).toBeLessThanOrEqual(120)
  world.advance(30)
  const [second] = (await account.post()).userErrors
  expect(second).toMatchObject({ code: 'X_UNAVAILABLE', retryAt: expect.any(String) })
  expect(x.refreshes()).toBe(1)
  world.advance(120)
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(x.refreshes()).toBe(2)
})

test('T-01 a redirect of the token endpoint is not followed', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(
    refreshFault({ kind: 'redirect', location: `${world.sandbox.url}/elsewhere`, status: 308 }),
  )
  await account.post()
  expect(world.sandbox.control.countReceived({ path: '/elsewhere' })).toBe(0)
})
