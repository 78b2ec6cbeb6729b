// Idempotency keys of `postTweet`. Of the callers with one key, one inserts the key and the tweet,
// in one statement (claim.ts). The others wait for its commit and find the tweet by the key.
import { and, eq, getTableColumns, inArray, lt, type SQL } from 'drizzle-orm'
import type { PgUpdateSetSource } from 'drizzle-orm/pg-core'
import { deleteOfUsers } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { idempotencyKeys, tweets } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { isTweet, type Tweet } from './outcome.ts'

/**
 * How long a key is good after the last time its tweet was sent. The descriptions in the SDL, the
 * sentence of IDEMPOTENCY_KEY_REUSED and schema/README.md name it: longer than queues of webhooks
 * and jobs retry.
 */
export const KEY_KEPT_SECONDS = 30 * 86_400

/** SHA-256 of an idempotency key and of the input that was sent with it. */
export type IdempotencyKey = { hash: string; requestHash: string }

/**
 * Returns the tweet that was posted with a key; null when the key is unused or has expired.
 * @throws AppError IDEMPOTENCY_KEY_REUSED when it was used with other input.
 */
export async function findTweetOfKey(deps: Deps, userId: string, key: IdempotencyKey): Promise<Tweet | null> {
  const [found] = await deps.db
    .select({ requestHash: idempotencyKeys.requestHash, tweet: getTableColumns(tweets) })
    .from(idempotencyKeys)
    .innerJoin(tweets, and(eq(tweets.userId, idempotencyKeys.userId), eq(tweets.id, idempotencyKeys.tweetId)))
    .where(isKey(userId, key))
  if (found === undefined) return null
  if (found.requestHash !== key.requestHash)
    throw new AppError('IDEMPOTENCY_KEY_REUSED', { field: ['input', 'idempotencyKey'] })
  return found.tweet
}

/**
 * Claims a tweet that failed for another try with its key, which is good from now on as long as a
 * new one. Call it in a transaction.
 * @param earlier the row that the caller has read.
 * @returns the row; null when another caller has claimed it, or the key has expired since it was read.
 */
export async function claimTweetAgain(
  deps: Pick<Deps, 'db' | 'clock'>,
  earlier: Tweet,
  key: IdempotencyKey,
  claim: PgUpdateSetSource<typeof tweets>,
): Promise<Tweet | null> {
  // Before the key: the deletion of the user locks both in another order.
  await lockUsers(deps.db, [earlier.userId])
  const kept = deps.db.$with('kept').as(
    deps.db
      .update(idempotencyKeys)
      .set({ expiresAt: sqlIn(deps.clock, KEY_KEPT_SECONDS) })
      .where(and(isKey(earlier.userId, key), eq(idempotencyKeys.tweetId, earlier.id)))
      .returning({ tweetId: idempotencyKeys.tweetId }),
  )
  const [claimed] = await deps.db
    .with(kept)
    .update(tweets)
    .set(claim)
    .where(
      and(
        isTweet(earlier),
        eq(tweets.status, 'FAILED'),
        eq(tweets.attempt, earlier.attempt),
        inArray(tweets.id, deps.db.select({ id: kept.tweetId }).from(kept)),
      ),
    )
    .returning()
  return claimed ?? null
}

/** Deletes the keys that have expired, until the signal. Their tweets stay. */
export async function sweepIdempotencyKeys(deps: Pick<Deps, 'db' | 'clock'>, signal?: AbortSignal): Promise<number> {
  const { userId, keyHash: id, expiresAt } = idempotencyKeys
  return deleteOfUsers(deps, idempotencyKeys, { userId, id }, lt(expiresAt, deps.clock.sqlNow()), signal)
}

/** The condition for the row of a key. */
export function isKey(userId: string, key: IdempotencyKey): SQL | undefined {
  return and(eq(idempotencyKeys.userId, userId), eq(idempotencyKeys.keyHash, key.hash))
}
