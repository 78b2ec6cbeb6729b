// What became of a tweet, and finding it out where X did not say. A tweet in doubt is looked for in the account's timeline, which is
// billed: at most three times, and never is it sent again on a guess.
import { and, eq, inArray, isNotNull, isNull, lt, ne, sql } from 'drizzle-orm'
import { tweets } from './db/tables.ts'
import { type Deps, sqlIn, transaction, violates } from './deps.ts'
import { AppError } from './errors.ts'
import { type NewEvent, recordEvent } from './events.ts'
import { findConnectedAccount, markUsed } from './x/accounts.ts'
import { fetchTimeline, type TimelinePost, type XAnswer } from './x/api.ts'
import { isSameText } from './x/same-text.ts'
import { withAccessToken } from './x/tokens.ts'

/** A tweet's row. */
export type Tweet = typeof tweets.$inferSelect

/** What X answered to a tweet, once its access token was accepted. */
export type PostAnswer = Exclude<XAnswer<string>, { kind: 'unauthorized' }>

const ONE_PER_POST = 'tweets_one_per_post'
/** Billed reads of the timeline that a tweet in doubt is worth. */
export const MAX_READS = 3
// Two looks a minute apart: X's timeline may lag behind its own answer.
const READS_TO_BE_SURE = 2
// X's clock and ours may differ.
const CLOCK_MARGIN_MILLISECONDS = 60_000

/**
 * Writes down what X answered. A doubt is handed to `settleTweet` in the same transaction.
 * @returns the row as it stands.
 * @throws AppError TWEET_NOT_FOUND when it is gone, together with its user.
 */
