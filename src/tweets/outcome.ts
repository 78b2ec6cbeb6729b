// Stores the outcome of posting a tweet. When the response was lost, reconcile.ts finds it out.
//
// The states of a tweet (`tweets.status`), and the functions that change them:
//
//                            postTweet (again, with the same idempotency key)
//                     ┌───────────────────────────────────────────────────────┐
//                     ▼                                                       │
//      postTweet    ┌───────────┐       writeOutcome, sweepTweets        ┌──────────┐
//     ────────────▶ │  PENDING  │ ─────────────────────────────────────▶ │  FAILED  │
//                   └───────────┘                                        └──────────┘
//                     │       │                                               ▲
//      writeOutcome,  │       │ writeOutcome,                                 │ reconcileTweet,
// lookBeforeSending,  │       │ sweepTweets       ┌───────────┐               │ writeOutcome
//    lookForLostPost  │       └─────────────────▶ │           │ ──────────────┘
//                     ▼                           │  UNKNOWN  │
//                   ┌──────────┐  reconcileTweet, │           │
//                   │          │  writeOutcome    │           │
//                   │  POSTED  │ ◀─────────────── │           │
//                   │          │ ───────────────▶ │           │
//                   └──────────┘  withdrawMatch   └───────────┘
//                     │ deleteTweet
//                     ▼
//                   ┌───────────┐
//                   │  DELETED  │
//                   └───────────┘
//
//   none    → PENDING   postTweet           the row is inserted before X is called
//   PENDING → POSTED    writeOutcome        X has posted it
//   PENDING → POSTED    lookBeforeSending   an earlier sending is found in the timeline
//   PENDING → POSTED    lookForLostPost     a restored database had lost the tweet
//   PENDING → FAILED    writeOutcome        X has refused it, or nothing was sent
//   PENDING → FAILED    sweepTweets         the process died before it sent anything
//   PENDING → UNKNOWN   writeOutcome        the response was lost
//   PENDING → UNKNOWN   sweepTweets         the process died after it had marked the row as sent, or
//                                           the row is of a restored database
//   UNKNOWN → POSTED    reconcileTweet      it is found in the timeline
//   UNKNOWN → POSTED    writeOutcome        the response arrives after the sweep
//   UNKNOWN → FAILED    reconcileTweet      the timeline proves that it does not exist
//   UNKNOWN → FAILED    writeOutcome        the refusal arrives after the sweep
//   POSTED  → UNKNOWN   withdrawMatch       the post that was found belongs to another tweet
//   POSTED  → DELETED   deleteTweet         X has deleted it
//   FAILED  → PENDING   postTweet           the failure is of a kind that may have been resolved
//
// A new row that the rate limit refuses is deleted at once, by withdrawClaim.
import { and, asc, eq, inArray, isNotNull, isNull, lt, ne, or, type SQL, sql } from 'drizzle-orm'
import { markUsed } from '../accounts/accounts.ts'
import { runBatchesByUser } from '../db/batches.ts'
import { sqlIn } from '../db/clock.ts'
import type { Restore } from '../db/generations.ts'
import { tweets } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { isDuplicate } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type NewEvent, recordEvent } from '../events/events.ts'
import type { XResult } from '../x/api.ts'
import { describeProblem } from '../x/refusals.ts'
import { writePendingOutcome } from './outcome-statement.ts'

const SWEEP_BATCH = 200

/** The row of a tweet. */
export type Tweet = typeof tweets.$inferSelect

/** The result of posting a tweet with an access token that X accepts. */
export type PostResult = Exclude<XResult<string>, { kind: 'unauthorized' }>

/** The condition for the row of a tweet. */
export function isTweet({ id, userId }: { id: string; userId: string }): SQL | undefined {
  return and(eq(tweets.userId, userId), eq(tweets.id, id))
}

/**
 * Stores the result of posting a tweet. If it is UNKNOWN, a job for `reconcileTweet` is queued in
 * the same transaction.
 * @returns the row, which another process may have changed.
 * @throws AppError TWEET_NOT_FOUND when it was deleted together with its user.
 */
export async function writeOutcome(deps: Deps, tweet: Tweet, result: PostResult): Promise<Tweet> {
  for (;;) {
    try {
      return (await writeAtOnce(deps, tweet, result)) ?? (await write(deps, tweet, result))
    } catch (error) {
      if (result.kind !== 'done' || !isDuplicate(error)) throw error
      // X has returned this post for this tweet; the other tweet was matched with it by its text.
      if (!(await withdrawMatch(deps, tweet, result.value))) throw error
    }
  }
}

