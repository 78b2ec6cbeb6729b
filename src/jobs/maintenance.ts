// The periodic maintenance. Each task is a job of its own every minute: it has its own deadline, it
// fails alone, and whatever instance is free runs it. Every task is idempotent, and a later run
// does what an earlier one missed.
import type { JobInsert, PgBoss, Queue } from 'pg-boss'
import { z } from 'zod'
import { endAbandonedAttempts } from '../accounts/finish-connect.ts'
import { recoverOrphanedTokens, refreshIdleAccounts } from '../accounts/refresh-sweep.ts'
import { sweepRefusedConnections } from '../accounts/refused-connections.ts'
import { sweepApiTokens } from '../auth/api-token.ts'
import { sweepConnectAttempts } from '../auth/connect-attempt.ts'
import { sweepInvites } from '../auth/invites.ts'
import { sweepSessions } from '../auth/session-rows.ts'
import { sweepSignInAttempts } from '../auth/sign-in-attempt.ts'
import { sweepSecretOwners } from '../auth/user-secret.ts'
import { JOBS_SCHEMA } from '../db/grants.ts'
import type { JobDatabase } from '../db/job-database.ts'
import { type MaintenanceTaskName, maintenanceTaskNames } from '../db/maintenance-runs.ts'
import { maintainPartitions } from '../db/partitions.ts'
import type { Deps } from '../deps.ts'
import { sweepHiddenCopies } from '../events/operator-copies.ts'
import { sweepEvents } from '../events/sweep.ts'
import { withTimeout } from '../process/with-timeout.ts'
import { sweepRateLimits } from '../rate-limit/rows.ts'
import { sweepIdempotencyKeys } from '../tweets/idempotency-keys.ts'
import { sweepTweets } from '../tweets/outcome.ts'
import { sweepUserDeletions } from '../users/deletion.ts'
import { sweepWebhookDeliveries } from '../webhooks/deliveries.ts'
import { replaceLostJobs } from './lost-jobs.ts'
import type { RunRecorder } from './run-recorder.ts'

// Returns the number of rows that the run has handled; null where it handles none.
type Task = (deps: Deps, signal: AbortSignal) => Promise<number | null>

/**
 * The tasks by name, in the order in which they are taken: first those without which an account
 * loses its tokens.
 */
export const maintenanceTasks: ReadonlyMap<string, Task> = new Map(
  Object.entries({
    refreshIdleAccounts,
    recoverOrphanedTokens,
    sweepTweets,
    endAbandonedAttempts,
    replaceLostJobs,
    maintainPartitions: (deps) => maintainPartitions(deps).then(() => null),
    sweepHiddenCopies,
    sweepConnectAttempts,
    sweepRefusedConnections,
    sweepSignInAttempts,
    sweepSecretOwners,
    sweepUserDeletions,
    sweepSessions,
    sweepRateLimits,
    sweepEvents,
    sweepApiTokens,
    sweepInvites,
    sweepIdempotencyKeys,
    sweepWebhookDeliveries,
  } satisfies Record<MaintenanceTaskName, Task>),
)

/** The name of the queue of the tasks. */
export const MAINTENANCE_QUEUE = 'maintenance'

/** How often each task is queued. */
export const MAINTENANCE_SECONDS = 60

/**
 * The number of tasks that an instance runs at once: few, because they use the connections of
 * requests.
 */
export const MAINTENANCE_CAPACITY = 3

// Below the time after which the job of a killed process is run again, so that no task of a live
// process is.
const DEADLINE_SECONDS = 45

/**
 * The settings of the queue. At most one job of a task waits, and at most one runs. A failed one is
 * not repeated: the next is due within a minute.
 */
export const MAINTENANCE_OPTIONS = {
  policy: 'stately',
  retryLimit: 0,
  expireInSeconds: 60,
  deleteAfterSeconds: 3_600,
  retentionSeconds: 3_600,
} as const satisfies Omit<Queue, 'name'>

/**
 * How long a task waits at most before it is taken ahead of all that have waited for less: where
 * the first tasks take all the time that there is, the last would otherwise never run.
 */
export const MAINTENANCE_OVERDUE_SECONDS = 5 * MAINTENANCE_SECONDS

/**
 * Queues one round, and moves the tasks that are overdue ahead, the oldest first. Each minute has
 * one slot for each task, by the clock of the database, whatever the number of instances that do
 * this.
 */
export async function queueMaintenanceRound(
  boss: Pick<PgBoss, 'insert'>,
  database: Pick<JobDatabase, 'executeSql'>,
): Promise<void> {
  await boss.insert(MAINTENANCE_QUEUE, maintenanceJobs())
  await database.executeSql(ADVANCE_OVERDUE, [MAINTENANCE_QUEUE, OVERDUE_PRIORITY, MAINTENANCE_OVERDUE_SECONDS])
}

function maintenanceJobs(): JobInsert[] {
  return [...maintenanceTasks.keys()].map((task, index) => ({
    data: { task },
    singletonKey: task,
    singletonSeconds: MAINTENANCE_SECONDS,
    priority: maintenanceTasks.size - index,
  }))
}

// Above all tasks. Those of one priority are taken in the order in which they were queued.
const OVERDUE_PRIORITY = maintenanceTasks.size + 1

// A task that waits keeps its job, so the age of the job is the time that it has waited. Every
// instance runs this statement, at the same time: one that finds a row locked leaves it to the
// other.
const ADVANCE_OVERDUE = `update ${JOBS_SCHEMA}.job set priority = $2 where name = $1 and id in (
  select id from ${JOBS_SCHEMA}.job
  where name = $1 and state = 'created' and priority < $2 and created_on < now() - make_interval(secs => $3)
  for update skip locked)`

/**
 * Runs one task, for at most 45 s. Its signal tells it when to stop; it may go on for the duration
 * of a statement or a call.
 * @param data the data of the job: the name of the task.
 * @throws Error when the task fails or has not ended in time
 */
export async function runMaintenance(deps: Deps, data: unknown, recorder: RunRecorder): Promise<void> {
  const { success, data: job } = dataShape.safeParse(data)
  // A job of another release.
  if (!success) return deps.log.warn({ data }, 'An unknown maintenance task was dropped')
  const { task } = job
  const run = maintenanceTasks.get(task)
  if (run === undefined) throw new Error(`Bug: ${task} has no function`)
  const startedAt = performance.now()
  const stop = new AbortController()
  try {
    const rows = await withTimeout(DEADLINE_SECONDS, run(deps, stop.signal), () => {
      throw new Error(`The task has not ended within ${DEADLINE_SECONDS} s`)
    })
    const milliseconds = Math.round(performance.now() - startedAt)
    recorder.recordSuccess(task, milliseconds, rows)
    deps.log.debug({ task, milliseconds, rows }, 'A maintenance task is done')
  } catch (error) {
    recorder.recordFailure(task)
    deps.log.warn({ error, task }, 'A maintenance task failed; it runs again within a minute')
    throw error
  } finally {
    stop.abort()
  }
}

const dataShape = z.object({ task: z.enum(maintenanceTaskNames) })
