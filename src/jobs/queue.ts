// Background work, on pg-boss: the only file that imports it. Jobs live in our own database, so that they survive a restart and any
// instance can do them.
import { type SQL, sql } from 'drizzle-orm'
import { fromDrizzle, fromPglite, PgBoss, type QueueOptions, type WorkOptions } from 'pg-boss'
import { recoverOrphanedTokens, refreshIdleAccounts } from '../accounts/access-token.ts'
import { checkConnection } from '../accounts/check-connection.ts'
import { resumeConnection } from '../accounts/complete-connection.ts'
import { endAbandonedAttempts } from '../accounts/connect.ts'
import { REFRESH_TOKEN_LIFETIME_SECONDS, revokeGrant } from '../accounts/revocation.ts'
import { sweepApiTokens } from '../auth/api-token.ts'
import { sweepAttempts } from '../auth/oauth-attempt.ts'
import { sweepSessions } from '../auth/session.ts'
import type { Database } from '../db/client.ts'
import { JOBS_SCHEMA } from '../db/grants.ts'
import { openJobDatabase } from '../db/job-database.ts'
import type { JobData, JobName, Jobs } from '../db/jobs.ts'
import type { Deps } from '../deps.ts'
import { sweepEvents } from '../events/events.ts'
import { sweepRateLimits } from '../rate-limit/limiter.ts'
import type { Log } from '../telemetry/log.ts'
import { sweepTweets } from '../tweets/outcome.ts'
import { reconcileTweet } from '../tweets/reconcile.ts'
import { sweepWebhookDeliveries } from '../webhooks/deliveries.ts'
import { deliverWebhook } from '../webhooks/delivery.ts'
import { fanOutEvents } from '../webhooks/fan-out.ts'
import { replaceLostJobs } from './lost-jobs.ts'

/** The job queue: what features ask through, and its life. */
export type JobQueue = {
  jobs: Jobs
  /** Creates its own tables if need be, and starts working. */
  start(deps: Deps): Promise<void>
  /** Takes no more jobs; those under way go on, and more can be queued. */
  pause(): Promise<void>
  /** Waits for the jobs under way, for up to `withinSeconds`. */
  stop(withinSeconds: number): Promise<void>
}

const POLL_SECONDS = 1
const DAY_SECONDS = 86_400

// Until it is done: the database may be away for longer than a few tries. A job that has not ended in a minute died with its process.
const RETRIED = {
  retryLimit: 1_000,
  retryDelay: 15,
  retryBackoff: true,
  retryDelayMax: 3_600,
  deleteAfterSeconds: DAY_SECONDS,
  expireInSeconds: 60,
} as const satisfies QueueOptions

type Queue = {
  /** What differs from `RETRIED`. */
  queue: QueueOptions
  workers: Pick<WorkOptions, 'localConcurrency' | 'localGroupConcurrency' | 'burstWhenReadyExceeds'>
  work(deps: Deps, id: string): Promise<void>
}

const queues: Record<JobName, Queue> = {
  'revoke-grant': {
    queue: { retryLimit: 10_000, retryDelay: 5, retentionSeconds: REFRESH_TOKEN_LIFETIME_SECONDS },
    workers: { localConcurrency: 4 },
    work: revokeGrant,
  },
  // The sweep queues it again for an attempt that still waits, which says itself when it is due.
  'finish-connect': { queue: { retryLimit: 2 }, workers: { localConcurrency: 4 }, work: resumeConnection },
  // A day, with the pauses between: after that the next use of the account tells.
  'check-connection': { queue: { retryLimit: 30 }, workers: { localConcurrency: 2 }, work: checkConnection },
  'reconcile-tweet': { queue: {}, workers: { localConcurrency: 4 }, work: reconcileTweet },
  'deliver-webhook': {
    // Tried again for what breaks on our side: that a receiver does not answer is no failure of the job.
    queue: { deleteAfterSeconds: 3_600 },
    workers: {
      // A receiver may take its whole deadline: those of one user must leave room for the others'.
      localConcurrency: 4,
      localGroupConcurrency: 2,
      // A backlog is worked off without pauses.
      burstWhenReadyExceeds: 1,
    },
    work: deliverWebhook,
  },
}