// Returns null for an outcome that takes more: the tweet is no longer PENDING, or becomes UNKNOWN and
// gets a job.
async function writeAtOnce(deps: Deps, tweet: Tweet, result: PostResult): Promise<Tweet | null> {
  const outcome = outcomeColumns(deps, tweet, result)
  if (outcome.status === 'UNKNOWN') return null
  const { status, errorCode } = outcome
  return writePendingOutcome(deps, tweet, outcome, outcomeEvent({ ...tweet, status, errorCode }, false))
}

function write(deps: Deps, tweet: Tweet, result: PostResult): Promise<Tweet> {
  return transaction(deps, async (deps) => {
    const outcome = outcomeColumns(deps, tweet, result)
    await lockUsers(deps.db, [tweet.userId])
    const [before] = await deps.db
      .select({ status: tweets.status })
      .from(tweets)
      .where(isTweet(tweet))
      .for('no key update')
    const [written] = await deps.db
      .update(tweets)
      .set(outcome)
      // UNKNOWN too: this result is certain, and the sweep's was not.
      .where(and(isTweet(tweet), eq(tweets.attempt, tweet.attempt), inArray(tweets.status, ['PENDING', 'UNKNOWN'])))
      .returning()
    if (written?.status === 'POSTED') await markUsed(deps, { id: tweet.accountId, userId: tweet.userId })
    if (written?.status === 'UNKNOWN')
      await deps.jobs.enqueue(deps, 'reconcile-tweet', tweet, deps.timing.reconcileAfterSeconds)
    if (written !== undefined) {
      if (written.status !== before?.status)
        await recordEvent(deps, outcomeEvent(written, before?.status === 'UNKNOWN'))
      return written
    }
    const [row] = await deps.db.select().from(tweets).where(isTweet(tweet))
    if (row === undefined) throw new AppError('TWEET_NOT_FOUND')
    return row
  })
}

/**
 * Logs a tweet that is FAILED or UNKNOWN. Call it after the commit.
 * @param result null when X was not called.
 */
export function logOutcome({ log }: Pick<Deps, 'log'>, tweet: Tweet, result: PostResult | null): void {
  const { id: tweetId, accountId, attempt, errorCode } = tweet
  const about = {
    tweetId,
    accountId,
    attempt,
    errorCode,
    ...(result?.kind === 'unknown' && { error: result.cause }),
    ...(result?.kind === 'refused' && result.problem !== null && { x: result.problem }),
  }
  if (tweet.status === 'FAILED') log.warn(about, 'A tweet was not posted')
  if (tweet.status === 'UNKNOWN') log.warn(about, 'X did not report whether it posted a tweet')
}

/** Counts how a posting has ended. Call it after the commit. @param result null when X was not called. */
export function countOutcome({ metrics }: Pick<Deps, 'metrics'>, { status }: Tweet, result: PostResult | null): void {
  if (metrics === null || status === 'PENDING' || status === 'DELETED') return
  const xStatus = result?.kind === 'refused' ? (result.problem?.status ?? null) : null
  metrics.countPost(status, result?.kind === 'done' ? '2xx' : xStatus)
}

/**
 * Ends the PENDING tweets of processes that died, until the signal: FAILED when nothing was sent,
 * UNKNOWN when it may have been.
 */
export async function sweepTweets(deps: Deps, signal?: AbortSignal): Promise<number> {
  const findAbandoned = () =>
    deps.db
      .select({ userId: tweets.userId, id: tweets.id })
      .from(tweets)
      .where(isAbandoned(deps))
      .orderBy(asc(tweets.claimedUntil))
      .limit(SWEEP_BATCH)
  return runBatchesByUser(SWEEP_BATCH, findAbandoned, (userId, ids) => endAbandoned(deps, userId, ids), signal)
}

function isAbandoned({ clock, timing }: Deps): SQL | undefined {
  return and(
    // As in the condition of the index `tweets_open`.
    sql`${tweets.status} = 'PENDING'`,
    lt(tweets.claimedUntil, sqlIn(clock, -timing.lapseMarginSeconds)),
  )
}

