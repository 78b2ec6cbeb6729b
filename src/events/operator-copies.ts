// The operator's copies of account events, as they end: when a user hides their accounts, and when the
// user is deleted. A user can have any number of copies, so they are deleted in batches, and those that
// are left are hidden by a row of `hidden_copies`.
import { and, asc, count, eq, inArray, like, lte, type SQL, sql } from 'drizzle-orm'
import { runBatches } from '../db/batches.ts'
import { eventPositions, events, hiddenCopies, OPERATOR_ID, webhookDeliveries, webhookEndpoints } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'

/** The number of copies that the request of a user deletes at most. Few users have more. */
export const COPIES_DELETED_AT_ONCE = 100
const SWEEP_BATCH = 1_000

/**
 * Hides the operator's copies of a user's events. Deletes the first of them; `sweepHiddenCopies` deletes
 * the others. Call it in a transaction that has locked the user's position, so that no copy is being
 * written.
 */
export async function hideOperatorCopies({ db }: Pick<Deps, 'db'>, userId: string): Promise<void> {
  if ((await deleteCopies(db, isCopyOf(userId), COPIES_DELETED_AT_ONCE)) < COPIES_DELETED_AT_ONCE) return
  const hidden = db
    .select({
      userId: eventPositions.userId,
      subjectUserId: sql`${userId}::uuid`.as('subject_user_id'),
      position: eventPositions.position,
    })
    .from(eventPositions)
    .where(eq(eventPositions.userId, OPERATOR_ID))
  await db
    .insert(hiddenCopies)
    .select(hidden)
    .onConflictDoUpdate({
      target: [hiddenCopies.userId, hiddenCopies.subjectUserId],
      set: { position: sql`excluded.position` },
    })
}

/**
 * Deletes the next copies of a user whom the transaction of `deps` has locked for update, with their
 * deliveries.
 * @returns true when none is left.
 */
export async function deleteOperatorCopies({ db }: Pick<Deps, 'db'>, userId: string, limit: number): Promise<boolean> {
  if ((await deleteCopies(db, isCopyOf(userId), limit)) === limit) return false
  await db.delete(hiddenCopies).where(isHidden(userId))
  return true
}

/** Deletes the copies that users have hidden, with their deliveries, until the signal. */
export async function sweepHiddenCopies(deps: Deps, signal?: AbortSignal): Promise<number> {
  const runBatch = () =>
    transaction(deps, async ({ db }) => {
      const [next] = await db.select().from(hiddenCopies).where(eq(hiddenCopies.userId, OPERATOR_ID)).limit(1)
      if (next === undefined) return 0
      const { subjectUserId, position } = next
      const isLeft = and(isCopyOf(subjectUserId), lte(events.position, position))
      // The user may have hidden further copies meanwhile.
      if ((await deleteCopies(db, isLeft, SWEEP_BATCH)) < SWEEP_BATCH)
        await db.delete(hiddenCopies).where(and(isHidden(subjectUserId), eq(hiddenCopies.position, position)))
      return 1
    })
  return runBatches(1, runBatch, signal)
}

/**
 * The SQL condition that an event of the operator, a row of `events`, is not a hidden copy. The columns
 * are qualified, because Drizzle leaves the table out where a query has one.
 */
export function isNotHidden(): SQL {
  return sql`not exists (
    select from ${hiddenCopies} hidden
    where hidden.user_id = ${sql.raw(`'${OPERATOR_ID}'`)} and hidden.subject_user_id = "events"."subject_user_id"
      and hidden.position >= "events"."position"
  )`
}

// Not the operator's own acts, which are no copies.
function isCopyOf(userId: string): SQL | undefined {
  return and(eq(events.userId, OPERATOR_ID), eq(events.subjectUserId, userId), like(events.type, 'account.%'))
}

function isHidden(userId: string): SQL | undefined {
  return and(eq(hiddenCopies.userId, OPERATOR_ID), eq(hiddenCopies.subjectUserId, userId))
}

async function deleteCopies(db: Deps['db'], condition: SQL | undefined, limit: number): Promise<number> {
  // Lock order everywhere: endpoints before their deliveries.
  await db
    .select({ id: webhookEndpoints.id })
    .from(webhookEndpoints)
    .where(eq(webhookEndpoints.userId, OPERATOR_ID))
    .orderBy(asc(webhookEndpoints.id))
    .for('no key update')
  const next = db.select({ id: events.id }).from(events).where(condition).limit(limit)
  const copies = db.$with('copies').as(
    db
      .delete(events)
      .where(and(condition, inArray(events.id, next)))
      .returning({ id: events.id }),
  )
  const undelivered = db.$with('undelivered').as(
    db
      .delete(webhookDeliveries)
      .where(
        and(
          eq(webhookDeliveries.userId, OPERATOR_ID),
          inArray(webhookDeliveries.eventId, db.select({ id: copies.id }).from(copies)),
        ),
      )
      .returning({ id: webhookDeliveries.id }),
  )
  const [deleted] = await db.with(copies, undelivered).select({ count: count() }).from(copies)
  return deleted?.count ?? 0
}
