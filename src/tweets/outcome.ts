// What became of a tweet, written down. tweet-reconciliation.ts finds it out where X did not say.
import { and, eq, inArray, isNotNull, isNull, lt, ne, sql } from 'drizzle-orm'
import { markUsed } from '../accounts/accounts.ts'
import { sqlIn } from '../db/clock.ts'
import { tweets } from '../db/tables.ts'
import { violates } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, recordEvent } from '../events/events.ts'
import type { XResult } from '../x/api.ts'
import { describeProblem } from '../x/refusals.ts'

/** A tweet's row. */
export type Tweet = typeof tweets.$inferSelect

/** What X answered to a tweet, once its access token was accepted. */
export type PostResult = Exclude<XResult<string>, { kind: 'unauthorized' }>

/** The index that lets a post at X be one tweet of ours. */
export const ONE_PER_POST = 'tweets_one_per_post'

/**
 * Writes down what X answered. A doubt is handed to `reconcileTweet` in the same transaction.
 * @returns the row as it stands.
 * @throws AppError TWEET_NOT_FOUND when it is gone, together with its user.
 */
export async function writeOutcome(deps: Deps, tweet: Tweet, answer: PostResult): Promise<Tweet> {
  for (;;) {
    try {
      return await write(deps, tweet, answer)
    } catch (error) {
      if (answer.kind !== 'done' || !violates(error, ONE_PER_POST)) throw error
      // X says that this is its post: whoever else has it, took it for its own by the text.
      if (!(await withdrawGuess(deps, tweet, answer.value))) throw error
    }
  }
}

function write(deps: Deps, tweet: Tweet, answer: PostResult): Promise<Tweet> {
  return transaction(deps, async (deps) => {
    const outcome = readOutcome(deps, tweet, answer)
    const [before] = await deps.db
      .select({ status: tweets.status })
      .from(tweets)
      .where(eq(tweets.id, tweet.id))
      .for('no key update')
    const [written] = await deps.db
      .update(tweets)
      .set(outcome)
      // UNKNOWN too: what the sweeper could only guess, this knows.
      .where(
        and(eq(tweets.id, tweet.id), eq(tweets.attempt, tweet.attempt), inArray(tweets.status, ['PENDING', 'UNKNOWN'])),
      )
      .returning()
    if (written?.status === 'POSTED') await markUsed(deps, tweet.accountId)
    if (written?.status === 'UNKNOWN')
      await deps.jobs.enqueue(deps, 'reconcile-tweet', tweet, deps.timing.reconcileAfterSeconds)
    if (written !== undefined) {
      if (written.status !== before?.status)
        await recordEvent(deps, outcomeEvent(written, before?.status === 'UNKNOWN'))
      return written
    }
    const [row] = await deps.db.select().from(tweets).where(eq(tweets.id, tweet.id))
    if (row === undefined) throw new AppError('TWEET_NOT_FOUND')
    return row
  })
}

/**
 * Tells the operator of a tweet that X does not have, or may not have; of others nothing. Called once that is committed.
 * @param answer what it came to; null where nobody was asked.
 */
export function logOutcome({ log }: Pick<Deps, 'log'>, tweet: Tweet, answer: PostResult | null): void {
  const { id: tweetId, accountId, attempt, errorCode } = tweet
  const about = {
    tweetId,
    accountId,
    attempt,
    errorCode,
    ...(answer?.kind === 'unknown' && { error: answer.cause }),
    ...(answer?.kind === 'refused' && answer.problem !== null && { x: answer.problem }),
  }
  if (tweet.status === 'FAILED') log.warn(about, 'A tweet was not posted')
  if (tweet.status === 'UNKNOWN') log.warn(about, 'X did not tell whether it posted a tweet')
}

