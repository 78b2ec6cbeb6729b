// The job queue, on pg-boss. Jobs are rows of our own database: they survive restarts, and any
// instance can run them.
import { type SQL, sql } from 'drizzle-orm'
import { type ConstructorOptions, fromDrizzle, fromPglite, PgBoss } from 'pg-boss'
import { z } from 'zod'
import { atOnce } from '../db/after-commit.ts'
import type { Database } from '../db/client.ts'
import { JOBS_SCHEMA } from '../db/grants.ts'
import { type JobDatabase, openJobDatabase } from '../db/job-database.ts'
import { JOBS_CHANNEL, type JobData, type Jobs } from '../db/jobs.ts'
import { isRowId } from '../db/row-id.ts'
import { isEncryptionKeyMissing } from '../db/sealed-values.ts'
import type { Deps } from '../deps.ts'
import type { Log } from '../telemetry/log.ts'
import { createJobLoop, type LoopQueue } from './job-loop.ts'
import {
  MAINTENANCE_CAPACITY,
  MAINTENANCE_OPTIONS,
  MAINTENANCE_QUEUE,
  MAINTENANCE_SECONDS,
  queueMaintenanceRound,
  runMaintenance,
} from './maintenance.ts'
import { createRunRecorder, type RunRecorder } from './run-recorder.ts'
import { createTaskWatch } from './task-watch.ts'
import { deleteJobsOfUser } from './user-jobs.ts'
import { createWebhookLoop } from './webhook-loop.ts'
import { RETRIED_QUEUE, workers } from './workers.ts'

/** The queue of one process. */
export type JobQueue = {
  /** The part that features use. */
  jobs: Jobs
  /** Creates the queue's tables if they are missing, and starts the workers. */
  start(deps: Deps): Promise<void>
  /** Looks for due jobs, which another instance may have queued. */
  wake(): void
  /** Starts no more jobs. Running jobs go on, and jobs can still be queued. */
  pause(): Promise<void>
  /** Waits for the running jobs, for at most `seconds`, and closes the queue's connections. */
  stop(seconds: number): Promise<void>
}

// pg-boss's own rounds, each of one instance: expired jobs once a minute, deletion of old jobs once
// an hour. Flows are not used, and indexes are built in the background after an upgrade only.
const BOSS_OPTIONS = {
  schedule: false,
  registerInstance: false,
  superviseIntervalSeconds: 60,
  monitorIntervalSeconds: 60,
  maintenanceIntervalSeconds: 3_600,
  queueCacheIntervalSeconds: 3_600,
  flowIntervalSeconds: 86_400,
  bamIntervalSeconds: 600,
} as const satisfies ConstructorOptions
const jobDataShape = z.object({
  userId: z.string().refine(isRowId),
  id: z.string().refine(isRowId),
  progress: z.object({ table: z.string(), after: z.string().nullable() }).optional(),
})
// Other instances are told of jobs that this one cannot take at most this often.
const TELL_SECONDS = 1

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

/**
 * Creates the queues of the jobs too, so that a command can queue a job before a gateway has run.
 */
export async function installQueues(database: Pick<Database, 'source'>): Promise<void> {
  const { boss, close } = openBoss(database, { supervise: false, schedule: false })
  try {
    await boss.start()
    await createQueues(boss)
  } finally {
    await boss.stop({ graceful: false })
    await close()
  }
}

async function createQueues(boss: PgBoss): Promise<void> {
  for (const [name, { queue }] of Object.entries(workers)) await boss.createQueue(name, { ...RETRIED_QUEUE, ...queue })
}

