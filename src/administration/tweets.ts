// The tweets of all users, as the operator sees them: their states, and not their texts.
import { and, asc, desc, eq, type SQL, sql } from 'drizzle-orm'
import { type IdPage, idCondition, idOrder } from '../db/keyset.ts'
import { isRowId } from '../db/row-id.ts'
import { tweets } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type Actor, recordAct } from '../events/operator-acts.ts'
import { MAX_READS } from '../tweets/reconcile.ts'

/** A tweet, as the operator sees it. */
export type AdminTweet = Omit<typeof tweets.$inferSelect, 'text' | 'replyToXTweetId' | 'replySettings' | 'madeWithAi'>

/** What identifies a tweet: its user and its id. */
export type TweetKey = { userId: string; id: string }

/** The place of a tweet in the list of those in doubt. */
export type UnknownPlace = { timelineReads: number; userId: string; id: string }

/** A page of the tweets in doubt. */
export type UnknownPage = {
  after: UnknownPlace | null
  before: UnknownPlace | null
  limit: number
  backward: boolean
}

const { id, userId, accountId, status, attempt, claimedUntil, sentAt, unknownSince, timelineReads } = tweets
const { mayExistSince, xTweetId, errorCode, errorDetail, retryAt, createdAt, postedAt } = tweets
const shown = {
  ...{ id, userId, accountId, status, attempt, claimedUntil, sentAt, unknownSince, timelineReads },
  ...{ mayExistSince, xTweetId, errorCode, errorDetail, retryAt, createdAt, postedAt },
}

/**
 * Returns a page of the UNKNOWN tweets of all users: first those that the gateway has looked for least. A
 * tweet that it looks for meanwhile moves behind, and may be on two pages.
 */
export function listUnknownTweets({ db }: Pick<Deps, 'db'>, page: UnknownPage): Promise<AdminTweet[]> {
  const key = [timelineReads, userId, id]
  const compare = (operator: '<' | '>', place: UnknownPlace | null): SQL | undefined =>
    place === null
      ? undefined
      : sql`(${sql.join(key, sql`, `)}) ${sql.raw(operator)} (${place.timelineReads}, ${place.userId}::uuid, ${place.id}::uuid)`
  const order = page.backward ? desc : asc
  return (
    db
      .select(shown)
      .from(tweets)
      // As in the condition of the index `tweets_unknown`.
      .where(and(sql`${status} = 'UNKNOWN'`, compare('>', page.after), compare('<', page.before)))
      .orderBy(...key.map((column) => order(column)))
      .limit(page.limit)
  )
}

/** Returns a page of the tweets of one user, of any state, in the arbitrary order of their ids. */
export async function listTweetsOfUser({ db }: Pick<Deps, 'db'>, ofUser: string, page: IdPage): Promise<AdminTweet[]> {
  if (!isRowId(ofUser)) return []
  return db
    .select(shown)
    .from(tweets)
    .where(and(eq(userId, ofUser), idCondition(id, page)))
    .orderBy(idOrder(id, page))
    .limit(page.limit)
}

/** Returns the tweet of a user with this id; null when there is none. */
export async function findTweet({ db }: Pick<Deps, 'db'>, key: TweetKey): Promise<AdminTweet | null> {
  if (!isRowId(key.userId) || !isRowId(key.id)) return null
  const [tweet] = await db
    .select(shown)
    .from(tweets)
    .where(and(eq(userId, key.userId), eq(id, key.id)))
  return tweet ?? null
}

/**
 * Has the gateway look for an UNKNOWN tweet in the timeline of its account once more, up to three times.
 * Does nothing while it is looking already.
 * @throws AppError TWEET_NOT_FOUND, TWEET_NOT_UNKNOWN
 */
export async function reconcileUserTweet(deps: Deps, actor: Actor, key: TweetKey): Promise<AdminTweet> {
  await transaction(deps, async (deps) => {
    if (!isRowId(key.userId) || !isRowId(key.id)) return
    await lockUsers(deps.db, [key.userId])
    const [given] = await deps.db
      .update(tweets)
      .set({ timelineReads: 0 })
      .where(and(eq(userId, key.userId), eq(id, key.id), eq(status, 'UNKNOWN'), eq(timelineReads, MAX_READS)))
      .returning({ accountId })
    if (given === undefined) return
    await deps.jobs.enqueue(deps, 'reconcile-tweet', { userId: key.userId, id: key.id })
    const act = { userId: key.userId, tweetId: key.id, accountId: given.accountId }
    await recordAct(deps, actor, { type: 'operator.tweet_reconciled', ...act })
  })
  const tweet = await findTweet(deps, key)
  if (tweet === null) throw new AppError('TWEET_NOT_FOUND', { field: ['input', 'tweetId'] })
  if (tweet.status !== 'UNKNOWN') throw new AppError('TWEET_NOT_UNKNOWN', { field: ['input', 'tweetId'] })
  return tweet
}
