// What is known of the runs of the maintenance, whichever instance has made them.
import { asc, sql } from 'drizzle-orm'
import type { Db } from './client.ts'
import type { Clock } from './clock.ts'
import { maintenanceRuns } from './tables.ts'

/**
 * The tasks by name, in the order in which they are taken. jobs/maintenance.ts has their functions.
 */
export const maintenanceTaskNames = [
  'refreshIdleAccounts',
  'recoverOrphanedTokens',
  'sweepTweets',
  'endAbandonedAttempts',
  'replaceLostJobs',
  'maintainPartitions',
  'sweepHiddenCopies',
  'sweepConnectAttempts',
  'sweepRefusedConnections',
  'sweepSignInAttempts',
  'sweepSecretOwners',
  'sweepUserDeletions',
  'sweepSessions',
  'sweepRateLimits',
  'sweepEvents',
  'sweepApiTokens',
  'sweepInvites',
  'sweepIdempotencyKeys',
  'sweepWebhookDeliveries',
] as const

export type MaintenanceTaskName = (typeof maintenanceTaskNames)[number]

/** The runs of a task since the last call of `storeMaintenanceRuns`. */
export type EndedRuns = {
  task: MaintenanceTaskName
  /** The last good run; null when there was none. */
  success: { durationMilliseconds: number; rowCount: number | null } | null
  /** The number of runs that have failed after it. */
  failureCount: number
}

/** Stores runs that have ended just now, by one statement. */
export async function storeMaintenanceRuns(
  { db, clock }: { db: Db; clock: Clock },
  runs: readonly EndedRuns[],
): Promise<void> {
  const now = clock.sqlNow()
  const rows = runs
    // In one order, so that two instances do not wait for each other.
    .toSorted((a, b) => (a.task < b.task ? -1 : 1))
    .map(({ task, success, failureCount }) => ({
      task,
      succeededAt: success === null ? null : now,
      durationMilliseconds: success?.durationMilliseconds ?? null,
      rowCount: success?.rowCount ?? null,
      failureCount,
      failedAt: failureCount === 0 ? null : now,
    }))
  const hasSucceeded = sql`excluded.succeeded_at is not null`
  const since = (column: string) =>
    sql.raw(`case when excluded.succeeded_at is null then maintenance_runs.${column} else excluded.${column} end`)
  await db
    .insert(maintenanceRuns)
    .values(rows)
    .onConflictDoUpdate({
      target: maintenanceRuns.task,
      set: {
        succeededAt: since('succeeded_at'),
        durationMilliseconds: since('duration_milliseconds'),
        rowCount: since('row_count'),
        failureCount: sql`excluded.failure_count + case when ${hasSucceeded} then 0 else maintenance_runs.failure_count end`,
        failedAt: sql`excluded.failed_at`,
      },
    })
}

/** What is known of the runs of one task. */
export type TaskRuns = {
  task: MaintenanceTaskName
  succeededAt: Date | null
  durationSeconds: number | null
  rowCount: number | null
  failureCount: number
  /** Null while the task keeps up. */
  behind: TaskBehind | null
}

/** How a task has fallen behind. `since` is its last good run; null when none is known. */
export type TaskBehind = {
  task: MaintenanceTaskName
  reason: 'FAILED' | 'LATE'
  failureCount: number
  since: Date | null
}

/**
 * The number of failures in a row after which a task is behind. The maintenance runs every minute,
 * and an outage of a provider or a lock is over before that.
 */
export const MAX_TASK_FAILURES = 5

/**
 * Returns how a task has fallen behind; null while it keeps up.
 * @param runs `ageSeconds` is the age of its last good run; null when none is known.
 * @param behindSeconds, uptimeSeconds as for `listMaintenanceRuns`.
 */
export function judgeTask(
  { failureCount, ageSeconds }: { failureCount: number; ageSeconds: number | null },
  behindSeconds: number,
  uptimeSeconds: number,
): TaskBehind['reason'] | null {
  if (failureCount >= MAX_TASK_FAILURES) return 'FAILED'
  const isLate = uptimeSeconds >= behindSeconds && (ageSeconds === null || ageSeconds >= behindSeconds)
  return isLate ? 'LATE' : null
}

/**
 * Returns what is known of all tasks, by one statement.
 * @param behindSeconds a task is late when its last good run was so long ago.
 * @param uptimeSeconds how long this instance has run. Before `behindSeconds` no task is late: all
 *   instances may have been stopped.
 */
export async function listMaintenanceRuns(
  { db, clock }: { db: Db; clock: Clock },
  behindSeconds: number,
  uptimeSeconds: number,
): Promise<TaskRuns[]> {
  const age = sql<number>`extract(epoch from ${clock.sqlNow()} - ${maintenanceRuns.succeededAt})::float8`
  const rows = await db
    .select({ runs: maintenanceRuns, ageSeconds: age })
    .from(maintenanceRuns)
    .orderBy(asc(maintenanceRuns.task))
  return maintenanceTaskNames.map((task) => {
    const row = rows.find(({ runs }) => runs.task === task)
    const { succeededAt = null, durationMilliseconds = null, rowCount = null, failureCount = 0 } = row?.runs ?? {}
    const ageSeconds = succeededAt === null ? null : (row?.ageSeconds ?? null)
    const reason = judgeTask({ failureCount, ageSeconds }, behindSeconds, uptimeSeconds)
    return {
      task,
      succeededAt,
      durationSeconds: durationMilliseconds === null ? null : durationMilliseconds / 1000,
      rowCount,
      failureCount,
      behind: reason === null ? null : { task, reason, failureCount, since: succeededAt },
    }
  })
}
