// Posts tweets, at most once for each idempotency key. The row is inserted before X is called, and
// marked as sent (`sentAt`) before the request is sent, so that after a crash it shows whether the
// tweet may exist. A tweet that may exist is not sent again. The states are drawn in outcome.ts.
import { setTimeout as sleep } from 'node:timers/promises'
import { and, eq, gt, sql } from 'drizzle-orm'
import { withAccessToken } from '../accounts/access-token.ts'
import { type ConnectedAccount, findConnectedAccount, listConnectedAccounts } from '../accounts/accounts.ts'
import type { TokenRow } from '../accounts/usable-token.ts'
import { isActiveUser } from '../db/active-user.ts'
import { sqlIn } from '../db/clock.ts'
import { prepareQuery } from '../db/prepared-query.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import { tweets } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { errorCodes } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { consumeRateLimit, isRateLimitSpent } from '../rate-limit/limiter.ts'
import { createTweet, type XTweetRequest } from '../x/api.ts'
import { refusal } from '../x/refusals.ts'
import { type Claim, claimTweet, type NewTweet, withdrawClaim } from './claim.ts'
import { claimTweetAgain, findTweetOfKey, type IdempotencyKey } from './idempotency-keys.ts'
import { countOutcome, logOutcome, type PostResult, type Tweet, writeOutcome } from './outcome.ts'
import { lookBeforeSending } from './reconcile.ts'
import { lookForLostPost } from './restored-posts.ts'
import { MAX_PREMIUM_WEIGHTED_LENGTH } from './text/length.ts'
import { assertTweetText, isLongTweet, maxTweetLength, parseIdempotencyKey } from './tweet-input.ts'
import { findTweet, type ShownTweet, tweetError } from './tweets.ts'

/** The input of `postTweet`. A null leaves the choice to the gateway, or to X. */
export type PostTweetInput = XTweetRequest & { accountId: string | null; idempotencyKey: string | null }

const WAIT_POLL_MILLISECONDS = 100
// Each try fails only if the account or the key changes meanwhile.
const MAX_TRIES = 10
// A token that was read earlier is read again.
const TOKEN_FRESH_MILLISECONDS = 1_000
const UNCLEAR = 'The timeline does not show whether an earlier sending was posted.'

/**
 * Posts a tweet. Repeated calls with the same idempotency key and input return the first outcome,
 * for any number of callers, also while the first call is under way. A failure that time or a
 * person can resolve is tried again.
 *
 * @returns the tweet: POSTED, FAILED or UNKNOWN; PENDING when another call with the same key takes
 * too long.
 * @throws AppError for input errors, before a row is inserted; the key then stays unused.
 */
export async function postTweet(deps: Deps, userId: string, input: PostTweetInput): Promise<ShownTweet> {
  assertTweetText(input.text, MAX_PREMIUM_WEIGHTED_LENGTH)
  if (input.replyToXTweetId !== null && !/^\d{1,19}$/.test(input.replyToXTweetId)) {
    throw new AppError('REPLY_TARGET_INVALID', { field: ['input', 'replyToXTweetId'] })
  }
  const { idempotencyKey, ...request } = input
  const key = parseIdempotencyKey(idempotencyKey, [
    input.text,
    input.accountId,
    input.replyToXTweetId,
    input.replySettings,
    input.madeWithAi,
  ])
  const tweet = { ...request, userId, isLong: isLongTweet(input.text) }
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    // A limit that is used up is not worth a row.
    const claim = isRateLimitSpent(deps, 'post', userId, 1) ? null : await claimTweet(deps, tweet, key)
    const outcome = claim === null ? await repeatOrRefuse(deps, tweet, key) : await sendNew(deps, claim, key)
    if (outcome !== null) return outcome
  }
  throw new Error('Bug: a tweet can neither be claimed nor refused')
}

