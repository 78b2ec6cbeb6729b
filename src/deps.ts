import type { Config } from './config/config.ts'
import { productionTiming, type Timing } from './config/timing.ts'
import { type AfterCommit, atOnce, createAfterCommit } from './db/after-commit.ts'
import type { Db } from './db/client.ts'
import { type Clock, systemClock } from './db/clock.ts'
import { createGenerations, type Generations } from './db/generations.ts'
import type { Jobs } from './db/jobs.ts'
import { createRecordedEvents, type RecordedEvents } from './db/recorded-events.ts'
import { runAgainIfRolledBack } from './db/rolled-back.ts'
import { createViewers, type Viewers } from './db/viewers.ts'
import { type CircuitBreakers, createCircuitBreakers } from './outbound/circuit-breakers.ts'
import type { WebhookEgress } from './outbound/webhook-egress.ts'
import type { EventNotifier } from './process/event-notifier.ts'
import { createEventStreams, type EventStreams } from './process/event-streams.ts'
import { createRateLimitBuckets, type RateLimitBuckets } from './process/rate-limit-buckets.ts'
import { createRunningRefreshes, type RunningRefreshes } from './process/running-refreshes.ts'
import type { Log } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { createRareLine, type RareLine } from './telemetry/rare-line.ts'

/**
 * The dependencies that live as long as the process. Every function that needs one takes them as
 * its first argument.
 */
export type Deps = {
  db: Db
  afterCommit: AfterCommit
  config: Config
  clock: Clock
  log: Log
  /** Null where nobody reads metrics. */
  metrics: Metrics | null
  timing: Timing
  circuitBreakers: CircuitBreakers
  jobs: Jobs
  viewers: Viewers
  generations: Generations
  /** Sends requests to addresses that users chose. */
  webhookEgress: WebhookEgress
  refreshes: RunningRefreshes
  rateLimitBuckets: RateLimitBuckets
  eventStreams: EventStreams
  /** Tells all instances of new events. */
  eventNotifier: EventNotifier
  /** Inside `transaction`: the events that it has recorded so far. */
  recordedEvents?: RecordedEvents
  /**
   * The number of log lines that this process has dropped because standard output accepted no more.
   */
  droppedLogLines(): number
  /** How long this gateway has run, by a monotonic clock. */
  uptimeSeconds(): number
  /** Logs a request whose query was refused by a full database queue, once in ten seconds. */
  logFullQueue: RareLine
  /** Logs a failed webhook delivery, once in ten minutes for each endpoint. */
  logFailedDelivery: RareLine
  /** The same for one that is dead. */
  logDeadDelivery: RareLine
  /** Logs an encryption key that this instance lacks, once an hour. */
  logMissingKey: RareLine
}

/** The parts of `Deps` that have no default, and those whose default can be replaced. */
export type DepsParts = Pick<Deps, 'db' | 'config' | 'log' | 'jobs' | 'webhookEgress' | 'eventNotifier'> &
  Partial<
    Pick<
      Deps,
      'clock' | 'timing' | 'circuitBreakers' | 'rateLimitBuckets' | 'eventStreams' | 'droppedLogLines' | 'metrics'
    >
  >

const MISSING_KEY =
  'This instance lacks an encryption key that another instance uses. Give all instances the same ENCRYPTION_KEYS; until then what needs the key is postponed'
const FAILED_DELIVERY = 'A webhook delivery failed and will be retried'
const DEAD_DELIVERY = 'A webhook delivery is dead: its last attempt failed'
// A receiver that is down fails hundreds of deliveries with the same line.
const DELIVERY_LINES = { keys: 100, windowSeconds: 600 }
const FULL_QUEUE = 'A request was refused because too many queries wait for the database'

/** Creates the dependencies of one gateway. */
export function createDeps({ db, config, log, jobs, webhookEgress, eventNotifier, ...parts }: DepsParts): Deps {
  const { clock = systemClock, timing = productionTiming, droppedLogLines = () => 0, metrics = null } = parts
  const {
    circuitBreakers = createCircuitBreakers(log, () => clock.now()),
    rateLimitBuckets = createRateLimitBuckets(() => clock.now()),
    eventStreams = createEventStreams(
      timing.streamLifetimeSeconds,
      config.maxEventStreams,
      config.userLimits.eventStreams,
    ),
  } = parts
  const refreshes = createRunningRefreshes()
  const startedAt = performance.now()
  return {
    db,
    afterCommit: atOnce,
    config,
    clock,
    log,
    metrics,
    timing,
    circuitBreakers,
    jobs,
    viewers: createViewers({ db, clock, log }),
    generations: createGenerations({ db, clock, log }),
    webhookEgress,
    refreshes,
    rateLimitBuckets,
    eventStreams,
    eventNotifier,
    droppedLogLines,
    uptimeSeconds: () => (performance.now() - startedAt) / 1000,
    logFullQueue: createRareLine(log, FULL_QUEUE, { keys: 1, level: 'error', windowSeconds: 10 }),
    logFailedDelivery: createRareLine(log, FAILED_DELIVERY, { ...DELIVERY_LINES, level: 'info' }),
    logDeadDelivery: createRareLine(log, DEAD_DELIVERY, DELIVERY_LINES),
    logMissingKey: createRareLine(log, MISSING_KEY, { keys: 10, level: 'error' }),
  }
}

type TransactionDeps = Pick<Deps, 'db'> & Partial<Pick<Deps, 'afterCommit' | 'recordedEvents'>>

/**
 * Runs `work` in one transaction. The inner `deps` shadow the outer ones on purpose: inside, the
 * pool is out of reach. `work` must not call a provider. The events that it records are written
 * last, so that their locks are held for the commit alone; inside another transaction, they are
 * written at the end of that one. `work` runs again when PostgreSQL has rolled the transaction back for
 * a reason that is gone then (db/rolled-back.ts), so it must change nothing outside of the database
 * but by `afterCommit`.
 */
export async function transaction<T, Some extends TransactionDeps>(
  deps: Some,
  work: (deps: Some) => Promise<T>,
): Promise<T> {
  const run = () => runTransaction(deps, work)
  // A savepoint would keep the locks of the transaction around it, which runs again as a whole.
  const isSavepoint = deps.recordedEvents !== undefined
  const { result, release } = isSavepoint ? await run() : await runAgainIfRolledBack(run)
  // Not in `run`: what is committed must not run again.
  await release(deps.afterCommit ?? atOnce)
  return result
}

async function runTransaction<T, Some extends TransactionDeps>(
  deps: Some,
  work: (deps: Some) => Promise<T>,
): Promise<{ result: T; release: (outer: AfterCommit) => Promise<void> }> {
  const { afterCommit, release } = createAfterCommit()
  const recordedEvents = createRecordedEvents()
  const result = await deps.db.transaction(async (db) => {
    const result = await work({ ...deps, db, afterCommit, recordedEvents })
    await recordedEvents.finish(deps.recordedEvents ?? null, { db, afterCommit })
    return result
  })
  return { result, release }
}
