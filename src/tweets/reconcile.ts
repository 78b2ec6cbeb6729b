// Reconciles tweets of which X did not say whether it has posted them: reads the account's timeline
// and looks for them. Reads are billed, at most three for one sending. A tweet is declared not
// posted only when two reads of the timeline prove it.
import { and, eq, getTableColumns, inArray, lt, ne, type SQL, sql } from 'drizzle-orm'
import { withAccessToken } from '../accounts/access-token.ts'
import { findConnectedAccount } from '../accounts/accounts.ts'
import { isActiveUser } from '../db/active-user.ts'
import type { JobData } from '../db/jobs.ts'
import { tweets } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { isDuplicate } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import type { XResult } from '../x/api.ts'
import { refusalError } from '../x/refusals.ts'
import { fetchTimeline, type TimelinePage, type TimelinePost } from '../x/timeline.ts'
import { comparePost } from './match-post.ts'
import { isTweet, logOutcome, outcomeEvent, type Tweet } from './outcome.ts'

/** The maximum number of billed timeline reads for one sending. */
export const MAX_READS = 3
// Two reads a minute apart: X's timeline may lag behind its response.
const READS_TO_BE_SURE = 2
/** X's clock and the database's may differ by this. */
export const CLOCK_MARGIN_MILLISECONDS = 60_000
/**
 * With more skew than this, the requested period is shifted; less is covered by the margin, together
 * with a slow response.
 */
export const CLOCK_TOLERANCE_MILLISECONDS = 30_000

/**
 * The result of reading the timeline: the posts that match the tweet; ABSENT when the timeline
 * proves that there is none.
 */
export type TimelineMatch = { kind: 'FOUND'; posts: TimelinePost[] } | { kind: 'ABSENT' } | { kind: 'UNCLEAR' }

type Account = { id: string; userId: string; providerAccountId: string }

/**
 * Looks for an UNKNOWN tweet in its account's timeline. It becomes POSTED when it is found, FAILED
 * when two reads prove that it does not exist, and otherwise stays UNKNOWN.
 * @throws Error when the timeline could not be read; the job is then retried.
 */
export async function reconcileTweet(deps: Deps, job: JobData): Promise<void> {
  // Counted before the read, so that a crash cannot lead to a fourth one.
  const [found] = await deps.db
    .update(tweets)
    .set({ timelineReads: sql`${tweets.timelineReads} + 1` })
    .where(
      and(isTweet(job), eq(tweets.status, 'UNKNOWN'), lt(tweets.timelineReads, MAX_READS), isActiveUser(job.userId)),
    )
    .returning({ ...getTableColumns(tweets), nowSeconds: secondsOf(deps.clock.sqlNow()) })
  if (found === undefined) return
  const { nowSeconds, ...tweet } = found
  const account = await findConnectedAccount(deps, tweet.userId, tweet.accountId)
  if (account === null || account.status === 'DISCONNECTED') return uncountRead(deps, tweet)
  const period = {
    since: tweet.unknownSince ?? tweet.createdAt,
    until: tweet.claimedUntil,
    now: Number(nowSeconds) * 1000,
  }
  const match = await readAndMatch(deps, tweet, account, period, () => uncountRead(deps, tweet))
  if (match.kind === 'FOUND' && (await takePost(deps, tweet, 'UNKNOWN', match.posts)) !== null) return
  if (match.kind === 'ABSENT' && tweet.timelineReads >= READS_TO_BE_SURE) {
    const errorCode = tweet.errorCode === 'DUPLICATE_TWEET' ? 'DUPLICATE_TWEET' : 'NOT_POSTED'
    await writeReconciled(deps, tweet, 'UNKNOWN', { status: 'FAILED', errorCode, mayExistSince: null })
  } else if (tweet.timelineReads < MAX_READS) {
    await transaction(deps, (deps) =>
      deps.jobs.enqueue(deps, 'reconcile-tweet', tweet, deps.timing.reconcileAgainAfterSeconds),
    )
  } else {
    const { id, accountId, attempt } = tweet
    deps.log.warn({ tweetId: id, accountId, attempt }, 'The timeline does not show whether X posted a tweet')
  }
}

/**
 * Looks once for a tweet that may have been posted although something in front of X refused it,
 * before it is sent again.
 * @param tweet its row, PENDING and claimed by the caller.
 * @param lastClaim when the claim of the previous sending expired.
 * @returns the POSTED row when it was found; ABSENT when it may be sent; UNCLEAR when it may not.
 * @throws AppError when the timeline could not be read.
 */
export async function lookBeforeSending(
  deps: Deps,
  tweet: Tweet,
  since: Date,
  lastClaim: Date,
): Promise<Tweet | 'ABSENT' | 'UNCLEAR'> {
  const account = await findConnectedAccount(deps, tweet.userId, tweet.accountId)
  if (account === null) throw new AppError('ACCOUNT_NOT_FOUND')
  // The database's time of the claim, which was made just now.
  const now = tweet.claimedUntil.getTime() - deps.timing.tweetClaimSeconds * 1000
  const match = await readAndMatch(deps, tweet, account, { since, until: lastClaim, now }, async () => {})
  if (match.kind !== 'FOUND') return match.kind
  return (await takePost(deps, tweet, 'PENDING', match.posts)) ?? 'UNCLEAR'
}

// By the database's clock: since when the tweet may have been posted, until when it may have been
// sent, and the current time in milliseconds.
type Period = { since: Date; until: Date; now: number }

async function readAndMatch(
  deps: Deps,
  tweet: Tweet,
  account: Account,
  period: Period,
  onUnread: () => Promise<void>,
): Promise<TimelineMatch> {
  return matchPosts(deps, tweet, await readTimeline(deps, account, period, onUnread))
}

