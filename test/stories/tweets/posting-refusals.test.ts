// Every refusal and failure of X. The tweet's row and the response name it.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type ErrorCode, errorCodes } from '../../../src/error-codes.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import type { ProblemName } from '../../../src/sandbox/x/problems.ts'
import { type ConnectedAccount, connectAccount, endFaults, postFault, watchX } from '../../support/connected-account.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  // One user connects an account for each refusal.
  world = await startWorld({ MAX_ACCOUNTS_PER_USER: '1000' }, impatient)
})
afterEach(() => {
  endFaults(world)
  world.sandbox.control.setVocabulary('tweet')
  // The gateway remembers for a while what X said of the whole app.
  world.advance(1000)
})
afterAll(() => world.close())

// A key belongs to the user, who has all these accounts.
const keyOf = (account: ConnectedAccount) => `the tweet of ${account.username}`

type Refusal = [title: string, fault: FaultKind, code: ErrorCode, retryable?: boolean]
const problem = (name: ProblemName): FaultKind => ({ kind: 'problem', name })
const typed = (status: number, type: string): FaultKind => ({
  kind: 'status',
  status,
  body: { type: `https://api.twitter.com/2/problems/${type}`, title: 'A title', detail: 'A detail', extra: [1] },
})

const titled = (title: string): FaultKind => ({ kind: 'status', status: 403, body: { title, status: 403 } })

const refusals: Refusal[] = [
  ['a duplicate', problem('duplicate-content'), 'DUPLICATE_TWEET'],
  ['a refusal in general', problem('not-permitted'), 'TWEET_REFUSED'],
  ['a missing scope', problem('missing-scope'), 'SCOPES_MISSING'],
  ['a reply that is not allowed', problem('reply-not-allowed'), 'REPLY_NOT_ALLOWED'],
  ['a reply to what is gone', problem('reply-target-gone'), 'REPLY_TARGET_GONE'],
  ['an app that is not enrolled', problem('client-not-enrolled'), 'X_APP_NOT_ENROLLED'],
  ['an app that is not enrolled, by the older host', typed(403, 'client-forbidden'), 'X_APP_NOT_ENROLLED'],
  ['no credits', problem('credits-depleted'), 'X_CREDITS_EXHAUSTED'],
  ['no credits, as of old', problem('credits-depleted-older'), 'X_CREDITS_EXHAUSTED'],
  ['no credits, in no words', { kind: 'status', status: 402 }, 'X_CREDITS_EXHAUSTED'],
  ['the usage cap', problem('usage-capped'), 'X_USAGE_CAPPED', true],
  ['the usage cap, by the older host', typed(429, 'usage-capped'), 'X_USAGE_CAPPED', true],
  ['the rate limit', problem('too-many-requests'), 'X_RATE_LIMITED', true],
  ['the rate limit, in no words', { kind: 'status', status: 429 }, 'X_RATE_LIMITED', true],
  ['a bad body', problem('invalid-request'), 'X_REQUEST_INVALID'],
  ['a bad media id', problem('invalid-media'), 'X_REQUEST_INVALID'],
  ['a suspended account, by 403', problem('suspended'), 'ACCOUNT_SUSPENDED'],
  ['a suspended account, by 401', problem('suspended-unauthorized'), 'ACCOUNT_SUSPENDED'],
  ['a locked account', problem('locked'), 'ACCOUNT_SUSPENDED'],
  ['the reply refusal of 2026', problem('reply-not-engaged'), 'REPLY_NOT_ALLOWED'],
  ['a mention that is not allowed', problem('mentions-not-allowed'), 'MENTION_NOT_ALLOWED'],
  ['a text that is too long, by 400', problem('text-too-long'), 'TEXT_TOO_LONG'],
  ['a suspicion of automation', problem('looks-automated'), 'X_SUSPECTS_AUTOMATION', true],
  ['the daily limit, by 403', problem('daily-limit'), 'X_RATE_LIMITED', true],
  ['an app that may only read', problem('app-read-only'), 'X_APP_READ_ONLY'],
  ['an app that is suspended', problem('app-suspended'), 'X_APP_SUSPENDED'],
  ['the spend cap, by its title', problem('spend-cap-reached'), 'X_USAGE_CAPPED', true],
  ['the spend cap, by its type', problem('spend-cap-reached-typed'), 'X_USAGE_CAPPED', true],
  ['the usage cap, by 403', typed(403, 'usage-capped'), 'X_USAGE_CAPPED', true],
  ['a duplicate, by its number', problem('v1-duplicate'), 'DUPLICATE_TWEET'],
  ['a duplicate, by its type', typed(403, 'duplicate-rules'), 'DUPLICATE_TWEET'],
  [
    'a duplicate, by its title',
    titled('You are not allowed to create a Tweet with duplicate content.'),
    'DUPLICATE_TWEET',
  ],
  ['a reply to what is gone, by its number', problem('v1-reply-target-gone'), 'REPLY_TARGET_GONE'],
  ['a reply that its author restricts, by its number', problem('v1-reply-restricted'), 'REPLY_NOT_ALLOWED'],
  ['a reply to what it may not see, by its type', typed(403, 'not-authorized-for-resource'), 'REPLY_NOT_ALLOWED'],
  ['a text that is too long, by its number', problem('v1-too-long'), 'TEXT_TOO_LONG'],
  ['a suspicion of automation, by its number', problem('v1-looks-automated'), 'X_SUSPECTS_AUTOMATION', true],
  ['the daily limit, by its number', problem('v1-daily-limit'), 'X_RATE_LIMITED', true],
  ['the daily limit of updates, by its number', problem('v1-over-daily-limit'), 'X_RATE_LIMITED', true],
  ['the rate limit, by its number', problem('v1-rate-limited'), 'X_RATE_LIMITED', true],
  ['an app that may only read, by its number', problem('v1-app-read-only'), 'X_APP_READ_ONLY'],
  ['an app that is suspended, by its number', problem('v1-app-suspended'), 'X_APP_SUSPENDED'],
  ['an access level that is too low, by its number', problem('v1-access-level'), 'X_APP_NOT_ENROLLED'],
  ['a suspended account, by its number', problem('v1-suspended'), 'ACCOUNT_SUSPENDED'],
  ['a locked account, by its number', problem('v1-locked'), 'ACCOUNT_SUSPENDED'],
  ['a failure of its own, by its number', problem('v1-internal-error'), 'X_UNAVAILABLE', true],
  ['what it calls passing', titled('Try again later.'), 'X_UNAVAILABLE', true],
  ['a refusal that nobody knows', typed(403, 'brand-new'), 'TWEET_REFUSED'],
]

