// The function and the settings of each job queue.
import type { QueueOptions } from 'pg-boss'
import { checkConnection } from '../accounts/check-connection.ts'
import { resumeConnection } from '../accounts/complete-connection.ts'
import { REFRESH_TOKEN_LIFETIME_SECONDS, revokeGrant } from '../accounts/revocation.ts'
import type { JobData, JobName } from '../db/jobs.ts'
import type { Deps } from '../deps.ts'
import { reconcileTweet } from '../tweets/reconcile.ts'
import { continueUserDeletion } from '../users/deletion-job.ts'

/** The function and the settings of one queue. */
export type Worker = {
  /** Overrides of `RETRIED_QUEUE`. */
  queue: QueueOptions
  /** The number of jobs that an instance runs at once. */
  capacity: number
  /** The number of those that may be of one user; null for no limit. */
  userCapacity: number | null
  run(deps: Deps, data: JobData): Promise<void>
}

/**
 * The default settings of a queue. A failed job is retried until it succeeds, since the database
 * may be unavailable for longer than a few retries. A job that has not ended after a minute is
 * retried too: its process died.
 */
export const RETRIED_QUEUE = {
  retryLimit: 1_000,
  retryDelay: 15,
  retryBackoff: true,
  retryDelayMax: 3_600,
  deleteAfterSeconds: 86_400,
  expireInSeconds: 60,
} as const satisfies QueueOptions

export const workers: Readonly<Record<JobName, Worker>> = {
  'revoke-grant': {
    queue: { retryLimit: 10_000, retryDelay: 5, retentionSeconds: REFRESH_TOKEN_LIFETIME_SECONDS },
    capacity: 4,
    userCapacity: 2,
    run: revokeGrant,
  },
  // An attempt that still waits for X stores when it is due, and the maintenance queues its job
  // again.
  'finish-connect': { queue: { retryLimit: 2 }, capacity: 4, userCapacity: 2, run: resumeConnection },
  // About a day with its backoff. After that, the next use of the account finds out.
  'check-connection': { queue: { retryLimit: 30 }, capacity: 2, userCapacity: 1, run: checkConnection },
  // Its retries are for failures of the database. A run takes some seconds and queues the next one, so
  // that several deletions take turns.
  'delete-user': {
    queue: { retryDelay: 5, retryDelayMax: 300 },
    capacity: 1,
    userCapacity: 1,
    run: continueUserDeletion,
  },
  'reconcile-tweet': { queue: {}, capacity: 4, userCapacity: 2, run: reconcileTweet },
}
