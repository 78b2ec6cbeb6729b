// A tweet of which X did not say whether it posted it is looked for in its account's timeline.
// Reads are billed: at most three for one sending. Nothing is sent again on a guess: NOT_POSTED
// takes a timeline that proves it, twice.
import { and, eq, getTableColumns, inArray, lt, ne, type SQL, sql } from 'drizzle-orm'
import { withAccessToken } from '../accounts/access-token.ts'
import { findConnectedAccount } from '../accounts/accounts.ts'
import { tweets } from '../db/tables.ts'
import { violates } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import type { XResult } from '../x/api.ts'
import { refusalError } from '../x/refusals.ts'
import { fetchTimeline, type TimelinePage, type TimelinePost } from '../x/timeline.ts'
import { comparePost } from './match-post.ts'
import { logOutcome, ONE_PER_POST, outcomeEvent, type Tweet } from './outcome.ts'

/** Billed reads of the timeline that a sending in doubt is worth. */
export const MAX_READS = 3
// Two looks a minute apart: X's timeline may lag behind its own answer.
const READS_TO_BE_SURE = 2
// X's clock and the database's may differ.
const CLOCK_MARGIN_MILLISECONDS = 60_000
// Beyond this the span that is asked for is moved; less is within the margin, with a slow answer on
// top.
const CLOCK_TOLERANCE_MILLISECONDS = 30_000

/**
 * What a look at the timeline came to: the post, if it was found; ABSENT where the timeline proves
 * that there is none.
 */
type Sight = { kind: 'FOUND'; posts: TimelinePost[] } | { kind: 'ABSENT' } | { kind: 'UNCLEAR' }

type Account = { id: string; userId: string; providerAccountId: string }

/**
 * Looks for a tweet in doubt in its account's timeline: POSTED with its id where it is there,
 * FAILED where it is certainly not, after two looks. Where the timeline does not tell, the doubt
 * stays.
 * @throws Error when X could not be read: the job is then tried again.
 */
export async function reconcileTweet(deps: Deps, tweetId: string): Promise<void> {
  // Counted before it is read, so that a crash in between cannot make it four.
  const [found] = await deps.db
    .update(tweets)
    .set({ settleReads: sql`${tweets.settleReads} + 1` })
    .where(and(eq(tweets.id, tweetId), eq(tweets.status, 'UNKNOWN'), lt(tweets.settleReads, MAX_READS)))
    .returning({ ...getTableColumns(tweets), nowSeconds: secondsOf(deps.clock.sqlNow()) })
  if (found === undefined) return
  const { nowSeconds, ...tweet } = found
  const account = await findConnectedAccount(deps, tweet.userId, tweet.accountId)
  if (account === null || account.status === 'DISCONNECTED') return giveReadBack(deps, tweet)
  const span = { since: tweet.doubtSince ?? tweet.createdAt, until: tweet.claimedUntil, now: Number(nowSeconds) * 1000 }
  const sight = await look(deps, tweet, account, span, () => giveReadBack(deps, tweet))
  if (sight.kind === 'FOUND' && (await takePost(deps, tweet, 'UNKNOWN', sight.posts)) !== null) return
  if (sight.kind === 'ABSENT' && tweet.settleReads >= READS_TO_BE_SURE) {
    const errorCode = tweet.errorCode === 'DUPLICATE_TWEET' ? 'DUPLICATE_TWEET' : 'NOT_POSTED'
    await close(deps, tweet, 'UNKNOWN', { status: 'FAILED', errorCode, mayExistSince: null })
  } else if (tweet.settleReads < MAX_READS) {
    await transaction(deps, (deps) =>
      deps.jobs.enqueue(deps, 'reconcile-tweet', tweet, deps.timing.reconcileAgainAfterSeconds),
    )
  } else {
    const { id, accountId, attempt } = tweet
    deps.log.warn({ tweetId: id, accountId, attempt }, 'The timeline does not tell whether X posted a tweet')
  }
}

/**
 * Looks once for a tweet that may have been posted although it was not X that answered, before it
 * is sent again.
 * @param tweet its row, PENDING under a claim of the caller's.
 * @param lastClaim until when the sending before had its claim.
 * @returns the row, POSTED, where it was found; ABSENT where it may be sent; UNCLEAR where it may
 * not.
 * @throws AppError when X could not be read.
 */
export async function lookBeforeSending(
  deps: Deps,
  tweet: Tweet,
  since: Date,
  lastClaim: Date,
): Promise<Tweet | 'ABSENT' | 'UNCLEAR'> {
  const account = await findConnectedAccount(deps, tweet.userId, tweet.accountId)
  if (account === null) throw new AppError('ACCOUNT_NOT_FOUND')
  // The claim was made just now, by the database's clock.
  const now = tweet.claimedUntil.getTime() - deps.timing.tweetClaimSeconds * 1000
  const sight = await look(deps, tweet, account, { since, until: lastClaim, now }, async () => {})
  if (sight.kind !== 'FOUND') return sight.kind
  return (await takePost(deps, tweet, 'PENDING', sight.posts)) ?? 'UNCLEAR'
}

// By the database's clock: since when a tweet may have been posted, until when it was sent, and
// when that is asked.
type Span = { since: Date; until: Date; now: number }

