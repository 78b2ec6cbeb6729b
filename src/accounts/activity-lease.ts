// The lease of the stream on which X reports revocations: one instance at a time keeps it open.
import { and, eq, lte, ne, or, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { activityStream, type activityStreamStates } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

export type ActivityStreamState = (typeof activityStreamStates)[number]

/**
 * Takes the lease, or renews that of this holder.
 * @param holderId a random id of this process.
 * @returns false when another process has it.
 */
export async function acquireActivityLease(deps: Deps, holderId: string): Promise<boolean> {
  const { db, clock, timing } = deps
  const now = clock.sqlNow()
  const heldUntil = sqlIn(clock, timing.activityLeaseSeconds)
  const isOurs = eq(activityStream.holderId, holderId)
  const [held] = await db
    .insert(activityStream)
    .values({ holderId, heldUntil, state: 'CONNECTING', stateSince: now })
    .onConflictDoUpdate({
      target: activityStream.onlyRow,
      set: {
        holderId,
        heldUntil,
        state: sql`case when ${isOurs} then ${activityStream.state} else 'CONNECTING' end`,
        stateSince: sql`case when ${isOurs} then ${activityStream.stateSince} else ${now} end`,
      },
      setWhere: or(isOurs, lte(activityStream.heldUntil, now)),
    })
    .returning({ holderId: activityStream.holderId })
  return held !== undefined
}

/** Stores the state of the stream of the lease's holder; does nothing for another process. */
export async function storeActivityState(deps: Deps, holderId: string, state: ActivityStreamState): Promise<void> {
  await deps.db
    .update(activityStream)
    .set({ state, stateSince: deps.clock.sqlNow() })
    .where(and(eq(activityStream.holderId, holderId), ne(activityStream.state, state)))
}

/** Releases the lease, so that another instance can take it at once. */
export async function releaseActivityLease(deps: Deps, holderId: string): Promise<void> {
  await deps.db
    .update(activityStream)
    .set({ heldUntil: deps.clock.sqlNow(), state: 'CONNECTING', stateSince: deps.clock.sqlNow() })
    .where(eq(activityStream.holderId, holderId))
}

/**
 * Returns the state of the stream, whichever instance keeps it open; OFF when this instance is not
 * configured for it.
 */
export async function getActivityState(deps: Deps): Promise<ActivityStreamState | 'OFF'> {
  if (deps.config.x.app === null) return 'OFF'
  const [row] = await deps.db
    .select({ state: activityStream.state })
    .from(activityStream)
    .where(sql`${activityStream.heldUntil} > ${deps.clock.sqlNow()}`)
  return row?.state ?? 'CONNECTING'
}