export async function writeOutcome(deps: Deps, tweet: Tweet, answer: PostAnswer): Promise<Tweet> {
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

function write(deps: Deps, tweet: Tweet, answer: PostAnswer): Promise<Tweet> {
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
    if (written?.status === 'UNKNOWN') await deps.jobs.enqueue(deps, 'settle-tweet', tweet, deps.timing.settleAfter)
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
 * @param cause what kept X's answer from us; null where that is not it.
 */
export function logOutcome({ log }: Pick<Deps, 'log'>, tweet: Tweet, cause: unknown): void {
  const { id: tweetId, accountId, attempt, errorCode } = tweet
  const about = { tweetId, accountId, attempt, errorCode, ...(cause != null && { error: cause }) }
  if (tweet.status === 'FAILED') log.warn(about, 'A tweet was not posted')
  if (tweet.status === 'UNKNOWN') log.warn(about, 'X did not tell whether it posted a tweet')
}

/** Takes over what a process left behind when it was killed: FAILED where nothing was sent, UNKNOWN where it may have been. */
export async function sweepTweets(deps: Deps): Promise<void> {
  const left = and(eq(tweets.status, 'PENDING'), lt(tweets.claimedUntil, sqlIn(deps.clock, -deps.timing.lapseMargin)))
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
    for (const tweet of inDoubt) await deps.jobs.enqueue(deps, 'settle-tweet', tweet, 0)
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

/**
 * Looks for a tweet in doubt in its account's timeline: POSTED with its id where it is there, FAILED where it is not after two looks.
 * @throws Error when X could not be read: the job is then tried again.
 */
export async function settleTweet(deps: Deps, tweetId: string): Promise<void> {
  // Counted before it is read, so that a crash in between cannot make it four.
  const [tweet] = await deps.db
    .update(tweets)
    .set({ settleReads: sql`${tweets.settleReads} + 1` })
    .where(and(eq(tweets.id, tweetId), eq(tweets.status, 'UNKNOWN'), lt(tweets.settleReads, MAX_READS)))
    .returning()
  if (tweet === undefined) return
  const account = await findConnectedAccount(deps, tweet.userId, tweet.accountId)
  if (account === null || account.status === 'DISCONNECTED') return giveReadBack(deps, tweet)
  const page = await readTimeline(deps, tweet, account)
  if (await claimPost(deps, tweet, page.posts)) return
  if (tweet.errorCode === 'DUPLICATE_TWEET' && tweet.settleReads >= READS_TO_BE_SURE) {
    await close(deps, tweet, { status: 'FAILED', errorCode: 'DUPLICATE_TWEET' })
  } else if (page.isWhole && tweet.settleReads >= READS_TO_BE_SURE) {
    await close(deps, tweet, { status: 'FAILED', errorCode: 'NOT_POSTED' })
  } else {
    await transaction(deps, (deps) => deps.jobs.enqueue(deps, 'settle-tweet', tweet, deps.timing.settleAgainAfter))
  }
}

function readOutcome(deps: Deps, tweet: Tweet, answer: PostAnswer) {
  const doubt = { status: 'UNKNOWN' as const, doubtSince: sql<Date>`coalesce(${tweets.doubtSince}, ${tweets.sentAt})` }
  if (answer.kind === 'done') {
    return {
      status: 'POSTED' as const,
      xTweetId: answer.value,
      errorCode: null,
      retryAt: null,
      postedAt: deps.clock.sqlNow(),
    }
  }
  if (answer.kind === 'unknown') return { ...doubt, errorCode: 'OUTCOME_UNKNOWN' }
  // That X has this text already is evidence that the earlier try of the same tweet arrived.
  if (answer.code === 'DUPLICATE_TWEET' && tweet.doubtSince !== null) return { ...doubt, errorCode: answer.code }
  return { status: 'FAILED' as const, errorCode: answer.code, retryAt: answer.retryAt }
}

async function readTimeline(
  deps: Deps,
  tweet: Tweet,
  account: { id: string; userId: string; providerAccountId: string },
) {
  const since = new Date((tweet.doubtSince ?? tweet.createdAt).getTime() - CLOCK_MARGIN_MILLISECONDS)
  // After its claim nobody sends any more. What X may not have listed yet is not cut off, nor asked for by a moment to come.
  const end = new Date(tweet.claimedUntil.getTime() + CLOCK_MARGIN_MILLISECONDS)
  const until = end.getTime() < deps.clock.now().getTime() - CLOCK_MARGIN_MILLISECONDS ? end : null
  try {
    const answer = await withAccessToken(deps, account, 'READ_TIMELINE', (accessToken) =>
      fetchTimeline(deps, accessToken, account.providerAccountId, since, until),
    )
    if (answer.kind === 'done') return answer.value
    if (answer.kind === 'refused') throw new AppError(answer.code)
  } catch (error) {
    // A read that was refused, or not even made, is not billed.
    await giveReadBack(deps, tweet)
    throw error
  }
  throw new AppError('X_UNAVAILABLE')
}

async function giveReadBack(deps: Deps, tweet: Tweet): Promise<void> {
  await deps.db
    .update(tweets)
    .set({ settleReads: sql`${tweets.settleReads} - 1` })
    .where(eq(tweets.id, tweet.id))
}

// The oldest with this text that is not another tweet of ours. False when there is none.
async function claimPost(deps: Deps, tweet: Tweet, posts: TimelinePost[]): Promise<boolean> {
  const same = posts.filter((post) => isSameText(tweet.text, post))
  if (same.length === 0) return false
  const ids = same.map((post) => post.xTweetId)
  const known = await deps.db
    .select({ xTweetId: tweets.xTweetId })
    .from(tweets)
    .where(and(eq(tweets.accountId, tweet.accountId), inArray(tweets.xTweetId, ids)))
  const free = same.filter((post) => !known.some(({ xTweetId }) => xTweetId === post.xTweetId))
  for (const { xTweetId, createdAt } of free.toReversed()) {
    try {
      await close(deps, tweet, { status: 'POSTED', xTweetId, postedAt: createdAt, errorCode: null, retryAt: null })
      return true
    } catch (error) {
      // Another tweet of this text was quicker.
      if (!violates(error, ONE_PER_POST)) throw error
    }
  }
  return false
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
    for (const other of withdrawn) await deps.jobs.enqueue(deps, 'settle-tweet', other, deps.timing.settleAfter)
    await recordEvent(deps, ...withdrawn.map((other) => outcomeEvent(other, false)))
    return withdrawn.length > 0
  })
}

async function close(deps: Deps, tweet: Tweet, outcome: Partial<typeof tweets.$inferInsert>): Promise<void> {
  const closed = await transaction(deps, async (deps) => {
    const [settled] = await deps.db
      .update(tweets)
      .set(outcome)
      .where(and(eq(tweets.id, tweet.id), eq(tweets.status, 'UNKNOWN'), eq(tweets.attempt, tweet.attempt)))
      .returning()
    if (settled !== undefined) await recordEvent(deps, outcomeEvent(settled, true))
    return settled
  })
  if (closed !== undefined) logOutcome(deps, closed, null)
}

// A doubt that ends is one event, whichever way it ends: POSTED, or why it was not.
function outcomeEvent(tweet: Tweet, wasUnknown: boolean): NewEvent {
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
