// The job that deletes the rows of a user, after the request has ended all access. Each batch is a
// transaction of its own, so that a killed process loses one batch of work, and any instance goes on.
import { setTimeout as sleep } from 'node:timers/promises'
import { and, eq, sql } from 'drizzle-orm'
import type { JobData, JobProgress } from '../db/jobs.ts'
import { userDeletions, users } from '../db/tables.ts'
import { announceViewerChange } from '../db/viewers.ts'
import { isContended } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { type DeleteBatch, deletionBatches } from './deletion-batches.ts'
import { disconnectAll, findConnected } from './disconnect-all.ts'

// A shutdown waits for a run, and so does the next run of another deletion.
const RUN_SECONDS = 5
const MAX_PAUSE_MILLISECONDS = 200

/**
 * Goes on with the deletion of a user for some seconds, and queues itself again until no row is left.
 * It uses at most half of the time of one connection, so that requests are served meanwhile.
 */
export async function continueUserDeletion(deps: Deps, job: JobData): Promise<void> {
  const { userId, id } = job
  const endsAt = performance.now() + RUN_SECONDS * 1000
  const run: Run = { deps, isOver: () => performance.now() > endsAt }
  const isDisconnected = await retryContended(run, () => disconnectAll(deps, userId, () => !run.isOver()))
  const progress = isDisconnected ? await deleteRows(run, userId, job.progress ?? null) : null
  const isDone =
    isDisconnected &&
    progress === null &&
    (await deleteJobs(run, userId)) &&
    (await retryContended(run, () => finish(deps, job)))
  if (!isDone) await deps.jobs.enqueue(deps, 'delete-user', { userId, id, progress: progress ?? undefined })
}

type Run = { deps: Deps; isOver(): boolean }

// Starts where the last run has ended: the index entries of deleted rows stay until a vacuum, and
// each run would read all of them. Returns where this run has ended; null when no table is left.
async function deleteRows(run: Run, userId: string, progress: JobProgress | null): Promise<JobProgress | null> {
  // A table of another release is not found, and the run starts with the first one.
  const start = Math.max([...deletionBatches.keys()].indexOf(progress?.table ?? ''), 0)
  for (const [table, deleteBatch] of [...deletionBatches].slice(start)) {
    let after = progress?.table === table ? progress.after : null
    do {
      if (run.isOver()) return { table, after }
      const startedAt = performance.now()
      const from: string | null = after
      after = await retryContended(run, () => deleteUnderLock(run.deps, userId, deleteBatch, from))
      if (after !== null) await sleep(Math.min(performance.now() - startedAt, MAX_PAUSE_MILLISECONDS))
    } while (after !== null)
  }
  return null
}

async function deleteJobs({ deps }: Run, userId: string): Promise<true> {
  // Those of revocations are needed until X has confirmed.
  await deps.jobs.deleteAllOf(deps, userId, ['revoke-grant'])
  return true
}

function deleteUnderLock(deps: Deps, userId: string, deleteBatch: DeleteBatch, after: string | null) {
  return transaction(deps, async (deps) => ((await lockUser(deps, userId)) ? deleteBatch(deps, userId, after) : null))
}

/**
 * Deletes what requests that were under way have written since, and then the user. Other transactions
 * of the user wait for it, and find no user.
 * @returns false when more than a batch of rows is left.
 */
function finish(deps: Deps, { userId, id: deletionId }: JobData): Promise<boolean> {
  return transaction(deps, async (deps) => {
    const { db, clock, log } = deps
    if (await lockUser(deps, userId)) {
      if ((await findConnected(deps, userId)) !== null) return false
      for (const deleteBatch of deletionBatches.values())
        if ((await deleteBatch(deps, userId, null)) !== null) return false
      await db.delete(users).where(eq(users.id, userId))
      await announceViewerChange(deps, userId)
    }
    const [ended] = await db
      .update(userDeletions)
      .set({ userId: null, finishedAt: clock.sqlNow() })
      .where(and(eq(userDeletions.id, deletionId), eq(userDeletions.userId, userId)))
      .returning({ id: userDeletions.id })
    if (ended !== undefined) deps.afterCommit(() => log.info({ deletionId }, 'A user is deleted'))
    return true
  })
}

// Excludes the transactions that lock the user first, and those that need the user for a foreign key.
// The planner expects fewer rows of a user than a batch has, and would read and sort all of them for
// each batch. Without sorts it reads them in the order of the index, up to the end of the batch.
async function lockUser({ db }: Pick<Deps, 'db'>, userId: string): Promise<boolean> {
  await db.execute(sql`select set_config('enable_sort', 'off', true)`)
  const [user] = await db.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('update')
  return user !== undefined
}

// What was rolled back because of other transactions runs again, until the time of the run is over.
async function retryContended<T>({ deps, isOver }: Run, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!isContended(error) || isOver()) throw error
      deps.log.debug({ error }, 'A batch of the deletion of a user was rolled back, and runs again')
      await sleep(Math.random() * MAX_PAUSE_MILLISECONDS)
    }
  }
}
