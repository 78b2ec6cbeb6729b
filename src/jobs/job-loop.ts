// The loop of one process that takes due jobs out of the queue and runs them. It is woken when a
// job is queued here, when the time of a queued job has come, and by a notification; otherwise it
// looks every few seconds for the jobs of other instances. pg-boss's own workers would each ask
// every second.
import type { Job, PgBoss } from 'pg-boss'
import { JOBS_SCHEMA } from '../db/grants.ts'
import type { JobDatabase } from '../db/job-database.ts'
import { withTimeout } from '../process/with-timeout.ts'
import type { Log } from '../telemetry/log.ts'
import { createAlarm } from './alarm.ts'

/** One queue, as the loop runs it. */
export type LoopQueue = {
  /** The number of jobs that this process runs at once. */
  capacity: number
  /** The number of those that may be of one group; null for no limit. */
  groupCapacity: number | null
  /** True if the rows of finished jobs are kept for a while. */
  keepsFinished: boolean
  /** Runs a job. It is repeated if this throws. */
  run(data: unknown): Promise<void>
}

/** The loop of one process. */
export type JobLoop = {
  start(): void
  /** Takes note of a job in `name` that is due in `seconds`. Call it after the commit. */
  expect(name: string, seconds: number): void
  /** Looks for due jobs soon. */
  wake(): void
  /** Takes no more jobs. Running jobs go on. */
  pause(): void
  /** Waits for the running jobs, for at most `seconds`, and returns the others to the queue. */
  drain(seconds: number): Promise<void>
}

type RunningJob = { job: Job<unknown>; ended: Promise<void> }

/** The longest time between two looks, for jobs of other instances and lost notifications. */
export const LOOK_SECONDS = 5
const RETRY_SECONDS = 1

/**
 * Creates the loop over some queues of `boss`.
 * @param onBusy is called when a job is due that this process cannot take.
 */