describe.each(refusals)('X responds to a post with %s', (_, fault, code, retryable = false) => {
  // X writes "Tweet" or "Post" for the same thing.
  test.each(['tweet', 'post'] as const)(
    `it is FAILED with ${code}, and nothing is tried again by itself (%s)`,
    async (vocabulary) => {
      const account = await connectAccount(world)
      world.sandbox.control.setVocabulary(vocabulary)
      world.sandbox.control.inject(postFault(fault))
      const x = watchX(world)
      const { tweet, userErrors } = await account.post('Refused', { idempotencyKey: keyOf(account) })
      expect(tweet).toMatchObject({ status: 'FAILED', xTweetId: null, url: null, text: 'Refused', postedAt: null })
      expect(userErrors).toEqual([
        {
          code,
          retry: errorCodes[code].retry,
          retryable,
          message: expect.stringMatching(/\.$/),
          field: null,
          // For a fault of the app that the operator must correct it says when X is tried again.
          retryAt: retryable || code.startsWith('X_') ? expect.toBeOneOf([null, expect.any(String)]) : null,
        },
      ])
      expect(await account.person.api('tweet', { tweetId: tweet?.id })).toMatchObject({
        tweet: { status: 'FAILED', xTweetId: null, error: { code, retryable } },
      })
      expect(await account.tweets()).toMatchObject([
        { id: tweet?.id, status: 'FAILED', errorCode: code, xTweetId: null, attempt: 1, postedAt: null },
      ])
      expect([account.grant().rotations, x.posts()]).toEqual([0, 1])
      expect(world.sandbox.control.tweets(account.username)).toEqual([])
      expect(await account.show()).toMatchObject({ status: 'ACTIVE', lastUsedAt: null })
    },
  )
})

test('refreshes the access token that X calls expired in its error code, and posts the tweet', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault(problem('v1-unauthorized')))
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(account.grant().rotations).toBe(1)
})

test('a usage cap with an end says so, stops the app once, and is tried again earlier', async () => {
  const [account, other] = [await connectAccount(world), await connectAccount(world)]
  const { control } = world.sandbox
  const end = new Date(control.now() + 20 * 86_400_000).toISOString().slice(0, 10)
  const body = { title: 'SpendCapReached', type: 'https://api.x.com/2/problems/credits', reset_date: end }
  control.inject(postFault({ kind: 'status', status: 403, body }))
  const x = watchX(world)
  const idempotencyKey = keyOf(account)
  const { userErrors } = await account.post('Capped', { idempotencyKey })
  expect(userErrors).toMatchObject([{ code: 'X_USAGE_CAPPED', retryable: true, retryAt: `${end}T00:00:00.000Z` }])
  expect((await other.post()).userErrors).toMatchObject([{ code: 'X_USAGE_CAPPED' }])
  expect((await account.post('Capped', { idempotencyKey })).userErrors).toMatchObject([{ code: 'X_USAGE_CAPPED' }])
  expect(x.posts()).toBe(1)
  // The operator has raised the cap.
  world.advance(600)
  expect((await account.post('Capped', { idempotencyKey })).tweet).toMatchObject({ status: 'POSTED' })
})