// The migrations make it: pg-boss would demand the right to create schemas even where it exists.
const SCHEMA = { schema: JOBS_SCHEMA, createSchema: false } as const

/**
 * Makes the queue's tables where they are missing or of an older release, so that a role which may
 * not can then work with them. The migrations come first.
 */
export async function installJobTables({ source }: Pick<Database, 'source'>): Promise<void> {
  const opened = source.kind === 'postgres' ? openJobDatabase(source) : null
  const boss = new PgBoss({
    ...(source.kind === 'pglite' && { backend: 'pglite', db: fromPglite(source.client) }),
    ...(opened !== null && { db: opened }),
    ...SCHEMA,
    supervise: false,
    schedule: false,
  })
  try {
    await boss.start()
  } finally {
    await boss.stop({ graceful: false })
    await opened?.close()
  }
}

/** Makes the queue on the process's database. Nothing happens before `start`. */
export function createJobQueue(database: Database, log: Log): JobQueue {
  const { source } = database
  const opened = source.kind === 'postgres' ? openJobDatabase(source) : null
  const boss = new PgBoss({
    ...(source.kind === 'pglite' && { backend: 'pglite', db: fromPglite(source.client) }),
    ...(opened !== null && { db: opened }),
    ...SCHEMA,
  })
  // Without a listener an outage of the database would end the process.
  boss.on('error', (error) => log.error({ error }, 'A background job could not be fetched or kept'))
  return {
    jobs: {
      enqueue: async (deps, name, { id, group }, afterSeconds = 0) => {
        // postgres.js gives the rows, PGlite an object with rows: pg-boss reads both, which drizzle's common type can't say.
        const execute = async (query: unknown) => (await deps.db.execute(query as SQL)) as { rows: unknown[] }
        const db = fromDrizzle({ execute }, sql)
        await boss.send(
          name,
          { id },
          { db, startAfter: afterSeconds, ...(group !== undefined && { group: { id: group } }) },
        )
      },
    },
    start: async (deps) => {
      await boss.start()
      for (const [name, { queue, workers, work }] of Object.entries(queues)) {
        await boss.createQueue(name, { ...RETRIED, ...queue })
        await boss.work<JobData>(name, { pollingIntervalSeconds: POLL_SECONDS, ...workers }, async ([job]) => {
          if (job !== undefined) await attempt(deps, name, () => work(deps, job.data.id))
        })
      }
      await boss.createQueue('sweep', { policy: 'singleton', deleteAfterSeconds: DAY_SECONDS, expireInSeconds: 60 })
      await boss.work('sweep', { pollingIntervalSeconds: POLL_SECONDS }, () =>
        attempt(deps, 'sweep', () => sweep(deps)),
      )
      await boss.schedule('sweep', '* * * * *')
    },
    pause: async () => {
      for (const name of [...Object.keys(queues), 'sweep']) await boss.offWork(name, { wait: false })
    },
    stop: async (withinSeconds) => {
      try {
        await boss.stop({ graceful: true, timeout: withinSeconds * 1000 })
      } finally {
        await opened?.close()
      }
    },
  }
}

const sweeps = [
  sweepTweets,
  endAbandonedAttempts,
  sweepAttempts,
  sweepSessions,
  sweepRateLimits,
  sweepEvents,
  sweepApiTokens,
  sweepWebhookDeliveries,
  fanOutEvents,
  replaceLostJobs,
  recoverOrphanedTokens,
  refreshIdleAccounts,
]

// A part that fails does not keep the others from their turn.
async function sweep(deps: Deps): Promise<void> {
  const errors: unknown[] = []
  for (const part of sweeps) {
    try {
      await part(deps)
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, 'Parts of the sweep failed')
}

// pg-boss tries again; the log says why.
async function attempt(deps: Deps, job: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    deps.log.warn({ error, job }, 'A background job failed and will be tried again')
    // What pg-boss stores of an error is readable by whoever reads its tables: the name will do.
    throw new Error(error instanceof Error ? error.name : 'failed')
  }
}
