import { type SQL, sql } from 'drizzle-orm'

/** The two clocks of the gateway. Tests shift both together. */
export type Clock = {
  /**
   * The process's clock, for uses that tolerate a few seconds of skew: displayed times, and waits
   * that providers name.
   */
  now(): Date
  /**
   * The database's clock, which all instances share. Leases, claims and expiries are written and
   * compared by it.
   */
  sqlNow(): SQL<Date>
}

/**
 * The real clocks. `xconnect_now()` is `clock_timestamp()` in a STABLE function: it advances within
 * a transaction, which `now()` does not, and a time bound made of it can use an index, which the
 * planner refuses for a VOLATILE function. Within one statement it may be the time before a lock
 * was waited for.
 */
export const systemClock: Clock = { now: () => new Date(), sqlNow: () => sql<Date>`xconnect_now()` }

/** The database's time, `seconds` from now (negative for the past). */
export function sqlIn(clock: Clock, seconds: number): SQL<Date> {
  return sql<Date>`(${clock.sqlNow()} + make_interval(secs => ${seconds}))`
}