test.each(['2020-01-01', 'soon', '9999-12-31', ''])(
  'a cap that ends on %j ends nobody knows when',
  async (reset_date) => {
    const account = await connectAccount(world)
    const body = { title: 'SpendCapReached', detail: 'Reached', reset_date }
    world.sandbox.control.inject(postFault({ kind: 'status', status: 403, body }))
    expect((await account.post()).userErrors).toMatchObject([{ code: 'X_USAGE_CAPPED', retryAt: null }])
  },
)

describe('an unknown refusal', () => {
  const body = {
    type: 'https://api.x.com/2/problems/brand-new',
    title: 'Brand New',
    detail: 'Of @somebody',
    status: 403,
  }

  test('keeps its status, title and type in the log, in the response and in the row', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.inject(postFault({ kind: 'status', status: 403, body }))
    const { tweet, userErrors } = await account.post('Refused anew', { idempotencyKey: keyOf(account) })
    const message = expect.stringMatching(
      /on length, cashtags and content\. X responded 403 "Brand New" \(brand-new\)\.$/,
    )
    expect(userErrors).toMatchObject([{ code: 'TWEET_REFUSED', message }])
    expect(await account.person.api('tweet', { tweetId: tweet?.id })).toMatchObject({ tweet: { error: { message } } })
    const again = await account.post('Refused anew', { idempotencyKey: keyOf(account) })
    expect(again.userErrors).toMatchObject([{ code: 'TWEET_REFUSED', message }])
    const lines = world
      .logs()
      .split('\n')
      .filter((line) => line.includes(tweet?.id ?? '') && line.includes('not posted'))
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { errorCode: 'TWEET_REFUSED', x: { status: 403, title: 'Brand New', type: 'brand-new' } },
    ])
    expect(lines.join()).not.toContain('@somebody')
  })

  test('also of a deletion', async () => {
    const account = await connectAccount(world)
    const { tweet } = await account.post()
    world.sandbox.control.inject({ kind: 'status', status: 403, body, match: { method: 'DELETE' } })
    const response = await account.person.api('delete-tweet', { input: { tweetId: tweet?.id } })
    expect(response).toMatchObject({
      deleteTweet: {
        tweet: null,
        userErrors: [{ code: 'TWEET_REFUSED', message: expect.stringContaining('(brand-new)') }],
      },
    })
    expect(world.logs()).toContain('"x":{"status":403,"title":"Brand New","type":"brand-new"}')
  })

  test('has a title on one line, short and without a token', async () => {
    const account = await connectAccount(world)
    const token = account.grant().accessToken ?? ''
    const title = `One\n\u0000two\u202e ${token} ${'long '.repeat(100)}`
    world.sandbox.control.inject(postFault({ kind: 'status', status: 403, body: { ...body, title } }))
    const { userErrors } = await account.post()
    expect(userErrors).toMatchObject([
      { message: expect.stringMatching(/"One two \[secret\] [long ]{1,90}" \(brand-new\)/) },
    ])
    expect(world.logs()).not.toContain(token)
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
  ['an empty id', { kind: 'response', body: { data: { id: '', text: '' } } }, true],
  ['an id that is a number', { kind: 'response', body: { data: { id: 1234567 } } }, true],
  ['no id', { kind: 'response', body: { data: {} } }, true],
  ['no data', { kind: 'response', omit: ['data'] }, true],
  ['no JSON', { kind: 'malformed', act: true, body: 'OK', contentType: 'text/plain' }, true],
  ['nothing', { kind: 'malformed', act: true, body: '', status: 201 }, true],
  ['a megabyte', { kind: 'oversized', bytes: 1_000_000, act: true }, true],
  ['a redirect', { kind: 'redirect', location: 'http://127.0.0.1:9/' }, false],
]

describe.each(doubts)('X responds to a post with %s', (_, fault, acted) => {
  test('I-05 the tweet is UNKNOWN, and never sent again by the same key', async () => {
    const account = await connectAccount(world)
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

test('I-05 finds a tweet in doubt that X has, and allows another try for one that X does not have', async () => {
  const arrived = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'dropAfter' }))
  await arrived.post('It arrived', { idempotencyKey: keyOf(arrived) })
  const missing = await connectAccount(world)
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
  const account = await connectAccount(world)
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
  expect(limited).toMatchObject({ code: 'X_RATE_LIMITED', retryable: true, retryAt: expect.any(String) })
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

test('follows no redirect of X with a tweet or a token', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'redirect', location: `${world.sandbox.url}/elsewhere`, status: 307 }))
  await account.post()
  expect(world.sandbox.control.countReceived({ path: '/elsewhere' })).toBe(0)
})
