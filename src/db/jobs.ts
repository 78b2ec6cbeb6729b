// The interface through which features queue background work. It is declared in this layer, below
// the features, because a job is a row written in the caller's transaction; jobs/queue.ts, above
// the features, implements it and runs the jobs.
import type { AfterCommit } from './after-commit.ts'
import type { Db } from './client.ts'

/** The names of the job queues. */
export const jobNames = [
  'revoke-grant',
  'reconcile-tweet',
  'finish-connect',
  'check-connection',
  'delete-user',
] as const
export type JobName = (typeof jobNames)[number]

/**
 * The payload of a job: the user and the id of the row that it works on. Jobs of one user can share
 * a part of the workers, so that a long queue of one user does not delay the others.
 */
export type JobData = {
  userId: string
  id: string
  /** Where the last run of the same work has ended; undefined to start from the beginning. */
  progress?: JobProgress | undefined
}

/**
 * The table that a job has reached, and the key of its last row that is done, as text; null before
 * the first.
 */
export type JobProgress = { table: string; after: string | null }

/**
 * The NOTIFY channel on which an instance that cannot take a due job or webhook tells the others.
 */
export const JOBS_CHANNEL = 'xconnect_jobs'

/** Queues background jobs. */
export type Jobs = {
  /**
   * Queues a job in the transaction of `deps`, so that the job exists exactly if the change that
   * needs it does.
   */
  enqueue(
    deps: { db: Db; afterCommit?: AfterCommit },
    name: JobName,
    data: JobData,
    afterSeconds?: number,
  ): Promise<void>
  /**
   * Deletes the jobs of a user that wait or have failed, in all queues but `kept`. Those that run
   * leave no row when they end. The queue has no index by user, so this reads it page by page.
   */
  deleteAllOf(deps: { db: Db }, userId: string, kept: readonly JobName[]): Promise<void>
  /** Looks for webhook deliveries that are due, after the commit of `deps`. They are no jobs. */
  expectDeliveries(deps: { afterCommit?: AfterCommit }): void
}