async function endAbandoned(deps: Deps, userId: string, ids: readonly string[]): Promise<number> {
  const [restore] = await deps.generations.readRecent()
  const swept = await transaction(deps, async (deps) => {
    await lockUsers(deps.db, [userId])
    // Checked again: one may have been ended or claimed since.
    const isOne = and(eq(tweets.userId, userId), inArray(tweets.id, [...ids]), isAbandoned(deps))
    const uncertain = await deps.db
      .update(tweets)
      .set({
        status: 'UNKNOWN',
        errorCode: 'OUTCOME_UNKNOWN',
        // The timeline is read until then: it may have been sent again in the lost interval.
        ...(restore && {
          claimedUntil: sql`greatest(${tweets.claimedUntil}, ${restore.restoredAt.toISOString()}::timestamptz)`,
        }),
        unknownSince: sql`coalesce(${tweets.unknownSince}, ${tweets.sentAt}, ${restore?.lostSince.toISOString() ?? null}::timestamptz)`,
      })
      .where(and(isOne, or(isNotNull(tweets.sentAt), restore && isClaimedBefore(deps, restore))))
      .returning()
    for (const tweet of uncertain) await deps.jobs.enqueue(deps, 'reconcile-tweet', tweet, 0)
    const notSent = await deps.db
      .update(tweets)
      .set({ status: 'FAILED', errorCode: 'POST_INTERRUPTED' })
      // Checked again: since the previous statement another claim may have expired, or a tweet may
      // have been sent.
      .where(and(isOne, isNull(tweets.sentAt)))
      .returning()
    const swept = [...uncertain, ...notSent]
    await recordEvent(deps, ...swept.map((tweet) => outcomeEvent(tweet, false)))
    return swept
  })
  for (const tweet of swept) {
    logOutcome(deps, tweet, null)
    countOutcome(deps, tweet, null)
  }
  return swept.length
}

// The claim is in the backup, and what became of the tweet may not be.
function isClaimedBefore({ timing }: Deps, { restoredAt }: Restore): SQL {
  return lt(tweets.claimedUntil, new Date(restoredAt.getTime() + timing.tweetClaimSeconds * 1000))
}

function outcomeColumns(deps: Deps, tweet: Tweet, result: PostResult) {
  const unknown = {
    status: 'UNKNOWN' as const,
    unknownSince: sql<Date>`coalesce(${tweets.unknownSince}, ${tweets.sentAt})`,
  }
  if (result.kind === 'done') {
    return {
      status: 'POSTED' as const,
      xTweetId: result.value,
      mayExistSince: null,
      errorCode: null,
      errorDetail: null,
      retryAt: null,
      postedAt: deps.clock.sqlNow(),
    }
  }
  if (result.kind === 'unknown') return { ...unknown, errorCode: 'OUTCOME_UNKNOWN' }
  // If X already has this text, the earlier sending of this tweet has probably arrived.
  if (result.code === 'DUPLICATE_TWEET' && tweet.unknownSince !== null) return { ...unknown, errorCode: result.code }
  const { code, retryAt, problem } = result
  const failure = { status: 'FAILED' as const, errorCode: code, errorDetail: describeProblem(code, problem), retryAt }
  if (result.isCertain) return failure
  // The refusal did not come from X itself, so the tweet may exist: the timeline is read before it
  // is sent again.
  const mayExistSince = sql<Date>`coalesce(${tweets.mayExistSince}, ${tweets.sentAt})`
  return { ...failure, mayExistSince, unknownSince: unknown.unknownSince }
}

// Sets the tweet that was matched with this post by its text back to UNKNOWN, to be reconciled
// again. Returns false when there is none.
function withdrawMatch(deps: Deps, tweet: Tweet, xTweetId: string): Promise<boolean> {
  return transaction(deps, async (deps) => {
    await lockUsers(deps.db, [tweet.userId])
    const withdrawn = await deps.db
      .update(tweets)
      .set({ status: 'UNKNOWN', errorCode: 'OUTCOME_UNKNOWN', xTweetId: null, postedAt: null })
      .where(
        and(
          eq(tweets.userId, tweet.userId),
          eq(tweets.accountId, tweet.accountId),
          eq(tweets.xTweetId, xTweetId),
          ne(tweets.id, tweet.id),
          isNotNull(tweets.unknownSince),
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
 * Returns the event of an outcome. The end of UNKNOWN is one event type for all outcomes: its
 * reason is POSTED, or the error code.
 */
export function outcomeEvent(tweet: Tweet, wasUnknown: boolean): NewEvent {
  const types = { POSTED: 'tweet.posted', FAILED: 'tweet.failed', UNKNOWN: 'tweet.unknown' } as const
  if (tweet.status === 'PENDING' || tweet.status === 'DELETED')
    throw new Error('Bug: PENDING and DELETED are no outcomes')
  return {
    type: wasUnknown ? 'tweet.reconciled' : types[tweet.status],
    userId: tweet.userId,
    accountId: tweet.accountId,
    tweetId: tweet.id,
    reason: wasUnknown ? (tweet.errorCode ?? tweet.status) : tweet.errorCode,
  }
}