/** Creates the queue. Jobs can be queued at once; they run after `start`. */
export function createJobQueue(database: Database, log: Log): JobQueue {
  const { boss, jobDatabase, close } = openBoss(database, BOSS_OPTIONS)
  // Without a listener, an outage of the database would end the process.
  boss.on('error', (error) => log.error({ error }, 'The job queue could not fetch or store a job'))
  const queues = new Map<string, LoopQueue>()
  const telling = createOthersNotifier(jobDatabase, log)
  const loop = createJobLoop({ boss, database: jobDatabase, log }, queues, telling.tell)
  const webhookLoop = createWebhookLoop(log, telling.tell)
  const watchTasks = createTaskWatch()
  let rounds: NodeJS.Timeout | undefined
  let recorder: RunRecorder | null = null
  return {
    jobs: {
      enqueue: async (deps, name, data, afterSeconds = 0) => {
        await enqueue(boss, deps, name, data, afterSeconds)
        const afterCommit = deps.afterCommit ?? atOnce
        afterCommit(() => loop.expect(name, afterSeconds))
      },
      deleteAllOf: deleteJobsOfUser,
      expectDeliveries: ({ afterCommit = atOnce }) => void afterCommit(() => webhookLoop.expect()),
    },
    start: async (deps) => {
      await boss.start()
      await createQueues(boss)
      for (const [name, { capacity, userCapacity, run }] of Object.entries(workers)) {
        const runJob = async (data: unknown) => {
          const parsed = parseJobData(deps, name, data)
          if (parsed !== null) await counted(deps, name, () => runLogged(deps, name, () => run(deps, parsed)))
        }
        queues.set(name, { capacity, groupCapacity: userCapacity, keepsFinished: false, run: runJob })
      }
      await boss.createQueue(MAINTENANCE_QUEUE, MAINTENANCE_OPTIONS)
      const runs = createRunRecorder(deps)
      recorder = runs
      queues.set(MAINTENANCE_QUEUE, {
        capacity: MAINTENANCE_CAPACITY,
        groupCapacity: null,
        keepsFinished: true,
        run: (data) => counted(deps, MAINTENANCE_QUEUE, () => runMaintenance(deps, data, runs)),
      })
      rounds = setInterval(() => void queueRound(deps), MAINTENANCE_SECONDS * 1000)
      loop.start()
      webhookLoop.start(deps)
    },
    wake: () => {
      loop.wake()
      webhookLoop.wake()
    },
    pause: async () => pause(),
    stop: async (seconds) => {
      pause()
      telling.end()
      try {
        await Promise.all([loop.drain(seconds), webhookLoop.drain(seconds)])
        await recorder?.store()
        await boss.stop({ graceful: false })
      } finally {
        await close()
      }
    },
  }

  function pause(): void {
    clearInterval(rounds)
    loop.pause()
    webhookLoop.pause()
  }

  async function queueRound(deps: Deps): Promise<void> {
    // Before the tasks run, so that it takes none of the connections beside theirs.
    try {
      await watchTasks(deps)
    } catch (error) {
      log.warn({ error }, 'The last runs of the maintenance could not be read')
    }
    try {
      await queueMaintenanceRound(boss, jobDatabase)
      loop.expect(MAINTENANCE_QUEUE, 0)
    } catch (error) {
      log.error({ error }, 'The job queue could not fetch or store a job')
    }
  }
}

// Tells other instances of due jobs, several at a time.
function createOthersNotifier(database: Pick<JobDatabase, 'executeSql'>, log: Log) {
  let timer: NodeJS.Timeout | undefined
  const notify = async () => {
    timer = undefined
    try {
      await database.executeSql(`select pg_notify('${JOBS_CHANNEL}', '')`)
    } catch (error) {
      log.debug({ error }, 'Other instances could not be told of a job')
    }
  }
  return {
    tell: () => {
      timer ??= setTimeout(() => void notify(), TELL_SECONDS * 1000)
    },
    end: () => clearTimeout(timer),
  }
}

type OpenBoss = { boss: PgBoss; jobDatabase: Pick<JobDatabase, 'executeSql'>; close(): Promise<void> }

/** Opens pg-boss on the tables of a database, without workers. The caller starts and stops it. */
export function openBoss({ source }: Pick<Database, 'source'>, options: ConstructorOptions): OpenBoss {
  // The migrations create the schema: pg-boss would require the right to create schemas even where
  // it exists.
  const common = { schema: JOBS_SCHEMA, createSchema: false, ...options }
  if (source.kind === 'pglite') {
    const db = fromPglite(source.client)
    return { boss: new PgBoss({ backend: 'pglite', db, ...common }), jobDatabase: db, close: async () => {} }
  }
  const db = openJobDatabase(source)
  return { boss: new PgBoss({ db, ...common }), jobDatabase: db, close: () => db.close() }
}

async function enqueue(boss: PgBoss, deps: Pick<Deps, 'db'>, name: string, data: JobData, afterSeconds: number) {
  const { userId, id, progress } = data
  // postgres.js returns the rows, PGlite an object with rows. pg-boss accepts both, which Drizzle's
  // common type cannot express.
  const execute = async (query: unknown) => (await deps.db.execute(query as SQL)) as { rows: unknown[] }
  const db = fromDrizzle({ execute }, sql)
  // The key is indexed, and makes nothing unique: the maintenance finds by it whether a row has a
  // job.
  await boss.send(
    name,
    { userId, id, ...(progress && { progress }) },
    { db, startAfter: afterSeconds, group: { id: userId }, singletonKey: id },
  )
}

// A job of another release may lack its user. It is dropped: the maintenance queues one for each
// row that has none.
function parseJobData({ log }: Pick<Deps, 'log'>, job: string, data: unknown): JobData | null {
  const parsed = jobDataShape.safeParse(data)
  if (parsed.success) return parsed.data
  log.warn({ job }, 'A background job without the id of a user and of a row was dropped')
  return null
}

async function counted({ metrics }: Deps, queue: string, run: () => Promise<void>): Promise<void> {
  if (metrics === null) return run()
  const startedAt = performance.now()
  let outcome: 'DONE' | 'FAILED' = 'FAILED'
  try {
    await run()
    outcome = 'DONE'
  } finally {
    metrics.countJob(queue, outcome, (performance.now() - startedAt) / 1000)
  }
}

async function runLogged(deps: Deps, job: string, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (error) {
    // A missing key has a line of its own.
    if (!isEncryptionKeyMissing(error)) deps.log.warn({ error, job }, 'A background job failed and will be retried')
    throw error
  }
}