/** Compares a tweet with the posts of a period that belong to no other tweet of its account. */
export async function matchPosts(
  deps: Deps,
  tweet: Tweet,
  page: Pick<TimelinePage, 'posts' | 'isWhole'>,
): Promise<TimelineMatch> {
  const ids = page.posts.flatMap((post) => [post.xTweetId, ...post.earlierXTweetIds])
  const known = await findOthers(deps, tweet, ids)
  const unknown = page.posts.filter((post) => ![post.xTweetId, ...post.earlierXTweetIds].some((id) => known.has(id)))
  const judged = unknown.map((post) => ({ post, likeness: comparePost(tweet, post) }))
  const same = judged.filter(({ likeness }) => likeness === 'SAME').map(({ post }) => post)
  if (same.length > 0) return { kind: 'FOUND', posts: same }
  const isProof = page.isWhole && judged.every(({ likeness }) => likeness === 'DIFFERENT')
  return { kind: isProof ? 'ABSENT' : 'UNCLEAR' }
}

// Returns which of these posts belong to other tweets of the account.
async function findOthers(deps: Deps, tweet: Tweet, ids: string[]): Promise<Set<string | null>> {
  if (ids.length === 0) return new Set()
  const rows = await deps.db
    .select({ xTweetId: tweets.xTweetId })
    .from(tweets)
    .where(
      and(
        eq(tweets.userId, tweet.userId),
        eq(tweets.accountId, tweet.accountId),
        ne(tweets.id, tweet.id),
        inArray(tweets.xTweetId, ids),
      ),
    )
  return new Set(rows.map(({ xTweetId }) => xTweetId))
}

// @param onUnread called for a read that failed, which is not billed.
async function readTimeline(
  deps: Deps,
  account: Account,
  period: Period,
  onUnread: () => Promise<void>,
): Promise<TimelinePage> {
  const startedAt = performance.now()
  const since = period.since.getTime() - CLOCK_MARGIN_MILLISECONDS
  // No process sends after its claim has expired. An end in the future, or so recent that X may not
  // have listed the post yet, is left out.
  const end = period.until.getTime() + CLOCK_MARGIN_MILLISECONDS
  const until = end < period.now - CLOCK_MARGIN_MILLISECONDS ? end : null
  const read = async (shift: number): Promise<TimelinePage> => {
    const [start, stop] = [new Date(since + shift), until === null ? null : new Date(until + shift)]
    const result = await readOrNotify(onUnread, () =>
      withAccessToken(deps, account, 'READ_TIMELINE', (accessToken) =>
        fetchTimeline(deps, accessToken, account.providerAccountId, start, stop),
      ),
    )
    if (result.kind === 'unknown') throw new AppError('X_UNAVAILABLE', { cause: result.cause })
    return result.value
  }
  const page = await read(0)
  const now = period.now + performance.now() - startedAt
  const ahead = page.respondedAt === null ? 0 : page.respondedAt.getTime() - now
  // By X's clock, the post may be outside the requested period.
  return Math.abs(ahead) <= CLOCK_TOLERANCE_MILLISECONDS ? page : read(ahead)
}

async function readOrNotify<T>(
  onUnread: () => Promise<void>,
  read: () => Promise<Exclude<XResult<T>, { kind: 'unauthorized' }>>,
) {
  try {
    const result = await read()
    if (result.kind === 'refused') throw refusalError(result)
    return result
  } catch (error) {
    await onUnread()
    throw error
  }
}

async function uncountRead(deps: Deps, tweet: Tweet): Promise<void> {
  await deps.db
    .update(tweets)
    .set({ timelineReads: sql`${tweets.timelineReads} - 1` })
    .where(isTweet(tweet))
}

/**
 * Makes a tweet the oldest of these posts that belongs to no other tweet.
 * @returns its row, which is POSTED; null when there is none.
 */
export async function takePost(
  deps: Deps,
  tweet: Tweet,
  from: 'UNKNOWN' | 'PENDING',
  posts: TimelinePost[],
  more: Pick<Partial<Tweet>, 'unknownSince'> = {},
): Promise<Tweet | null> {
  for (const { xTweetId, createdAt: postedAt } of posts.toReversed()) {
    const found = { status: 'POSTED' as const, xTweetId, postedAt, mayExistSince: null, ...more }
    try {
      return await writeReconciled(deps, tweet, from, { ...found, errorCode: null, errorDetail: null, retryAt: null })
    } catch (error) {
      // Another tweet with this text has taken it first.
      if (!isDuplicate(error)) throw error
    }
  }
  return null
}

// Returns the row, which another process may have changed.
async function writeReconciled(
  deps: Deps,
  tweet: Tweet,
  from: 'UNKNOWN' | 'PENDING',
  outcome: Partial<typeof tweets.$inferInsert>,
): Promise<Tweet> {
  const closed = await transaction(deps, async (deps) => {
    await lockUsers(deps.db, [tweet.userId])
    const [reconciled] = await deps.db
      .update(tweets)
      .set(outcome)
      .where(and(isTweet(tweet), eq(tweets.status, from), eq(tweets.attempt, tweet.attempt)))
      .returning()
    if (reconciled !== undefined) await recordEvent(deps, outcomeEvent(reconciled, from === 'UNKNOWN'))
    return reconciled
  })
  if (closed !== undefined) {
    logOutcome(deps, closed, null)
    return closed
  }
  const [row] = await deps.db.select().from(tweets).where(isTweet(tweet))
  if (row === undefined) throw new AppError('TWEET_NOT_FOUND')
  return row
}

function secondsOf(moment: SQL<Date>): SQL<number> {
  return sql<number>`extract(epoch from ${moment})::float8`
}
