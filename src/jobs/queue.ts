// The job queue, on pg-boss. Jobs are rows of our own database: they survive restarts, and any
// instance can run them.
import { type SQL, sql } from 'drizzle-orm'
import { type ConstructorOptions, fromDrizzle, fromPglite, PgBoss } from 'pg-boss'
import { z } from 'zod'
import type { Database } from '../db/client.ts'
import { JOBS_SCHEMA } from '../db/grants.ts'
import { openJobDatabase } from '../db/job-database.ts'
import type { JobData, Jobs } from '../db/jobs.ts'
import { isRowId } from '../db/row-id.ts'
import type { Deps } from '../deps.ts'
import type { Log } from '../telemetry/log.ts'
import { MAINTENANCE_SCHEDULE, runMaintenance } from './maintenance.ts'
import { RETRIED_QUEUE, workers } from './workers.ts'

/** The queue of one process. */
export type JobQueue = {
  /** The part that features use. */
  jobs: Jobs
  /** Creates the queue's tables if they are missing, and starts the workers. */
  start(deps: Deps): Promise<void>
  /** Starts no more jobs. Running jobs go on, and jobs can still be queued. */
  pause(): Promise<void>
  /** Waits for the running jobs, for at most `seconds`, and closes the queue's connections. */
  stop(seconds: number): Promise<void>
}

const POLL_SECONDS = 1
const jobDataShape = z.object({ userId: z.string().refine(isRowId), id: z.string().refine(isRowId) })
// Stored in the database: the name of the queue of the periodic maintenance.
const MAINTENANCE_QUEUE = 'sweep'
const MAINTENANCE_OPTIONS = { policy: 'singleton', deleteAfterSeconds: 86_400, expireInSeconds: 60 } as const

/**
 * Creates or upgrades the queue's tables, so that a role without the right to do so can use them
 * afterwards. The migrations, which create the schema, must have run.
 */
export async function installJobTables(database: Pick<Database, 'source'>): Promise<void> {
  const { boss, close } = openBoss(database, { supervise: false, schedule: false })
  try {
    await boss.start()
  } finally {
    await boss.stop({ graceful: false })
    await close()
  }
}

/** Creates the queue. Jobs can be queued at once; they run after `start`. */
export function createJobQueue(database: Database, log: Log): JobQueue {
  const { boss, close } = openBoss(database, {})
  // Without a listener, an outage of the database would end the process.
  boss.on('error', (error) => log.error({ error }, 'The job queue could not fetch or store a job'))
  return {
    jobs: { enqueue: (deps, name, data, afterSeconds = 0) => enqueue(boss, deps, name, data, afterSeconds) },
    start: async (deps) => {
      await boss.start()
      for (const [name, { queue, concurrency, run }] of Object.entries(workers)) {
        await boss.createQueue(name, { ...RETRIED_QUEUE, ...queue })
        await boss.work(name, { pollingIntervalSeconds: POLL_SECONDS, ...concurrency }, async ([job]) => {
          const data = job === undefined ? null : parseJobData(deps, name, job.data)
          if (data !== null) await runJob(deps, name, () => run(deps, data))
        })
      }
      await boss.createQueue(MAINTENANCE_QUEUE, MAINTENANCE_OPTIONS)
      await boss.work(MAINTENANCE_QUEUE, { pollingIntervalSeconds: POLL_SECONDS }, () =>
        runJob(deps, MAINTENANCE_QUEUE, () => runMaintenance(deps)),
      )
      await boss.schedule(MAINTENANCE_QUEUE, MAINTENANCE_SCHEDULE)
    },
    pause: async () => {
      for (const name of [...Object.keys(workers), MAINTENANCE_QUEUE]) await boss.offWork(name, { wait: false })
    },
    stop: async (seconds) => {
      try {
        await boss.stop({ graceful: true, timeout: seconds * 1000 })
      } finally {
        await close()
      }
    },
  }
}

type OpenBoss = { boss: PgBoss; close(): Promise<void> }

function openBoss({ source }: Pick<Database, 'source'>, options: ConstructorOptions): OpenBoss {
  // The migrations create the schema: pg-boss would require the right to create schemas even where
  // it exists.
  const common = { schema: JOBS_SCHEMA, createSchema: false, ...options }
  if (source.kind === 'pglite')
    return { boss: new PgBoss({ backend: 'pglite', db: fromPglite(source.client), ...common }), close: async () => {} }
  const opened = openJobDatabase(source)
  return { boss: new PgBoss({ db: opened, ...common }), close: () => opened.close() }
}

async function enqueue(boss: PgBoss, deps: Pick<Deps, 'db'>, name: string, data: JobData, afterSeconds: number) {
  const { userId, id } = data
  // postgres.js returns the rows, PGlite an object with rows. pg-boss accepts both, which Drizzle's
  // common type cannot express.
  const execute = async (query: unknown) => (await deps.db.execute(query as SQL)) as { rows: unknown[] }
  const db = fromDrizzle({ execute }, sql)
  await boss.send(name, { userId, id }, { db, startAfter: afterSeconds, group: { id: userId } })
}

// A job of another release may lack its user. It is dropped: the maintenance queues one for each row
// that has none.
function parseJobData({ log }: Pick<Deps, 'log'>, job: string, data: unknown): JobData | null {
  const parsed = jobDataShape.safeParse(data)
  if (parsed.success) return parsed.data
  log.warn({ job }, 'A background job without the id of a user and of a row was dropped')
  return null
}

// pg-boss retries a job that throws, and stores the error. Its tables may be readable to others, so
// it is given the name alone.
async function runJob(deps: Deps, job: string, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    deps.log.warn({ error, job }, 'A background job failed and will be retried')
    throw new Error(error instanceof Error ? error.name : 'failed')
  }
}
