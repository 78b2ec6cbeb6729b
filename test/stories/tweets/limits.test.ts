// Limits of X are respected: one refused call, and then none until the limit resets.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { oauthTokens, xBlocks } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  type PostedTweet,
  postFault,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(async () => {
  endFaults(world)
  await world.db().delete(xBlocks)
  // X's rejection of a new token is a problem of its own, for an hour.
  await world.db().update(oauthTokens).set({ accessRefusedAt: null })
})
afterAll(() => world.close())

const MINUTE = 60
const HOUR = 60 * MINUTE

const inSeconds = (seconds: number) => String(Math.ceil(world.sandbox.control.now() / 1000) + seconds)
const limited = (headers: Record<string, string>): FaultKind => ({
  kind: 'problem',
  name: 'too-many-requests',
  headers,
})
const dailyLimit = (whose: 'user' | 'app', seconds: number) => ({
  [`x-${whose}-limit-24hour-limit`]: '100',
  [`x-${whose}-limit-24hour-remaining`]: '0',
  [`x-${whose}-limit-24hour-reset`]: inSeconds(seconds),
  'x-rate-limit-remaining': '7',
})

const codes = (responses: PostedTweet[]) => responses.map(({ userErrors }) => userErrors[0]?.code ?? 'POSTED')
const postAtOnce = (account: ConnectedAccount, posts: number) =>
  Promise.all(Array.from({ length: posts }, () => account.post()))

/** The seconds until the next try, by the response. */
function wait({ userErrors }: PostedTweet): number {
  return (Date.parse(userErrors[0]?.retryAt ?? '') - world.sandbox.control.now()) / 1000
}

async function readProblems(): Promise<string[]> {
  const response = await world.browser().request('/readyz')
  expect(response.status).toBe(200)
  const { problems } = (await response.json()) as { problems: { code: string }[] }
  return problems.map(({ code }) => code)
}

describe.each<[title: string, fault: () => FaultKind, seconds: number]>([
  ['the window of 15 minutes is used up', () => limited({ 'x-rate-limit-reset': inSeconds(11 * MINUTE) }), 11 * MINUTE],
  ["the account's 24 hours are used up", () => limited(dailyLimit('user', 9 * HOUR)), 9 * HOUR],
  [
    'with Retry-After alone',
    () => ({ kind: 'status', status: 429, headers: { 'retry-after': String(4 * MINUTE) } }),
    4 * MINUTE,
  ],
  ['with no word of when', () => ({ kind: 'status', status: 429 }), MINUTE],
  ['with a moment that is past', () => limited({ 'x-rate-limit-reset': inSeconds(-500) }), MINUTE],
])('X responds to a post with 429, %s', (_, fault, seconds) => {
  test('that account waits, and tries once after the reset', async () => {
    const account = await connectAccount(world)
    const other = await connectAccount(world)
    world.sandbox.control.inject(postFault(fault()))
    const x = watchX(world)
    const first = await account.post()
    expect(first).toMatchObject({
      tweet: { status: 'FAILED', xTweetId: null },
      userErrors: [{ code: 'X_RATE_LIMITED', retryable: true }],
    })
    expect(codes(await postAtOnce(account, 10))).toEqual(Array(10).fill('X_RATE_LIMITED'))
    expect(x.posts()).toBe(1)
    // Other accounts are not affected, and the operator need not act.
    expect((await other.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(await readProblems()).toEqual([])
    expect(x.posts()).toBe(2)

    world.advance(seconds - 30)
    const late = await account.post()
    expect(codes([late])).toEqual(['X_RATE_LIMITED'])
    expect(wait(late)).toBeGreaterThan(0)
    expect(wait(late)).toBeLessThanOrEqual(31)
    expect(x.posts()).toBe(2)

    // The probe gets no response, which proves nothing: the others keep waiting.
    world.advance(32)
    world.sandbox.control.inject(postFault({ kind: 'dropBefore' }))
    const tries = codes(await postAtOnce(account, 10)).sort()
    expect(tries).toEqual(['OUTCOME_UNKNOWN', ...Array(9).fill('X_RATE_LIMITED')])
    expect(x.posts()).toBe(3)
    world.advance(16)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(codes(await postAtOnce(account, 5))).toEqual(Array(5).fill('POSTED'))
    expect(await world.db().select().from(xBlocks)).toEqual([])
  })
})

test('T-08 the first response to a 429 says when to try again', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault(limited(dailyLimit('user', 9 * HOUR))))
  const response = await account.post()
  expect(wait(response)).toBeGreaterThan(9 * HOUR - 60)
  expect(wait(response)).toBeLessThanOrEqual(9 * HOUR + 1)
})

