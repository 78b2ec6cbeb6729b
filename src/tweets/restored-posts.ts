// Idempotency keys of a restored database. Keys that were used after the backup are missing, and a
// caller may repeat one as long as keys are kept. So each tweet with a key is first looked for among
// the posts of its account in the lost interval, which are read once for each account.
import { and, eq, sql } from 'drizzle-orm'
import { z } from 'zod'
import { withAccessToken } from '../accounts/access-token.ts'
import { findConnectedAccount } from '../accounts/accounts.ts'
import { queryRows } from '../db/client.ts'
import type { Restore } from '../db/generations.ts'
import { restoredTimelines } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type Refusal, refusal, refusalError } from '../x/refusals.ts'
import { fetchTimeline, type TimelinePage, type TimelinePost } from '../x/timeline.ts'
import { KEY_KEPT_SECONDS } from './idempotency-keys.ts'
import type { Tweet } from './outcome.ts'
import { CLOCK_MARGIN_MILLISECONDS, CLOCK_TOLERANCE_MILLISECONDS, matchPosts, takePost } from './reconcile.ts'

/**
 * The maximum number of pages of 25 posts that are read for one account after a restore. X bills each
 * post: 500 posts cost 2.50 USD.
 */
export const MAX_LOST_PAGES = 20

/** What a restored database has lost, and until when its readers have to look for it. */
type LostInterval = { generation: number; since: Date; until: Date }

/** The posts of an account in the lost interval. */
type LostPosts = Pick<TimelinePage, 'posts' | 'isWhole'>

/**
 * Looks for a tweet among the posts of its account that a restored database has lost.
 * @param tweet its row, PENDING and claimed by the caller, with an idempotency key.
 * @returns null when the tweet may be sent; the POSTED row when it was found; a refusal with
 *   POSSIBLY_POSTED when the timeline cannot be read or does not decide.
 * @throws AppError when the account itself cannot be used.
 */
export async function lookForLostPost(deps: Deps, tweet: Tweet): Promise<Tweet | Refusal | null> {
  const interval = findLostInterval(await deps.generations.readRecent(), deps)
  if (interval === null) return null
  const stored = await findStored(deps, tweet, interval)
  // X's timeline may lag behind its responses.
  const readableAt = new Date(interval.until.getTime() + deps.timing.reconcileAgainAfterSeconds * 1000)
  if (stored === null && (await isBefore(deps, readableAt))) return refusal('POSSIBLY_POSTED', { retryAt: readableAt })
  let lost: LostPosts
  try {
    lost = stored ?? (await readAndStore(deps, tweet, interval))
  } catch (error) {
    if (!(error instanceof AppError) || error.code.startsWith('ACCOUNT_')) throw error
    deps.log.warn({ error, tweetId: tweet.id }, 'The posts that a restored database has lost could not be read')
    return refusal('POSSIBLY_POSTED', { retryAt: error.retryAt })
  }
  const match = await matchPosts(deps, tweet, lost)
  if (match.kind === 'ABSENT') return null
  // Known as doubtful, so that X's own response for another tweet can take the post back.
  const doubt = { unknownSince: interval.since }
  const taken = match.kind === 'FOUND' ? await takePost(deps, tweet, 'PENDING', match.posts, doubt) : null
  if (taken !== null) return taken
  return refusal('POSSIBLY_POSTED')
}

// Of several restores the intervals are taken together: they are mostly attempts at one.
function findLostInterval(restores: readonly Restore[], { clock }: Deps): LostInterval | null {
  const oldest = clock.now().getTime() - KEY_KEPT_SECONDS * 1000
  const counting = restores.filter(({ restoredAt }) => restoredAt.getTime() > oldest)
  const [newest] = counting
  if (newest === undefined) return null
  const since = Math.min(...counting.map(({ lostSince }) => lostSince.getTime()))
  return { generation: newest.generation, since: new Date(since), until: newest.restoredAt }
}

async function isBefore({ db, clock }: Deps, moment: Date): Promise<boolean> {
  const [row] = await queryRows(db, sql`select ${clock.sqlNow()} < ${moment.toISOString()}::timestamptz as is_before`)
  return row?.is_before === true
}

async function findStored({ db }: Deps, tweet: Tweet, { generation }: LostInterval): Promise<LostPosts | null> {
  const { userId, accountId } = restoredTimelines
  const [row] = await db
    .select()
    .from(restoredTimelines)
    .where(and(eq(userId, tweet.userId), eq(accountId, tweet.accountId), eq(restoredTimelines.generation, generation)))
  return row === undefined ? null : { posts: postsShape.parse(JSON.parse(row.posts)), isWhole: row.isWhole }
}

async function readAndStore(deps: Deps, tweet: Tweet, interval: LostInterval): Promise<LostPosts> {
  const account = await findConnectedAccount(deps, tweet.userId, tweet.accountId)
  if (account === null) throw new AppError('ACCOUNT_NOT_FOUND')
  const first = await readPage(deps, account, interval, 0, null)
  const ahead = first.respondedAt === null ? 0 : first.respondedAt.getTime() - deps.clock.now().getTime()
  // By X's clock, the posts may be outside the requested period.
  const shift = Math.abs(ahead) <= CLOCK_TOLERANCE_MILLISECONDS ? 0 : ahead
  let page = shift === 0 ? first : await readPage(deps, account, interval, shift, null)
  const pages = [page]
  while (page.nextToken !== null && pages.length < MAX_LOST_PAGES) {
    page = await readPage(deps, account, interval, shift, page.nextToken)
    pages.push(page)
  }
  const posts = pages.flatMap(({ posts }) => posts)
  const isWhole = page.nextToken === null && pages.every(({ hasWithheld }) => !hasWithheld)
  const { userId, accountId } = tweet
  const values = { generation: interval.generation, posts: JSON.stringify(posts), isWhole }
  await deps.db
    .insert(restoredTimelines)
    .values({ userId, accountId, ...values })
    .onConflictDoUpdate({ target: [restoredTimelines.userId, restoredTimelines.accountId], set: values })
  return { posts, isWhole }
}

async function readPage(
  deps: Deps,
  account: { id: string; userId: string; providerAccountId: string },
  { since, until }: LostInterval,
  shift: number,
  pageToken: string | null,
): Promise<TimelinePage> {
  const start = new Date(since.getTime() - CLOCK_MARGIN_MILLISECONDS + shift)
  // Half of the wait before the read, so that the end is not in the future by X's clock. X takes whole
  // seconds, to which it would be rounded down.
  const margin = deps.timing.reconcileAgainAfterSeconds * 500
  const end = new Date(Math.ceil((until.getTime() + margin + shift) / 1000) * 1000)
  const result = await withAccessToken(deps, account, 'READ_TIMELINE', (accessToken) =>
    fetchTimeline(deps, accessToken, account.providerAccountId, start, end, pageToken),
  )
  if (result.kind === 'refused') throw refusalError(result)
  if (result.kind === 'unknown') throw new AppError('X_UNAVAILABLE', { cause: result.cause })
  return result.value
}

const postsShape: z.ZodType<TimelinePost[]> = z.array(
  z.object({
    text: z.string(),
    expandedUrls: z.array(z.string()),
    xTweetId: z.string(),
    createdAt: z.string().transform((text) => new Date(text)),
    repliesToXTweetId: z.string().nullable(),
    repliesToUserId: z.string().nullable(),
    earlierXTweetIds: z.array(z.string()),
    isWholeText: z.boolean(),
  }),
)
