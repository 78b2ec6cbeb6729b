// A tweet is a row that moves: PENDING → POSTED | FAILED | UNKNOWN. It is written before X is called, and marked as sent before
// the request leaves, so that after any crash the row tells whether the tweet may exist. One that may exist is never sent again.
import { setTimeout as sleep } from 'node:timers/promises'
import { and, eq, gt, inArray } from 'drizzle-orm'
import { withAccessToken } from '../accounts/access-token.ts'
import { type ConnectedAccount, findConnectedAccount, listConnectedAccounts } from '../accounts/accounts.ts'
import { sha256 } from '../crypto.ts'
import { sqlIn } from '../db/clock.ts'
import { type KeysetPage, keysetCondition, keysetOrder } from '../db/keyset.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import { isRowId } from '../db/row-id.ts'
import { tweets } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { errorCodes, isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { consumeRateLimit } from '../rate-limit/limiter.ts'
import { createTweet, deleteXTweet, type XTweetRequest } from '../x/api.ts'
import { refusal, refusalError, withProblem } from '../x/refusals.ts'
import { logOutcome, type PostResult, type Tweet, writeOutcome } from './outcome.ts'
import { lookBeforeSending, MAX_READS } from './reconcile.ts'
import { checkTweetText, MAX_PREMIUM_WEIGHTED_LENGTH, MAX_WEIGHTED_LENGTH } from './text/length.ts'

/** What a caller asks to be posted. Null leaves a choice to us, or to X. */
export type PostTweetInput = XTweetRequest & { accountId: string | null; idempotencyKey: string | null }

const WAIT_POLL_MILLISECONDS = 100
const MAX_KEY_LENGTH = 255
const UNCLEAR = 'The timeline does not tell whether an earlier sending was posted.'
const GIVEN_UP =
  'X did not tell whether it posted this, and the timeline does not show for certain that it did or did not. Look for it at x.com. If it is not there, post it under another idempotency key.'
// 12,500 of the longest emoji are 187,500, and count as 25,000.
const MAX_TEXT_UNITS = 200_000
// subscription_type of accounts that may post long.
const PREMIUM = ['Basic', 'Premium', 'PremiumPlus']

/** How long a tweet of this account may be, as `weightedLength` counts. */
export function maxTweetLength(account: Pick<ConnectedAccount, 'subscriptionType'>): number {
  return PREMIUM.includes(account.subscriptionType ?? '') ? MAX_PREMIUM_WEIGHTED_LENGTH : MAX_WEIGHTED_LENGTH
}

/** Why a tweet failed or is unknown; null for one that did not. */
export function tweetError(tweet: Tweet): AppError | null {
  const { errorCode, errorDetail, retryAt } = tweet
  if (errorCode === null) return null
  if (!isErrorCode(errorCode)) return new AppError('INTERNAL')
  const isGivenUp = tweet.status === 'UNKNOWN' && tweet.settleReads >= MAX_READS
  const detail = isGivenUp ? GIVEN_UP : errorDetail === null ? null : withProblem(errorCode, errorDetail)
  return new AppError(errorCode, { retryAt, ...(detail !== null && { detail }) })
}

/**
 * Posts a tweet: at most once for each idempotency key, whatever happens. The same key with the same input gives the first outcome,
 * to any number of callers, also while it is under way; except that a refusal which time or a person can cure is tried again.
 *
 * @returns the row as it stands: POSTED, FAILED or UNKNOWN, or still PENDING when another caller of the same key is slow.
 * @throws AppError for what keeps a row from being written at all; the key is then free.
 */
export async function postTweet(deps: Deps, userId: string, input: PostTweetInput): Promise<Tweet> {
  refuseText(input.text, MAX_PREMIUM_WEIGHTED_LENGTH)
  if (input.replyToXTweetId !== null && !/^\d{1,19}$/.test(input.replyToXTweetId)) {
    throw new AppError('REPLY_TARGET_INVALID', { field: ['input', 'replyToXTweetId'] })
  }
  const keyHash = readKey(input.idempotencyKey)
  const requestHash = sha256(
    JSON.stringify([input.text, input.accountId, input.replyToXTweetId, input.replySettings, input.madeWithAi]),
  )
  const earlier = await findByKey(deps, userId, keyHash)
  if (earlier !== null) return repeat(deps, userId, earlier, requestHash)
  const account = await chooseAccount(deps, userId, input.accountId)
  refuseText(input.text, maxTweetLength(account))
  const claimedAt = performance.now()
  // Of the callers of one key one pays; refused, it leaves no row.
  const [tweet] = await transaction(deps, async (deps) => {
    const inserted = await deps.db
      .insert(tweets)
      .values({
        userId,
        accountId: account.id,
        idempotencyKeyHash: keyHash,
        requestHash,
        text: input.text,
        replyToXTweetId: input.replyToXTweetId,
        replySettings: input.replySettings,
        madeWithAi: input.madeWithAi,
        status: 'PENDING',
        claimedUntil: sqlIn(deps.clock, deps.timing.tweetClaimSeconds),
        createdAt: deps.clock.sqlNow(),
      })
      .onConflictDoNothing({ target: [tweets.userId, tweets.idempotencyKeyHash] })
      .returning()
    if (inserted.length > 0) await consumeRateLimit(deps, 'post', userId, 1)
    return inserted
  })
  if (tweet !== undefined) return send(deps, tweet, claimedAt, null)
  // Another caller of the same key was quicker.
  const winner = await findByKey(deps, userId, keyHash)
  if (winner === null) throw new Error('Bug: a tweet is neither inserted nor found')
  return repeat(deps, userId, winner, requestHash)
}

/** The user's tweet with this id, or null. */
export async function findTweet(deps: Deps, userId: string, tweetId: string): Promise<Tweet | null> {
  if (!isRowId(tweetId)) return null
  const [tweet] = await deps.db
    .select()
    .from(tweets)
    .where(and(eq(tweets.userId, userId), eq(tweets.id, tweetId)))
  return tweet ?? null
}

/** Tweets of the user by id. The ids are those of rows. */
export function listTweetsByIds(deps: Deps, userId: string, ids: readonly string[]): Promise<Tweet[]> {
  return deps.db
    .select()
    .from(tweets)
    .where(and(eq(tweets.userId, userId), inArray(tweets.id, [...ids])))
}

/** A page of the user's tweets; `accountId` null: of all accounts. */
export async function listTweets(
  deps: Deps,
  userId: string,
  page: KeysetPage & { accountId: string | null },
): Promise<Tweet[]> {
  const { accountId } = page
  if (accountId !== null && !isRowId(accountId)) return []
  return deps.db
    .select()
    .from(tweets)
    .where(
      and(
        eq(tweets.userId, userId),
        accountId === null ? undefined : eq(tweets.accountId, accountId),
        keysetCondition(tweets, page),
      ),
    )
    .orderBy(...keysetOrder(tweets, page))
    .limit(page.limit)
}

/** Counts the user's tweets; `accountId` null: of all accounts. */
export async function countTweets(deps: Deps, userId: string, accountId: string | null): Promise<number> {
  if (accountId !== null && !isRowId(accountId)) return 0
  const isIts = accountId === null ? undefined : eq(tweets.accountId, accountId)
  return deps.db.$count(tweets, and(eq(tweets.userId, userId), isIts))
}

/**
 * Deletes a posted tweet at X. Deleting it again changes nothing.
 * @throws AppError TWEET_NOT_FOUND, TWEET_NOT_DELETABLE, and whatever keeps us from X; then the tweet stays POSTED.
 */
export async function deleteTweet(deps: Deps, userId: string, tweetId: string): Promise<Tweet> {
  const tweet = await findTweet(deps, userId, tweetId)
  if (tweet === null) throw new AppError('TWEET_NOT_FOUND', { field: ['input', 'tweetId'] })
  if (tweet.status === 'DELETED') return tweet
  const { xTweetId } = tweet
  if (tweet.status !== 'POSTED' || xTweetId === null)
    throw new AppError('TWEET_NOT_DELETABLE', { field: ['input', 'tweetId'] })
  const answer = await withAccessToken(deps, { id: tweet.accountId, userId }, 'DELETE_TWEET', (accessToken) =>
    deleteXTweet(deps, accessToken, xTweetId),
  )
  if (answer.kind === 'refused') {
    deps.log.warn({ tweetId, errorCode: answer.code, x: answer.problem }, 'X refused to delete a tweet')
    throw refusalError(answer)
  }
  // Deleting twice does no harm, so an unknown outcome is simply to be tried again.
  if (answer.kind === 'unknown') throw new AppError('X_UNAVAILABLE', { cause: answer.cause })
  return transaction(deps, async (deps) => {
    const [deleted] = await deps.db
      .update(tweets)
      .set({ status: 'DELETED' })
      .where(and(eq(tweets.id, tweet.id), eq(tweets.status, 'POSTED')))
      .returning()
    if (deleted !== undefined)
      await recordEvent(deps, { type: 'tweet.deleted', userId, accountId: tweet.accountId, tweetId: tweet.id })
    // Another caller who deletes it too was quicker.
    return deleted ?? { ...tweet, status: 'DELETED' }
  })
}

// @param earlier the row before it was claimed again; null for a tweet that was never sent.
async function send(deps: Deps, tweet: Tweet, claimedAt: number, earlier: Tweet | null): Promise<Tweet> {
  let answer: PostResult
  let asked = false
  try {
    if (earlier?.mayExistSince != null) {
      const found = await lookBeforeSending(deps, tweet, earlier.mayExistSince, earlier.claimedUntil)
      if (found === 'UNCLEAR') return await finish(deps, tweet, { kind: 'unknown', cause: new Error(UNCLEAR) })
      if (found !== 'ABSENT') return found
    }
    answer = await withAccessToken(
      deps,
      { id: tweet.accountId, userId: tweet.userId },
      'POST_TWEET',
      async (accessToken) => {
        await markSent(deps, tweet, claimedAt)
        asked = true
        const response = await createTweet(deps, accessToken, tweet)
        // 401: X promises to have done nothing.
        asked = response.kind !== 'unauthorized'
        return response
      },
    )
  } catch (error) {
    if (!(error instanceof AppError)) {
      await giveUp(deps, tweet, asked, error)
      throw error
    }
    // withAccessToken throws only while nothing has been posted.
    answer = refusal(error.code, { retryAt: error.retryAt })
  }
  return finish(deps, tweet, answer)
}

async function finish(deps: Deps, tweet: Tweet, answer: PostResult): Promise<Tweet> {
  const written = await retryUntilWritten(deps, 'write down what became of a tweet', () =>
    writeOutcome(deps, tweet, answer),
  )
  logOutcome(deps, written, answer)
  return written
}

// For what nobody has foreseen: a tweet that stays PENDING would keep its idempotency key until the
// sweep. One try: if the database is what failed, that is left to the sweep.
async function giveUp(deps: Deps, tweet: Tweet, asked: boolean, cause: unknown): Promise<void> {
  const answer: PostResult = asked ? { kind: 'unknown', cause } : refusal('POST_INTERRUPTED')
  try {
    logOutcome(deps, await writeOutcome(deps, tweet, answer), null)
  } catch (error) {
    deps.log.warn({ error, tweetId: tweet.id }, 'A tweet could not be given up at once; the sweep does it')
  }
}

async function markSent(deps: Deps, tweet: Tweet, claimedAt: number): Promise<void> {
  const { timing } = deps
  const secondsSpent = (performance.now() - claimedAt) / 1000
  const [marked] =
    secondsSpent > timing.tweetClaimSeconds - timing.callDeadlineSeconds - timing.sendMarginSeconds
      ? []
      : await deps.db
          .update(tweets)
          // The timeline has been read, and the earlier sending is not in it.
          .set({ sentAt: deps.clock.sqlNow(), mayExistSince: null })
          .where(
            and(
              eq(tweets.id, tweet.id),
              eq(tweets.attempt, tweet.attempt),
              eq(tweets.status, 'PENDING'),
              // This very statement may have waited for a database that was slow.
              gt(tweets.claimedUntil, sqlIn(deps.clock, timing.callDeadlineSeconds)),
            ),
          )
          .returning({ id: tweets.id })
  if (marked === undefined) throw new AppError('POST_INTERRUPTED')
}

async function repeat(deps: Deps, userId: string, earlier: Tweet, requestHash: string): Promise<Tweet> {
  if (earlier.requestHash !== requestHash)
    throw new AppError('IDEMPOTENCY_KEY_REUSED', { field: ['input', 'idempotencyKey'] })
  if (earlier.status === 'PENDING') return waitForOutcome(deps, userId, earlier)
  const error = tweetError(earlier)
  if (earlier.status !== 'FAILED' || error === null || errorCodes[error.code].retry === 'NEVER') return earlier
  // Not for a cap, which an operator may raise before it ends: whether X is asked is then up to
  // x/limits.ts.
  if (error.code !== 'X_USAGE_CAPPED' && error.retryAt !== null && error.retryAt > deps.clock.now()) return earlier
  await chooseAccount(deps, userId, earlier.accountId)
  const claimedAt = performance.now()
  const [again] = await transaction(deps, async (deps) => {
    const claimed = await deps.db
      .update(tweets)
      .set({
        status: 'PENDING',
        attempt: earlier.attempt + 1,
        // The reads counted so far were for the sending before.
        settleReads: 0,
        claimedUntil: sqlIn(deps.clock, deps.timing.tweetClaimSeconds),
        sentAt: null,
        errorCode: null,
        errorDetail: null,
        retryAt: null,
      })
      .where(and(eq(tweets.id, earlier.id), eq(tweets.status, 'FAILED'), eq(tweets.attempt, earlier.attempt)))
      .returning()
    if (claimed.length > 0) await consumeRateLimit(deps, 'post', userId, 1)
    return claimed
  })
  return again === undefined ? waitForOutcome(deps, userId, earlier) : send(deps, again, claimedAt, earlier)
}

async function waitForOutcome(deps: Deps, userId: string, pending: Tweet): Promise<Tweet> {
  const giveUpAt = performance.now() + deps.timing.waitForTweetSeconds * 1000
  let tweet: Tweet | null = pending
  do {
    await sleep(WAIT_POLL_MILLISECONDS * (0.5 + Math.random()))
    tweet = await findTweet(deps, userId, pending.id)
  } while (tweet?.status === 'PENDING' && performance.now() < giveUpAt)
  return tweet ?? pending
}

async function findByKey(deps: Deps, userId: string, keyHash: string | null): Promise<Tweet | null> {
  if (keyHash === null) return null
  const [tweet] = await deps.db
    .select()
    .from(tweets)
    .where(and(eq(tweets.userId, userId), eq(tweets.idempotencyKeyHash, keyHash)))
  return tweet ?? null
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

function refuseText(text: string, maxWeightedLength: number): void {
  // Counting costs time; a text that is nothing but the longest emoji, or links of 180 characters,
  // still fits.
  if (text.length > MAX_TEXT_UNITS) {
    const [units, most] = [text.length, MAX_TEXT_UNITS].map((number) => number.toLocaleString('en'))
    const detail = `The text has ${units} UTF-16 units of at most ${most}. Shorten it.`
    throw new AppError('TEXT_TOO_LONG', { field: ['input', 'text'], detail })
  }
  const problem = checkTweetText(text, maxWeightedLength)
  const field = ['input', 'text']
  if (problem === null) return
  if (problem.code === 'EMPTY') throw new AppError('TEXT_EMPTY', { field })
  if (problem.code === 'INVALID_CHARACTERS') {
    throw new AppError('TEXT_INVALID_CHARACTERS', {
      field,
      detail: `The character at position ${problem.index} (${problem.character}) cannot be posted. Remove it.`,
    })
  }
  throw new AppError('TEXT_TOO_LONG', {
    field,
    // X bills for the profile, which is asked for at each connection and not at each tweet.
    detail: `The text counts ${problem.weightedLength} of at most ${problem.maxWeightedLength}, as X said when the account was last connected. Shorten it; or, if its subscription has changed since, connect it again with startXConnect(input: {reconnectAccountId}).`,
  })
}

function readKey(idempotencyKey: string | null): string | null {
  if (idempotencyKey === null) return null
  // Hashing makes U+FFFD of any half of a character, so that two keys which differ in nothing else would be one.
  const isText = idempotencyKey.isWellFormed() && !idempotencyKey.includes('\0')
  if (idempotencyKey === '' || idempotencyKey.length > MAX_KEY_LENGTH || !isText) {
    throw new AppError('IDEMPOTENCY_KEY_INVALID', { field: ['input', 'idempotencyKey'] })
  }
  return sha256(idempotencyKey)
}