test("T-08 when the app's 24 hours are used up all accounts wait, and one of them asks when the time is over", async () => {
  const accounts = [await connectAccount(world), await connectAccount(world), await connectAccount(world)] as const
  const [account, other] = accounts
  world.sandbox.control.inject(postFault(limited(dailyLimit('app', 5 * HOUR))))
  const x = watchX(world)
  const responses = [await account.post(), await other.post(), ...(await postAtOnce(account, 5))]
  expect(codes(responses)).toEqual(Array(7).fill('X_RATE_LIMITED'))
  for (const response of responses) expect(wait(response)).toBeGreaterThan(5 * HOUR - 60)
  expect(x.posts()).toBe(1)
  expect(await readProblems()).toEqual(['X_RATE_LIMITED'])

  world.advance(5 * HOUR + 1)
  world.sandbox.control.inject(postFault({ kind: 'dropBefore' }))
  const tries = (await Promise.all(accounts.map((one) => postAtOnce(one, 4)))).flatMap(codes).sort()
  expect(tries).toEqual(['OUTCOME_UNKNOWN', ...Array(11).fill('X_RATE_LIMITED')])
  expect(x.posts()).toBe(2)
  world.advance(16)
  expect((await other.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(await readProblems()).toEqual([])
})

test("when both are used up, the account's limit does not make the whole app wait", async () => {
  const account = await connectAccount(world)
  const other = await connectAccount(world)
  world.sandbox.control.inject(postFault(limited({ ...dailyLimit('user', 20 * HOUR), ...dailyLimit('app', HOUR) })))
  await account.post()
  world.advance(HOUR + 1)
  expect((await other.post()).tweet).toMatchObject({ status: 'POSTED' })
})

test('a block of the account that ends while the app is blocked does not take its turn away', async () => {
  const account = await connectAccount(world)
  const other = await connectAccount(world)
  const x = watchX(world)
  world.sandbox.control.inject(postFault({ kind: 'status', status: 429 }))
  await account.post()
  world.sandbox.control.inject(postFault(limited(dailyLimit('app', 900))))
  await other.post()
  for (const seconds of [100, 795]) {
    world.advance(seconds)
    expect(codes([await account.post()])).toEqual(['X_RATE_LIMITED'])
  }
  world.advance(7)
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(x.posts()).toBe(3)
})

test('a call that X rejected for its token does not end a block', async () => {
  const account = await connectAccount(world)
  const { username } = account
  world.sandbox.control.inject(postFault({ kind: 'status', status: 429 }))
  await account.post()
  world.advance(MINUTE + 1)
  // The response said nothing about the limit.
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'unauthorized', times: 2 }))
  const x = watchX(world)
  expect(codes([await account.post()])).toEqual(['X_UNAVAILABLE'])
  expect(codes(await postAtOnce(account, 3))).toEqual(Array(3).fill('X_RATE_LIMITED'))
  expect([x.posts(), world.sandbox.control.tweets(username)]).toEqual([2, []])
})

test('posting and deleting have separate limits', async () => {
  const account = await connectAccount(world)
  const { tweet } = await account.post()
  world.sandbox.control.inject(postFault({ kind: 'status', status: 429 }))
  await account.post()
  const remove = () => account.person.api('delete-tweet', { input: { tweetId: tweet?.id } })
  world.sandbox.control.inject({ kind: 'status', status: 429, match: { method: 'DELETE' } })
  const limitedResult = { deleteTweet: { tweet: null, userErrors: [{ code: 'X_RATE_LIMITED', retryable: true }] } }
  expect(await remove()).toMatchObject(limitedResult)
  expect(await remove()).toMatchObject(limitedResult)
  expect(world.sandbox.control.countReceived({ method: 'DELETE' })).toBe(1)
  world.advance(MINUTE + 1)
  expect(await remove()).toMatchObject({ deleteTweet: { tweet: { status: 'DELETED' } } })
})

describe.each([
  ['no credits', 'credits-depleted', 'X_CREDITS_EXHAUSTED', false],
  ['the usage cap', 'usage-capped', 'X_USAGE_CAPPED', true],
] as const)('X answers a post with %s', (_, name, code, retryable) => {
  test('thirty posts cost one call, also after a restart, until the operator has acted', async () => {
    const accounts = [await connectAccount(world), await connectAccount(world), await connectAccount(world)] as const
    const [account] = accounts
    const noCredits = world.sandbox.control.inject(postFault({ kind: 'problem', name, times: null }))
    const x = watchX(world)
    expect(await account.post()).toMatchObject({
      tweet: { status: 'FAILED', xTweetId: null },
      userErrors: [{ code, retryable }],
    })
    const responses = (await Promise.all(accounts.map((one) => postAtOnce(one, 10)))).flatMap(codes)
    expect(responses).toEqual(Array(30).fill(code))
    expect(x.posts()).toBe(1)
    expect(await readProblems()).toEqual([code])
    for (const one of accounts) expect(await one.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })

    await world.restart()
    expect(codes(await postAtOnce(account, 3))).toEqual(Array(3).fill(code))
    expect(x.posts()).toBe(1)

    // Nothing has changed yet: the first try after five minutes finds out for all.
    world.advance(301)
    expect(codes([await account.post()])).toEqual([code])
    expect(codes(await postAtOnce(account, 5))).toEqual(Array(5).fill(code))
    expect(x.posts()).toBe(2)

    expect(world.sandbox.control.faults()).toMatchObject([{ id: noCredits, hits: 2 }])
    endFaults(world)
    world.advance(301)
    for (const one of accounts) expect((await one.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(x.posts()).toBe(5)
    expect(await readProblems()).toEqual([])
  })
})