async function look(
  deps: Deps,
  tweet: Tweet,
  account: Account,
  span: Span,
  onUnread: () => Promise<void>,
): Promise<Sight> {
  const page = await readTimeline(deps, account, span, onUnread)
  const ids = page.posts.flatMap((post) => [post.xTweetId, ...post.earlierXTweetIds])
  const known = await findOthers(deps, tweet, ids)
  const unknown = page.posts.filter((post) => ![post.xTweetId, ...post.earlierXTweetIds].some((id) => known.has(id)))
  const judged = unknown.map((post) => ({ post, likeness: comparePost(tweet, post) }))
  const same = judged.filter(({ likeness }) => likeness === 'SAME').map(({ post }) => post)
  if (same.length > 0) return { kind: 'FOUND', posts: same }
  const isProof = page.isWhole && judged.every(({ likeness }) => likeness === 'DIFFERENT')
  return { kind: isProof ? 'ABSENT' : 'UNCLEAR' }
}

// Which of these posts are other tweets of ours.
async function findOthers(deps: Deps, tweet: Tweet, ids: string[]): Promise<Set<string | null>> {
  if (ids.length === 0) return new Set()
  const rows = await deps.db
    .select({ xTweetId: tweets.xTweetId })
    .from(tweets)
    .where(and(eq(tweets.accountId, tweet.accountId), ne(tweets.id, tweet.id), inArray(tweets.xTweetId, ids)))
  return new Set(rows.map(({ xTweetId }) => xTweetId))
}

// @param onUnread called for a read that was refused, or not even made, and so is not billed.
async function readTimeline(
  deps: Deps,
  account: Account,
  span: Span,
  onUnread: () => Promise<void>,
): Promise<TimelinePage> {
  const startedAt = performance.now()
  const since = span.since.getTime() - CLOCK_MARGIN_MILLISECONDS
  // After its claim nobody sends any more. What X may not have listed yet is not cut off, nor asked
  // for by a moment to come.
  const end = span.until.getTime() + CLOCK_MARGIN_MILLISECONDS
  const until = end < span.now - CLOCK_MARGIN_MILLISECONDS ? end : null
  const read = async (shift: number): Promise<TimelinePage> => {
    const [start, stop] = [new Date(since + shift), until === null ? null : new Date(until + shift)]
    const answer = await readOrTell(onUnread, () =>
      withAccessToken(deps, account, 'READ_TIMELINE', (accessToken) =>
        fetchTimeline(deps, accessToken, account.providerAccountId, start, stop),
      ),
    )
    if (answer.kind === 'unknown') throw new AppError('X_UNAVAILABLE', { cause: answer.cause })
    return answer.value
  }
  const page = await read(0)
  const now = span.now + performance.now() - startedAt
  const ahead = page.answeredAt === null ? 0 : page.answeredAt.getTime() - now
  // By X's own clock the post may lie outside of the span that was asked for.
  return Math.abs(ahead) <= CLOCK_TOLERANCE_MILLISECONDS ? page : read(ahead)
}

async function readOrTell<T>(
  onUnread: () => Promise<void>,
  read: () => Promise<Exclude<XResult<T>, { kind: 'unauthorized' }>>,
) {
  try {
    const answer = await read()
    if (answer.kind === 'refused') throw refusalError(answer)
    return answer
  } catch (error) {
    await onUnread()
    throw error
  }
}

async function giveReadBack(deps: Deps, tweet: Tweet): Promise<void> {
  await deps.db
    .update(tweets)
    .set({ settleReads: sql`${tweets.settleReads} - 1` })
    .where(eq(tweets.id, tweet.id))
}

// The oldest that is not another tweet of ours. Null when there is none.
async function takePost(
  deps: Deps,
  tweet: Tweet,
  from: 'UNKNOWN' | 'PENDING',
  posts: TimelinePost[],
): Promise<Tweet | null> {
  for (const { xTweetId, createdAt: postedAt } of posts.toReversed()) {
    const found = { status: 'POSTED' as const, xTweetId, postedAt, mayExistSince: null }
    try {
      return await close(deps, tweet, from, { ...found, errorCode: null, errorDetail: null, retryAt: null })
    } catch (error) {
      // Another tweet of this text was quicker.
      if (!violates(error, ONE_PER_POST)) throw error
    }
  }
  return null
}

// Returns the row as it stands, which another may have closed meanwhile.
async function close(
  deps: Deps,
  tweet: Tweet,
  from: 'UNKNOWN' | 'PENDING',
  outcome: Partial<typeof tweets.$inferInsert>,
): Promise<Tweet> {
  const closed = await transaction(deps, async (deps) => {
    const [settled] = await deps.db
      .update(tweets)
      .set(outcome)
      .where(and(eq(tweets.id, tweet.id), eq(tweets.status, from), eq(tweets.attempt, tweet.attempt)))
      .returning()
    if (settled !== undefined) await recordEvent(deps, outcomeEvent(settled, from === 'UNKNOWN'))
    return settled
  })
  if (closed !== undefined) {
    logOutcome(deps, closed, null)
    return closed
  }
  const [row] = await deps.db.select().from(tweets).where(eq(tweets.id, tweet.id))
  if (row === undefined) throw new AppError('TWEET_NOT_FOUND')
  return row
}

function secondsOf(moment: SQL<Date>): SQL<number> {
  return sql<number>`extract(epoch from ${moment})::float8`
}
