// Every way in which X says no, or does not say. The tweet's row tells which, and so does the answer.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { FaultKind } from '../../src/sandbox/faults.ts'
import type { ProblemName } from '../../src/sandbox/problems.ts'
import { impatient, startWorld, type World } from '../harness.ts'
import { endFaults, type LinkedAccount, linkAccount, postFault, watchX } from '../linked-account.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, impatient)
})
afterEach(() => {
  endFaults(world)
  // What X has said of the whole app is remembered for a while.
  world.advance(1000)
})
afterAll(() => world.close())

// A key belongs to the user, who has all these accounts.
const keyOf = (account: LinkedAccount) => `the tweet of ${account.username}`

type Refusal = [title: string, fault: FaultKind, code: string, retryable?: boolean]
const problem = (name: ProblemName): FaultKind => ({ kind: 'problem', name })
const typed = (status: number, type: string): FaultKind => ({
  kind: 'status',
  status,
  body: { type: `https://api.twitter.com/2/problems/${type}`, title: 'A title', detail: 'A detail', extra: [1] },
})

const refusals: Refusal[] = [
  ['a duplicate', problem('duplicate-content'), 'DUPLICATE_TWEET'],
  ['a refusal in general', problem('not-permitted'), 'TWEET_REFUSED'],
  ['a missing scope', problem('missing-scope'), 'SCOPE_MISSING'],
  ['a reply that is not allowed', problem('reply-not-allowed'), 'REPLY_NOT_ALLOWED'],
  ['a reply to what is gone', problem('reply-target-gone'), 'REPLY_TARGET_GONE'],
  ['an app that is not enrolled', problem('client-not-enrolled'), 'X_APP_NOT_ENROLLED'],
  ['an app that is not enrolled, by the older host', typed(403, 'client-forbidden'), 'X_APP_NOT_ENROLLED'],
  ['no credits', problem('credits-depleted'), 'X_CREDITS_EXHAUSTED'],
  ['no credits, as of old', problem('credits-depleted-older'), 'X_CREDITS_EXHAUSTED'],
  ['no credits, in no words', { kind: 'status', status: 402 }, 'X_CREDITS_EXHAUSTED'],
  ['the usage cap', problem('usage-capped'), 'X_USAGE_CAPPED', true],
  ['the usage cap, by the older host', typed(429, 'usage-capped'), 'X_USAGE_CAPPED', true],
  ['the rate limit', problem('too-many-requests'), 'RATE_LIMITED', true],
  ['the rate limit, in no words', { kind: 'status', status: 429 }, 'RATE_LIMITED', true],
  ['a bad body', problem('invalid-request'), 'X_REJECTED_REQUEST'],
  ['a bad media id', problem('invalid-media'), 'X_REJECTED_REQUEST'],
  ['a suspended account, by 403', problem('suspended'), 'ACCOUNT_SUSPENDED'],
  ['a suspended account, by 401', problem('suspended-unauthorized'), 'ACCOUNT_SUSPENDED'],
  ['a locked account', problem('locked'), 'ACCOUNT_SUSPENDED'],
  ['a 403 page', { kind: 'malformed', status: 403, body: '<html>', contentType: 'text/html' }, 'TWEET_REFUSED'],
  ['a 403 of odd types', { kind: 'status', status: 403, body: { title: 4, detail: [], type: {} } }, 'TWEET_REFUSED'],
  ['a 400 that is cut short', { kind: 'malformed', status: 400 }, 'X_REJECTED_REQUEST'],
  ['404', { kind: 'status', status: 404, body: 'null' }, 'X_REJECTED_REQUEST'],
  ['418', { kind: 'status', status: 418 }, 'X_REJECTED_REQUEST'],
]

describe.each(refusals)('X answers a post with %s', (_, fault, code, retryable = false) => {
  test(`it is FAILED with ${code}, and nothing is tried again by itself`, async () => {
    const account = await linkAccount(world)
    world.sandbox.control.inject(postFault(fault))
    const x = watchX(world)
    const { tweet, userErrors } = await account.post('Refused', { idempotencyKey: keyOf(account) })
    expect(tweet).toMatchObject({ status: 'FAILED', xTweetId: null, url: null, text: 'Refused', postedAt: null })
    expect(userErrors).toEqual([
      {
        code,
        retryable,
        message: expect.stringMatching(/\.$/),
        field: null,
        retryAt: expect.toBeOneOf([null, expect.any(String)]),
      },
    ])
    expect(await account.person.api('tweet', { id: tweet?.id })).toMatchObject({
      tweet: { status: 'FAILED', xTweetId: null, error: { code, retryable } },
    })
    expect(await account.tweets()).toMatchObject([
      { id: tweet?.id, status: 'FAILED', errorCode: code, xTweetId: null, attempt: 1, postedAt: null },
    ])
    expect([account.grant().rotations, x.posts()]).toEqual([0, 1])
    expect(world.sandbox.control.tweets(account.username)).toEqual([])
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', lastUsedAt: null })
  })
})

