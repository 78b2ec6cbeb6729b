// Writes the outcome of a tweet, the use of its account and its event by one statement, which is its own
// transaction.
import { and, eq, sql } from 'drizzle-orm'
import type { PgUpdateSetSource } from 'drizzle-orm/pg-core'
import { isAccount } from '../accounts/account-rows.ts'
import { hasOne } from '../db/statement-parts.ts'
import { connectedAccounts, tweets } from '../db/tables.ts'
import { lockedUser } from '../db/user-lock.ts'
import type { Deps } from '../deps.ts'
import { enqueueDelivery } from '../events/deliveries.ts'
import type { NewEvent } from '../events/events.ts'
import { eventParts, unplaced } from '../events/write.ts'

type Tweet = typeof tweets.$inferSelect

/**
 * Updates a tweet that is PENDING in its attempt, and writes the event. The rows are locked in the
 * order of db/user-lock.ts: each part of the statement waits for the one before it.
 *
 * The jobs of webhook deliveries are queued after the commit. If the process dies before, another
 * queues them within a minute (jobs/lost-jobs.ts).
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
  const recorded = eventParts(deps, userId, [unplaced(event)], source)
  const { delivered } = recorded
  const rows = await db
    .with(owner, changed, used, ...recorded.all)
    .select()
    .from(changed)
    .leftJoin(delivered, sql`true`)
  const [first] = rows
  if (first === undefined) return null
  deps.eventNotifier.notify([userId])
  try {
    for (const row of rows) if (row.delivered !== null) await enqueueDelivery(deps, { userId, id: row.delivered.id })
  } catch (error) {
    deps.log.warn(
      { error, tweetId: tweet.id },
      'Could not queue the webhooks of a tweet; they are queued within a minute',
    )
  }
  return first.changed
}
