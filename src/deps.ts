import { type SQL, sql } from 'drizzle-orm'
import type { Config } from './config/config.ts'
import type { Timing } from './config/timing.ts'
import type { Db } from './db/client.ts'
import type { AppError } from './errors.ts'
import type { Breakers } from './outbound/circuit-breakers.ts'
import type { Targets } from './outbound/public-urls.ts'
import type { Log } from './telemetry/log.ts'

/** The time, in the two places where it is asked for. Tests shift both together. */
export type Clock = {
  /** The process's own time, where being off by a few seconds does no harm: what is shown, and the waits that providers name. */
  now(): Date
  /** The database's time, which all instances share: leases, claims and expiries are made and judged by it. */
  sqlNow(): SQL<Date>
}

/** Background work, asked for by name; `jobs.ts` carries it out. */
export type Jobs = {
  /** Queues a job in the transaction of `deps`, so that it exists exactly if what asked for it does. */
  enqueue(deps: Pick<Deps, 'db'>, name: JobName, data: JobData, afterSeconds?: number): Promise<void>
}

export type JobName = 'revoke-grant' | 'settle-tweet' | 'deliver-webhook' | 'finish-connect' | 'check-connection'
/** What a job is about. Those of one group share a part of the workers, so that others are not kept waiting behind them. */
export type JobData = { id: string; group?: string }

/** The open streams of events of this process; `event-streams.ts` reads them. */
export type EventStreams = {
  /** Opens one that is about a user's events, or with null about anybody's. @throws AppError TOO_MANY_STREAMS when its owner, or the process, has too many. */
  open(owner: string, userId: string | null): EventStream
  /** There may be something new for this user; null: for anybody. */
  hear(userId: string | null): void
  /** All are to end soon, and those that are opened from now on at once. */
  finishAll(): void
}

/** One open stream's place, and what it waits for. */
export type EventStream = {
  /** True once it is to end. */
  isOver(): boolean
  /** Until there may be something new or it is over, and at most so long. */
  wait(seconds: number): Promise<void>
  /** Gives its place to another. */
  end(): void
}

/** What lives as long as the process, passed first to every function that needs it. */
export type Deps = {
  db: Db
  config: Config
  clock: Clock
  log: Log
  timing: Timing
  breakers: Breakers
  jobs: Jobs
  /** The way to addresses that users choose. */
  targets: Targets
  /**
   * Rotations under way in this process, by account id: their callers share one, and shutting down waits for all. Also the writes of pairs
   * from a code exchange that the database has not taken yet, by attempt id.
   */
  rotations: Map<string, Promise<RotationOutcome>>
  /** False while the process is ending, when a new pair might not be written any more. */
  mayRefresh(): boolean
  eventStreams: EventStreams
  /** How many lines of this process's log were dropped because nobody took them. */
  droppedLogLines(): number
}

/** How an attempt at rotating an account's tokens ended for whoever asked for it. */
export type RotationOutcome =
  /** There is a newer pair, or the account's state has changed: read the row again. */
  | { kind: 'moved' }
  /** Someone else holds the lease. */
  | { kind: 'held' }
  /** No new pair now, for a reason that is not the account's. */
  | { kind: 'failed'; error: AppError }

/** The real clock. */
export const systemClock: Clock = { now: () => new Date(), sqlNow: () => sql<Date>`clock_timestamp()` }

/** The database's time, `seconds` from now (negative for the past). */
export function sqlIn(clock: Clock, seconds: number): SQL<Date> {
  return sql<Date>`(${clock.sqlNow()} + make_interval(secs => ${seconds}))`
}

/**
 * Runs `work` in one transaction. The inner `deps` shadow the outer ones on purpose: inside there is no way to the pool.
 * Never call a provider inside.
 */
export function transaction<T, Some extends Pick<Deps, 'db'>>(
  deps: Some,
  work: (deps: Some) => Promise<T>,
): Promise<T> {
  return deps.db.transaction((db) => work({ ...deps, db }))
}

/** True for a text that can be a row's id. Another one is nobody's, and need not reach the database, which takes no NUL. */
export function isRowId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}

/** True when `error` is the violation of the named constraint or index. */
export function violates(error: unknown, constraint: string): boolean {
  return findViolated(error) === constraint
}

/** True when something could not be written because the user it was to belong to has been deleted meanwhile. */
export function isUserGone(error: unknown): boolean {
  return findViolated(error)?.endsWith('_user_id_users_id_fk') ?? false
}

function findViolated(error: unknown): string | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const named =
      'constraint_name' in cause ? cause.constraint_name : 'constraint' in cause ? cause.constraint : undefined
    if (typeof named === 'string') return named
  }
  return null
}