/** Takes over what a process left behind when it was killed: FAILED where nothing was sent, UNKNOWN where it may have been. */
export async function sweepTweets(deps: Deps): Promise<void> {
  const left = and(
    eq(tweets.status, 'PENDING'),
    lt(tweets.claimedUntil, sqlIn(deps.clock, -deps.timing.lapseMarginSeconds)),
  )
  const swept = await transaction(deps, async (deps) => {
    const inDoubt = await deps.db
      .update(tweets)
      .set({
        status: 'UNKNOWN',
        errorCode: 'OUTCOME_UNKNOWN',
        doubtSince: sql`coalesce(${tweets.doubtSince}, ${tweets.sentAt})`,
      })
      .where(and(left, isNotNull(tweets.sentAt)))
      .returning()
    for (const tweet of inDoubt) await deps.jobs.enqueue(deps, 'reconcile-tweet', tweet, 0)
    const notSent = await deps.db
      .update(tweets)
      .set({ status: 'FAILED', errorCode: 'POST_INTERRUPTED' })
      // The mark again: a claim may have lapsed, or a tweet been sent, since the statement before.
      .where(and(left, isNull(tweets.sentAt)))
      .returning()
    const swept = [...inDoubt, ...notSent]
    await recordEvent(deps, ...swept.map((tweet) => outcomeEvent(tweet, false)))
    return swept
  })
  for (const tweet of swept) logOutcome(deps, tweet, null)
}

function readOutcome(deps: Deps, tweet: Tweet, answer: PostResult) {
  const doubt = { status: 'UNKNOWN' as const, doubtSince: sql<Date>`coalesce(${tweets.doubtSince}, ${tweets.sentAt})` }
  if (answer.kind === 'done') {
    return {
      status: 'POSTED' as const,
      xTweetId: answer.value,
      mayExistSince: null,
      errorCode: null,
      errorDetail: null,
      retryAt: null,
      postedAt: deps.clock.sqlNow(),
    }
  }
  if (answer.kind === 'unknown') return { ...doubt, errorCode: 'OUTCOME_UNKNOWN' }
  // That X has this text already is evidence that the earlier try of the same tweet arrived.
  if (answer.code === 'DUPLICATE_TWEET' && tweet.doubtSince !== null) return { ...doubt, errorCode: answer.code }
  const { code, retryAt, problem } = answer
  const failure = { status: 'FAILED' as const, errorCode: code, errorDetail: describeProblem(code, problem), retryAt }
  if (answer.isCertain) return failure
  // Nobody was told that it was posted, and yet it may be: it is looked for before it is sent
  // again.
  const mayExistSince = sql<Date>`coalesce(${tweets.mayExistSince}, ${tweets.sentAt})`
  return { ...failure, mayExistSince, doubtSince: doubt.doubtSince }
}

// Back in doubt, to be looked for again if its reads are not used up. False when nobody has guessed at this post.
function withdrawGuess(deps: Deps, tweet: Tweet, xTweetId: string): Promise<boolean> {
  return transaction(deps, async (deps) => {
    const withdrawn = await deps.db
      .update(tweets)
      .set({ status: 'UNKNOWN', errorCode: 'OUTCOME_UNKNOWN', xTweetId: null, postedAt: null })
      .where(
        and(
          eq(tweets.accountId, tweet.accountId),
          eq(tweets.xTweetId, xTweetId),
          ne(tweets.id, tweet.id),
          isNotNull(tweets.doubtSince),
        ),
      )
      .returning()
    for (const other of withdrawn)
      await deps.jobs.enqueue(deps, 'reconcile-tweet', other, deps.timing.reconcileAfterSeconds)
    await recordEvent(deps, ...withdrawn.map((other) => outcomeEvent(other, false)))
    return withdrawn.length > 0
  })
}

/**
 * The event of an outcome. A doubt that ends is one event, whichever way it ends: POSTED, or why it
 * was not.
 */
export function outcomeEvent(tweet: Tweet, wasUnknown: boolean): NewEvent {
  const types = { POSTED: 'tweet.posted', FAILED: 'tweet.failed', UNKNOWN: 'tweet.unknown' } as const
  if (tweet.status === 'PENDING' || tweet.status === 'DELETED') throw new Error('Bug: this is no outcome')
  return {
    type: wasUnknown ? 'tweet.unknown_settled' : types[tweet.status],
    userId: tweet.userId,
    accountId: tweet.accountId,
    tweetId: tweet.id,
    reason: wasUnknown ? (tweet.errorCode ?? tweet.status) : tweet.errorCode,
  }
}