// Returns the outcome of the key; null when the tweet can be claimed now.
async function repeatOrRefuse(deps: Deps, tweet: NewTweet, key: IdempotencyKey | null): Promise<Tweet | null> {
  const earlier = key && (await findTweetOfKey(deps, tweet.userId, key))
  if (key !== null && earlier !== null) return repeat(deps, earlier, key)
  const account = await chooseAccount(deps, tweet.userId, tweet.accountId)
  assertTweetText(tweet.text, maxTweetLength(account))
  if (isRateLimitSpent(deps, 'post', tweet.userId, 1)) await consumeRateLimit(deps, 'post', tweet.userId, 1)
  return null
}

// Of the callers of one key, the one that has claimed it consumes the rate limit. If that is
// refused, no row is left.
async function sendNew(
  deps: Deps,
  { tweet, username, claimedAt, token }: Claim,
  key: IdempotencyKey | null,
): Promise<ShownTweet> {
  try {
    await consumeRateLimit(deps, 'post', tweet.userId, 1)
  } catch (error) {
    await withdrawClaim(deps, tweet, key).catch((error) =>
      deps.log.warn({ error, tweetId: tweet.id }, 'Could not delete a tweet that was not sent; the sweep will end it'),
    )
    throw error
  }
  const isFresh = performance.now() - claimedAt < TOKEN_FRESH_MILLISECONDS
  const sent = await send(deps, tweet, claimedAt, {
    earlier: null,
    token: isFresh ? token : null,
    hasKey: key !== null,
  })
  return { ...sent, username }
}

// @param earlier the row before it was claimed again; null for a tweet that was never sent.
// @param token the account's token, if it has just been read.
async function send(
  deps: Deps,
  tweet: Tweet,
  claimedAt: number,
  { earlier, token, hasKey }: { earlier: Tweet | null; token: TokenRow | null; hasKey: boolean },
): Promise<Tweet> {
  let result: PostResult
  let isSent = false
  try {
    if (hasKey) {
      const found = await lookForLostPost(deps, tweet)
      if (found !== null) return 'kind' in found ? await finish(deps, tweet, found) : found
    }
    if (earlier?.mayExistSince != null) {
      const found = await lookBeforeSending(deps, tweet, earlier.mayExistSince, earlier.claimedUntil)
      if (found === 'UNCLEAR') return await finish(deps, tweet, { kind: 'unknown', cause: new Error(UNCLEAR) })
      if (found !== 'ABSENT') return found
    }
    result = await withAccessToken(
      deps,
      { id: tweet.accountId, userId: tweet.userId },
      'POST_TWEET',
      async (accessToken) => {
        await markSent(deps, tweet, claimedAt)
        isSent = true
        const response = await createTweet(deps, accessToken, tweet)
        // For a 401 X guarantees that nothing was done.
        isSent = response.kind !== 'unauthorized'
        return response
      },
      token,
    )
  } catch (error) {
    if (!(error instanceof AppError)) {
      await giveUp(deps, tweet, isSent, error)
      throw error
    }
    // withAccessToken throws only when nothing was posted.
    result = refusal(error.code, { retryAt: error.retryAt })
  }
  return finish(deps, tweet, result)
}

async function finish(deps: Deps, tweet: Tweet, result: PostResult): Promise<Tweet> {
  const written = await retryUntilWritten(deps, 'store the outcome of a tweet', () => writeOutcome(deps, tweet, result))
  logOutcome(deps, written, result)
  countOutcome(deps, written, result)
  return written
}

// For unexpected errors: a tweet that stays PENDING would block its idempotency key until the
// sweep. One try: if the database is what failed, the sweep does it.
async function giveUp(deps: Deps, tweet: Tweet, isSent: boolean, cause: unknown): Promise<void> {
  const result: PostResult = isSent ? { kind: 'unknown', cause } : refusal('POST_INTERRUPTED')
  try {
    const written = await writeOutcome(deps, tweet, result)
    logOutcome(deps, written, null)
    countOutcome(deps, written, null)
  } catch (error) {
    deps.log.warn({ error, tweetId: tweet.id }, 'Could not store the outcome of a tweet; the sweep will')
  }
}

