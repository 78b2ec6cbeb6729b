// Writes the outcome of a tweet, the use of its account and its event by one statement, which is its own
// transaction.
import { and, eq, sql } from 'drizzle-orm'
import type { PgUpdateSetSource } from 'drizzle-orm/pg-core'
import { isAccount } from '../accounts/account-rows.ts'
import { hasOne } from '../db/statement-parts.ts'
import { connectedAccounts, tweets } from '../db/tables.ts'
import { lockedUser } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import { completeDeliveries } from '../events/deliveries.ts'
import type { NewEvent } from '../events/events.ts'
import { eventParts, unplaced } from '../events/write.ts'

type Tweet = typeof tweets.$inferSelect

/**
 * Updates a tweet that is PENDING in its attempt, and writes the event. The rows are locked in the
 * order of db/user-lock.ts: each part of the statement waits for the one before it.
 *
 * The webhook deliveries are written with it. Only if the user's endpoints change at the same moment,
 * they are written right after it.
 * @returns null when the tweet has changed meanwhile, and nothing was written.
 */
export async function writePendingOutcome(
  deps: Deps,
  tweet: Tweet,
  outcome: PgUpdateSetSource<typeof tweets> & { status: Tweet['status'] },
  event: NewEvent,
): Promise<Tweet | null> {
  const { db, clock } = deps
  const { userId, accountId } = tweet
  const owner = db.$with('owner').as(lockedUser(db, userId))
  const changed = db.$with('changed').as(
    db
      .update(tweets)
      .set(outcome)
      .where(
        and(
          eq(tweets.userId, userId),
          eq(tweets.id, tweet.id),
          eq(tweets.attempt, tweet.attempt),
          eq(tweets.status, 'PENDING'),
          hasOne(owner),
        ),
      )
      .returning(),
  )
  const used = db.$with('used').as(
    db
      .update(connectedAccounts)
      .set({ lastUsedAt: clock.sqlNow() })
      .where(and(isAccount({ userId, id: accountId }), sql`${outcome.status} = 'POSTED' and ${hasOne(changed)}`))
      .returning({ id: connectedAccounts.id }),
  )
  const source = sql`(select count(*) from ${used}) as used_accounts, ${changed}`
  const happened = [unplaced(event)]
  const recorded = eventParts(deps, userId, happened, source)
  const [row] = await db
    .with(owner, changed, used, ...recorded.all)
    .select()
    .from(changed)
    .leftJoin(recorded.recorded, sql`true`)
  if (row === undefined) return null
  deps.eventNotifier.notify([userId])
  try {
    if (row.recorded !== null) await completeDeliveries(deps, userId, happened, row.recorded)
  } catch (error) {
    deps.log.error({ error, tweetId: tweet.id }, 'The webhooks of a tweet could not be written')
  }
  return row.changed
}