export function createJobLoop(
  { boss, database, log }: { boss: PgBoss; database: Pick<JobDatabase, 'executeSql'>; log: Log },
  queues: ReadonlyMap<string, LoopQueue>,
  onBusy: () => void,
): JobLoop {
  const running = new Map<string, Set<RunningJob>>()
  /** The queues that probably have a due job. */
  const wanted = new Set<string>()
  /** The queues of which a job was passed over, because enough of its group are running. */
  const passedOver = new Set<string>()
  const alarm = createAlarm()
  let isPaused = false
  let looping = Promise.resolve()

  const runningOf = (name: string) => {
    const jobs = running.get(name) ?? new Set()
    running.set(name, jobs)
    return jobs
  }
  const freeOf = (name: string) => (queues.get(name)?.capacity ?? 0) - runningOf(name).size
  const canTake = () => [...wanted].some((name) => freeOf(name) > 0)

  async function loop(): Promise<void> {
    while (!isPaused) {
      try {
        if (alarm.takeDue()) await look()
        for (const name of [...wanted]) await take(name)
      } catch (error) {
        log.error({ error }, 'The job queue could not fetch or store a job')
        wanted.clear()
        alarm.setIn(RETRY_SECONDS)
      }
      if (!canTake()) await alarm.wait()
    }
  }

  async function look(): Promise<void> {
    const { rows } = await database.executeSql(LOOK, [[...queues.keys()]])
    const due = rows.filter(({ due }) => due === true).map(({ name }) => String(name))
    for (const name of due) wanted.add(name)
    const later = rows.flatMap(({ seconds }) => (seconds === null ? [] : [Number(seconds)]))
    // Instances that look at different times find the jobs of a killed one sooner.
    alarm.setIn(Math.min(...later, LOOK_SECONDS * (0.8 + Math.random() * 0.2)))
  }

  async function take(name: string): Promise<void> {
    const queue = queues.get(name)
    const free = freeOf(name)
    if (queue === undefined || free <= 0 || isPaused) return
    wanted.delete(name)
    const { full, most } = countGroups(runningOf(name), queue.groupCapacity)
    // So few that they may all be of one group.
    const batchSize = queue.groupCapacity === null ? free : Math.min(free, queue.groupCapacity - most)
    const jobs = await boss.fetch<unknown>(name, { batchSize, ...(full.length > 0 && { ignoreGroups: full }) })
    if (jobs.length === batchSize) wanted.add(name)
    if (full.length > 0) passedOver.add(name)
    else passedOver.delete(name)
    for (const job of jobs) start(name, queue, job)
  }

  function start(name: string, queue: LoopQueue, job: Job<unknown>): void {
    const own = runningOf(name)
    const entry: RunningJob = { job, ended: Promise.resolve() }
    own.add(entry)
    entry.ended = settle(name, queue, job).finally(() => {
      own.delete(entry)
      if (passedOver.has(name)) wanted.add(name)
      alarm.ring()
    })
  }

  async function settle(name: string, queue: LoopQueue, job: Job<unknown>): Promise<void> {
    const error = await queue.run(job.data).then(
      () => null,
      (error: unknown) => error ?? new Error('failed'),
    )
    try {
      // These change nothing when the job has expired meanwhile, and another instance has taken it.
      if (error !== null) await giveBack(name, job, error)
      else if (queue.keepsFinished) await boss.complete(name, job)
      else await boss.deleteJob(name, job)
    } catch (error) {
      log.error({ error }, 'The job queue could not fetch or store a job')
    }
  }

  // pg-boss's tables may be readable to others, so it is given the error's name alone.
  async function giveBack(name: string, job: Job<unknown>, error: unknown): Promise<void> {
    await boss.fail(name, job, { value: error instanceof Error ? error.name : 'failed' })
    alarm.setIn(0)
  }

  return {
    start: () => {
      looping = loop()
    },
    expect: (name, seconds) => {
      if (seconds > 0) return alarm.setIn(seconds)
      if (isPaused || freeOf(name) <= 0) onBusy()
      wanted.add(name)
      alarm.ring()
    },
    wake: () => alarm.setIn(0),
    pause: () => {
      isPaused = true
      alarm.ring()
    },
    drain: async (seconds) => {
      await looping
      const all = [...running].flatMap(([name, jobs]) => [...jobs].map((running) => ({ name, running })))
      const left = new Set(all)
      const ended = all.map((one) => one.running.ended.then(() => left.delete(one)))
      await withTimeout(seconds, Promise.all(ended), () => {})
      for (const { name, running } of left) await giveBack(name, running.job, new Error('Stopped'))
    },
  }
}

// The groups that have reached the limit, and the highest number of the others.
function countGroups(running: ReadonlySet<RunningJob>, groupCapacity: number | null): { full: string[]; most: number } {
  const counts = Map.groupBy(running, ({ job }) => job.groupId ?? null)
  const full: string[] = []
  let most = 0
  for (const [group, { length }] of counts) {
    if (group === null || groupCapacity === null) continue
    if (length >= groupCapacity) full.push(group)
    else most = Math.max(most, length)
  }
  return { full, most }
}

// One row for each queue: whether a job is due, and the seconds to the next one. Each question is
// answered by the first entry of pg-boss's index on (name, state, blocked, start_after).
const LOOK = `select name, ${forBothStates((state) => `exists(${jobsIn(state)} and start_after <= now())`).join(' or ')} as due,
  extract(epoch from least(${forBothStates((state) => `(${jobsIn(state)} and start_after > now() order by start_after limit 1)`)}) - now())::float8 as seconds
  from unnest($1::text[]) as queue(name)`

function forBothStates(text: (state: string) => string): string[] {
  return ['created', 'retry'].map(text)
}

function jobsIn(state: string): string {
  return `select start_after from ${JOBS_SCHEMA}.job
    where job.name = queue.name and state = '${state}' and not blocked`
}
