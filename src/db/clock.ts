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

/** The real clocks. `clock_timestamp()` advances within a transaction, `now()` does not. */
export const systemClock: Clock = { now: () => new Date(), sqlNow: () => sql<Date>`clock_timestamp()` }

/** The database's time, `seconds` from now (negative for the past). */
export function sqlIn(clock: Clock, seconds: number): SQL<Date> {
  return sql<Date>`(${clock.sqlNow()} + make_interval(secs => ${seconds}))`
}