const doubts: [title: string, fault: FaultKind, acted: boolean][] = [
  ['a connection cut after X acted', { kind: 'dropAfter' }, true],
  ['a connection cut before X acted', { kind: 'dropBefore' }, false],
  ['a connection cut half-way through the answer', { kind: 'cutHalfway' }, true],
  ['500 after X acted', { kind: 'problemAfter', name: 'internal-server-error' }, true],
  ['502 after X acted', { kind: 'problemAfter', name: 'bad-gateway' }, true],
  ['503 after X acted', { kind: 'problemAfter', name: 'service-unavailable' }, true],
  ['504 after X acted', { kind: 'problemAfter', name: 'gateway-timeout' }, true],
  ['500', { kind: 'problem', name: 'internal-server-error' }, false],
  ['silence', { kind: 'hang' }, false],
  ['silence after X acted', { kind: 'hang', act: true }, true],
  ['an empty id', { kind: 'answer', body: { data: { id: '', text: '' } } }, true],
  ['an id that is a number', { kind: 'answer', body: { data: { id: 1234567 } } }, true],
  ['no id', { kind: 'answer', body: { data: {} } }, true],
  ['no data', { kind: 'answer', omit: ['data'] }, true],
  ['no JSON', { kind: 'malformed', act: true, body: 'OK', contentType: 'text/plain' }, true],
  ['nothing', { kind: 'malformed', act: true, body: '', status: 201 }, true],
  ['a megabyte', { kind: 'oversized', bytes: 1_000_000, act: true }, true],
  ['a redirect', { kind: 'redirect', location: 'http://127.0.0.1:9/' }, false],
]

describe.each(doubts)('X answers a post with %s', (_, fault, acted) => {
  test('I-05 it is UNKNOWN, and never sent again by the same key', async () => {
    const account = await linkAccount(world)
    world.sandbox.control.inject(postFault(fault))
    const x = watchX(world)
    const first = await account.post('Perhaps', { idempotencyKey: keyOf(account) })
    expect(first).toMatchObject({
      tweet: { status: 'UNKNOWN', xTweetId: null, url: null },
      userErrors: [{ code: 'OUTCOME_UNKNOWN', retryable: false, retryAt: null }],
    })
    const again = await account.post('Perhaps', { idempotencyKey: keyOf(account) })
    expect(again.tweet?.id).toBe(first.tweet?.id)
    expect([account.grant().rotations, x.posts()]).toEqual([0, 1])
    expect(await account.tweets()).toHaveLength(1)
    expect(world.sandbox.control.tweets(account.username)).toHaveLength(acted ? 1 : 0)
  })
})

test('I-05 a tweet in doubt that X has is found, and one that X does not have may be sent again', {
  timeout: 60_000,
}, async () => {
  const arrived = await linkAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'dropAfter' }))
  await arrived.post('It arrived', { idempotencyKey: keyOf(arrived) })
  const missing = await linkAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'dropBefore' }))
  await missing.post('It did not', { idempotencyKey: keyOf(missing) })

  await vi.waitFor(
    async () => {
      expect(await arrived.tweets()).toMatchObject([{ status: 'POSTED', errorCode: null }])
      expect(await missing.tweets()).toMatchObject([{ status: 'FAILED', errorCode: 'NOT_POSTED' }])
    },
    { timeout: 50_000 },
  )
  const [there] = world.sandbox.control.tweets(arrived.username)
  expect(await arrived.tweets()).toMatchObject([{ xTweetId: there?.id }])
  const x = watchX(world)
  expect((await arrived.post('It arrived', { idempotencyKey: keyOf(arrived) })).tweet).toMatchObject({
    xTweetId: there?.id,
  })
  expect(x.posts()).toBe(0)
  expect((await missing.post('It did not', { idempotencyKey: keyOf(missing) })).tweet).toMatchObject({
    status: 'POSTED',
  })
  expect([x.posts(), world.sandbox.control.tweets(missing.username).length]).toEqual([1, 1])
})

test("X's own rules are met without any fault: duplicates, strangers, what is gone, and length", async () => {
  const account = await linkAccount(world)
  const { control } = world.sandbox
  expect((await account.post('Twice')).tweet).toMatchObject({ status: 'POSTED' })
  expect((await account.post('Twice')).userErrors).toMatchObject([{ code: 'DUPLICATE_TWEET' }])
  const strange = control.postAs('tomasz_k', 'Nobody is mentioned here')
  const kind = control.postAs('tomasz_k', `Hello @${account.username}`)
  expect((await account.post('Hello', { replyToXTweetId: strange })).userErrors).toMatchObject([
    { code: 'REPLY_NOT_ALLOWED' },
  ])
  expect((await account.post('Hello', { replyToXTweetId: '1' })).userErrors).toMatchObject([
    { code: 'REPLY_TARGET_GONE' },
  ])
  expect((await account.post('Hello', { replyToXTweetId: kind })).tweet).toMatchObject({ status: 'POSTED' })
  control.setAccount(account.username, { suspended: true })
  expect((await account.post('Suspended')).userErrors).toMatchObject([{ code: 'ACCOUNT_SUSPENDED' }])
  control.setAccount(account.username, { suspended: false })
  control.setRateLimit('post-tweet', 0)
  const [limited] = (await account.post('Too many')).userErrors
  control.setRateLimit('post-tweet', 100)
  expect(limited).toMatchObject({ code: 'RATE_LIMITED', retryable: true, retryAt: expect.any(String) })
  expect((await account.tweets()).map(({ status }) => status)).toEqual([
    'POSTED',
    'FAILED',
    'FAILED',
    'FAILED',
    'POSTED',
    'FAILED',
    'FAILED',
  ])
})

test('no redirect of X is followed with a tweet or a token', async () => {
  const account = await linkAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'redirect', location: `${world.sandbox.url}/elsewhere`, status: 307 }))
  await account.post()
  expect(world.sandbox.control.countReceived({ path: '/elsewhere' })).toBe(0)
})