async function markSent(deps: Deps, { userId, id, attempt }: Tweet, claimedAt: number): Promise<void> {
  const { callDeadlineSeconds, sendMarginSeconds, tweetClaimSeconds } = deps.timing
  const secondsSpent = (performance.now() - claimedAt) / 1000
  const [marked] =
    secondsSpent > tweetClaimSeconds - callDeadlineSeconds - sendMarginSeconds
      ? []
      : await updateSent(deps, { userId, id, attempt, callDeadlineSeconds })
  if (marked === undefined) throw new AppError('POST_INTERRUPTED')
}

const updateSent = prepareQuery(({ db, clock }) => {
  const given = sql.placeholder
  return (
    db
      .update(tweets)
      // The timeline does not contain the earlier sending.
      .set({ sentAt: clock.sqlNow(), mayExistSince: null })
      .where(
        and(
          eq(tweets.userId, given('userId')),
          eq(tweets.id, given('id')),
          eq(tweets.attempt, given('attempt')),
          eq(tweets.status, 'PENDING'),
          isActiveUser(given('userId')),
          // The statement itself may have been delayed by a slow database.
          gt(tweets.claimedUntil, sqlIn(clock, given('callDeadlineSeconds'))),
        ),
      )
      .returning({ id: tweets.id })
  )
})

// Returns null when the tweet has been deleted since, with its key.
async function repeat(deps: Deps, earlier: Tweet, key: IdempotencyKey): Promise<Tweet | null> {
  const { userId } = earlier
  if (earlier.status === 'PENDING') return waitForOutcome(deps, userId, earlier)
  const error = tweetError(earlier)
  if (earlier.status !== 'FAILED' || error === null || errorCodes[error.code].retry === 'NEVER') return earlier
  // An operator may raise a usage cap before it ends: x/blocks.ts then decides whether X is called.
  if (error.code !== 'X_USAGE_CAPPED' && error.retryAt !== null && error.retryAt > deps.clock.now()) return earlier
  await chooseAccount(deps, userId, earlier.accountId)
  const claimedAt = performance.now()
  const again = await transaction(deps, async (deps) => {
    const claimed = await claimTweetAgain(deps, earlier, key, {
      status: 'PENDING',
      attempt: earlier.attempt + 1,
      // The reads counted so far belong to the previous sending.
      timelineReads: 0,
      claimedUntil: sqlIn(deps.clock, deps.timing.tweetClaimSeconds),
      sentAt: null,
      errorCode: null,
      errorDetail: null,
      retryAt: null,
    })
    if (claimed !== null) await consumeRateLimit(deps, 'post', userId, 1)
    return claimed
  })
  return again === null
    ? waitForOutcome(deps, userId, earlier)
    : send(deps, again, claimedAt, { earlier, token: null, hasKey: true })
}

// Returns null when the tweet has been deleted since.
async function waitForOutcome(deps: Deps, userId: string, pending: Tweet): Promise<Tweet | null> {
  const giveUpAt = performance.now() + deps.timing.waitForTweetSeconds * 1000
  let tweet: Tweet | null
  do {
    await sleep(WAIT_POLL_MILLISECONDS * (0.5 + Math.random()))
    tweet = await findTweet(deps, userId, pending.id)
  } while (tweet?.status === 'PENDING' && performance.now() < giveUpAt)
  return tweet
}

async function chooseAccount(deps: Deps, userId: string, accountId: string | null): Promise<ConnectedAccount> {
  const field = ['input', 'accountId']
  if (accountId === null) {
    const accounts = await listConnectedAccounts(deps, userId, { includeDisconnected: false })
    const active = accounts.filter((account) => account.status === 'ACTIVE')
    if (active.length > 1) throw new AppError('ACCOUNT_AMBIGUOUS', { field })
    if (active[0] === undefined) throw new AppError('NO_ACTIVE_ACCOUNT', { field })
    return active[0]
  }
  const account = await findConnectedAccount(deps, userId, accountId)
  if (account === null) throw new AppError('ACCOUNT_NOT_FOUND', { field })
  if (account.status === 'DISCONNECTED') throw new AppError('ACCOUNT_DISCONNECTED', { field })
  if (account.status === 'NEEDS_REAUTH') throw new AppError('ACCOUNT_NEEDS_REAUTH', { field })
  if (!account.scopes.includes('tweet.write')) throw new AppError('SCOPES_MISSING', { field })
  return account
}
