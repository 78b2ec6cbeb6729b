import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  connectAccount,
  endFaults,
  postFault,
  refreshFault,
  UNTIL_DUE_SECONDS,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

describe('an access token is refreshed', () => {
  test('not while it is fresh, however often it is used', async () => {
    const account = await connectAccount(world)
    world.advance(6800)
    const x = watchX(world)
    for (let tweet = 0; tweet < 3; tweet++) expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(x.refreshes()).toBe(0)
    expect(await account.tokens()).toMatchObject({ version: 1, fencingToken: 0, sentAt: null })
  })

  test('once, shortly before it expires', async () => {
    const account = await connectAccount(world)
    const before = account.grant()
    world.advance(UNTIL_DUE_SECONDS)
    const x = watchX(world)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(x.refreshes()).toBe(1)
    expect(account.grant()).toMatchObject({ live: true, rotations: 1, replays: 0 })
    expect(account.grant().refreshToken).not.toBe(before.refreshToken)
    expect(await account.tokens()).toMatchObject({
      version: 2,
      state: 'ACTIVE',
      leaseId: null,
      leaseUntil: null,
      sentAt: null,
      cause: null,
      failCount: 0,
    })
    // Both tweets were sent with the new token: the old one is valid for seconds only.
    const sent = world.sandbox.control.received({ method: 'POST', path: '/2/tweets' }).slice(-2)
    expect(sent.map(({ headers }) => headers.authorization)).toEqual(
      Array(2).fill(`Bearer ${account.grant().accessToken}`),
    )
  })

  test('after it has expired, before it is used', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    const x = watchX(world)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])
  })

  test('again and again, as long as the account is used', async () => {
    const account = await connectAccount(world)
    for (let round = 1; round <= 4; round++) {
      world.advance(UNTIL_ENDED_SECONDS)
      expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
      expect(account.grant()).toMatchObject({ live: true, rotations: round, replays: 0 })
    }
    expect(await account.tokens()).toMatchObject({ version: 5, fencingToken: 4 })
  })

  test('by one of 50 simultaneous posts, while the others wait', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 300 }))
    const x = watchX(world)
    const responses = await Promise.all(Array.from({ length: 50 }, () => account.post()))
    expect(responses.map(({ tweet }) => tweet?.status)).toEqual(Array(50).fill('POSTED'))
    expect([x.refreshes(), x.posts()]).toEqual([1, 50])
    expect(world.sandbox.control.concurrentSends()).toBe(1)
    expect(world.sandbox.control.tweets(account.username)).toHaveLength(50)
  })
})

describe('when X responds with 401', () => {
  test('refreshes the token once and repeats the call once', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.expireAccessToken(account.username)
    const x = watchX(world)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
    expect([x.refreshes(), x.posts()]).toEqual([1, 2])
    expect(world.sandbox.control.tweets(account.username)).toHaveLength(1)
  })

  test('50 simultaneous posts share one refresh', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.expireAccessToken(account.username)
    const x = watchX(world)
    const responses = await Promise.all(Array.from({ length: 50 }, () => account.post()))
    expect(responses.map(({ tweet }) => tweet?.status)).toEqual(Array(50).fill('POSTED'))
    expect(x.refreshes()).toBe(1)
    expect(world.sandbox.control.tweets(account.username)).toHaveLength(50)
  })

  test('twice in a row, there is no third call, and the account stays active', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'unauthorized', times: 2 }))
    const x = watchX(world)
    expect(await account.post()).toMatchObject({
      tweet: { status: 'FAILED', xTweetId: null },
      userErrors: [{ code: 'X_UNAVAILABLE', retryable: true }],
    })
    expect([x.refreshes(), x.posts()]).toEqual([1, 2])
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  })

  test('and refuses the refresh token too, the account needs its user, and X is not called again', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.revokeGrant(account.username)
    const x = watchX(world)
    expect(await account.post()).toMatchObject({
      tweet: { status: 'FAILED' },
      userErrors: [{ code: 'ACCOUNT_NEEDS_REAUTH', retryable: false }],
    })
    expect(await account.show()).toMatchObject({
      status: 'NEEDS_REAUTH',
      statusReason: 'GRANT_REVOKED',
      nextAction: 'RECONNECT',
    })
    expect(await account.tokens()).toMatchObject({ state: 'DEAD', cause: 'REFUSED', leaseId: null, sentAt: null })
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])

    expect(await account.post()).toMatchObject({ tweet: null, userErrors: [{ code: 'ACCOUNT_NEEDS_REAUTH' }] })
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])
  })

  test('to 20 simultaneous posts of a revoked account, one refresh is tried', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.revokeGrant(account.username)
    const x = watchX(world)
    const responses = await Promise.all(Array.from({ length: 20 }, () => account.post()))
    expect(responses.map(({ userErrors }) => userErrors[0]?.code)).toEqual(Array(20).fill('ACCOUNT_NEEDS_REAUTH'))
    expect(x.refreshes()).toBe(1)
  })

  test('403 causes no refresh', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'not-permitted' }))
    const x = watchX(world)
    expect((await account.post()).userErrors).toMatchObject([{ code: 'TWEET_REFUSED' }])
    expect([x.refreshes(), x.posts()]).toEqual([0, 1])
  })
})

describe('without offline.access', () => {
  const scopes = ['tweet.read', 'tweet.write', 'users.read']

  test('the account works for two hours, then needs its user', async () => {
    const account = await connectAccount(world, { scopes })
    expect(await account.show()).toMatchObject({
      status: 'LIMITED',
      statusReason: 'SCOPES_NOT_GRANTED',
      missingScopes: ['offline.access'],
      nextAction: 'GRANT_SCOPES',
    })
    world.advance(UNTIL_DUE_SECONDS)
    const x = watchX(world)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    world.advance(300)
    expect((await account.post()).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'REFRESH_TOKEN_MISSING' })
    expect([x.refreshes(), x.posts()]).toEqual([0, 1])
  })

  test('and revoked before they are over, the reason is the revocation', async () => {
    const account = await connectAccount(world, { scopes })
    world.sandbox.control.revokeGrant(account.username)
    expect((await account.post()).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
  })
})

test('connecting again restores a revoked account', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.revokeGrant(account.username)
  await account.post()
  expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH' })

  const { outcome } = await account.person.connect(account.username, { reconnectAccountId: account.id })
  expect(outcome).toBe('connected')
  expect(await account.show()).toMatchObject({ id: account.id, status: 'ACTIVE', statusReason: null, nextAction: null })
  expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', cause: null, version: 2 })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
})
