// Reads tweets.
import { and, eq, getTableColumns, inArray, sql } from 'drizzle-orm'
import { type KeysetPage, keysetCondition, keysetOrder } from '../db/keyset.ts'
import { fixedLimit, prepareForms } from '../db/prepared-query.ts'
import { isRowId } from '../db/row-id.ts'
import { tweets } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { withProblem } from '../x/refusals.ts'
import { isTweet, type Tweet } from './outcome.ts'
import { MAX_READS } from './reconcile.ts'

const GIVEN_UP =
  'X did not say whether it posted this, and the timeline does not show for certain that it did or did not. Look for it at x.com. If it is not there, post it under another idempotency key.'

// What the posting of a tweet needs, and no reader of a list.
const { userId, attempt, claimedUntil, sentAt, unknownSince, mayExistSince, ...shown } = getTableColumns(tweets)

/** A tweet as the API shows it. `username` is the account's, where it was read with the tweet. */
export type ShownTweet = Pick<Tweet, keyof typeof shown> & { username?: string }

/** Returns the user's tweet with this id, or null. */
export async function findTweet(deps: Deps, userId: string, tweetId: string): Promise<Tweet | null> {
  if (!isRowId(tweetId)) return null
  const [tweet] = await deps.db
    .select()
    .from(tweets)
    .where(isTweet({ id: tweetId, userId }))
  return tweet ?? null
}

/** Returns a page of the user's tweets, of one account or, with `accountId` null, of all. */
export async function listTweets(
  deps: Deps,
  userId: string,
  page: KeysetPage & { accountId: string | null },
): Promise<ShownTweet[]> {
  const { accountId, newerThan, olderThan } = page
  if (accountId !== null && !isRowId(accountId)) return []
  return readList(deps, page, {
    userId,
    ...(accountId !== null && { accountId }),
    ...(newerThan !== null && { newerAt: newerThan.createdAt, newerId: newerThan.id }),
    ...(olderThan !== null && { olderAt: olderThan.createdAt, olderId: olderThan.id }),
  })
}

/** Returns the user's tweets with these ids, which must be row ids. */
export function listTweetsByIds(deps: Deps, userId: string, ids: readonly string[]): Promise<Tweet[]> {
  return deps.db
    .select()
    .from(tweets)
    .where(and(eq(tweets.userId, userId), inArray(tweets.id, [...ids])))
}

// The text of a list depends on its conditions and its length.
const readList = prepareForms(
  ({ accountId, newerThan, olderThan, limit, backward }: KeysetPage & { accountId: string | null }) =>
    [accountId !== null, newerThan !== null, olderThan !== null, backward, limit].join(),
  ({ db }, { accountId, newerThan, olderThan, limit, backward }) => {
    const given = sql.placeholder
    return db
      .select(shown)
      .from(tweets)
      .where(
        and(
          eq(tweets.userId, given('userId')),
          accountId === null ? undefined : eq(tweets.accountId, given('accountId')),
          keysetCondition(tweets, {
            newerThan: newerThan && { createdAt: given('newerAt'), id: given('newerId') },
            olderThan: olderThan && { createdAt: given('olderAt'), id: given('olderId') },
          }),
        ),
      )
      .orderBy(...keysetOrder(tweets, { backward }))
      .limit(fixedLimit(limit))
  },
  // The index has no account: what is not of it is read and left out.
  ({ accountId }) => ({ isShort: accountId === null }),
)

/** Counts the user's tweets, of one account or, with `accountId` null, of all. */
export async function countTweets(deps: Deps, userId: string, accountId: string | null): Promise<number> {
  if (accountId !== null && !isRowId(accountId)) return 0
  const isIts = accountId === null ? undefined : eq(tweets.accountId, accountId)
  return deps.db.$count(tweets, and(eq(tweets.userId, userId), isIts))
}

/** Returns the error of a tweet that is FAILED or UNKNOWN; null for any other. */
export function tweetError(tweet: ShownTweet): AppError | null {
  const { errorCode, errorDetail, retryAt } = tweet
  if (errorCode === null) return null
  if (!isErrorCode(errorCode)) return new AppError('INTERNAL')
  const isGivenUp = tweet.status === 'UNKNOWN' && tweet.timelineReads >= MAX_READS
  const detail = isGivenUp ? GIVEN_UP : errorDetail === null ? null : withProblem(errorCode, errorDetail)
  return new AppError(errorCode, { retryAt, ...(detail !== null && { detail }) })
}
