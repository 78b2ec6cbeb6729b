// The retention of events.
import { and, asc, eq, inArray, lt, sql } from 'drizzle-orm'
import { runBatchesByUser } from '../db/batches.ts'
import { queryRows } from '../db/client.ts'
import { sqlIn } from '../db/clock.ts'
import { eventHorizons, events, users, webhookDeliveries } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

/** The retention of events. */
export const EVENTS_KEPT_SECONDS = 90 * 86_400

const SWEEP_BATCH = 1_000

/**
 * Deletes events beyond the retention and stores the highest deleted position of each user and
 * type, until the signal.
 */
export async function sweepEvents(deps: Pick<Deps, 'db' | 'clock'>, signal?: AbortSignal): Promise<number> {
  const findOld = () =>
    deps.db
      .select({ userId: events.userId, id: events.id })
      .from(events)
      .where(lt(events.occurredAt, sqlIn(deps.clock, -EVENTS_KEPT_SECONDS)))
      .orderBy(asc(events.occurredAt))
      .limit(SWEEP_BATCH)
  return runBatchesByUser(SWEEP_BATCH, findOld, (userId, ids) => deleteEvents(deps, userId, ids), signal)
}

// Locks the user before the rows; skips a user who is being deleted, whose rows that transaction deletes.
async function deleteEvents({ db }: Pick<Deps, 'db'>, userId: string, ids: readonly string[]): Promise<number> {
  const [swept] = await queryRows(
    db,
    sql`
      with kept as (select id from ${users} where ${eq(users.id, userId)} for key share skip locked),
      swept as (
        delete from ${events}
        where ${and(eq(events.userId, userId), inArray(events.id, [...ids]))} and exists (select id from kept)
        returning id, type, position
      ), undelivered as (
        delete from ${webhookDeliveries}
        where ${eq(webhookDeliveries.userId, userId)} and event_id in (select id from swept)
      ), stored as (
        insert into ${eventHorizons} as known (user_id, type, position)
        select ${userId}::uuid, type, max(position) from swept group by type
        on conflict (user_id, type) do update set position = greatest(known.position, excluded.position)
      )
      select count(*)::int as count from swept`,
  )
  return Number(swept?.count)
}
