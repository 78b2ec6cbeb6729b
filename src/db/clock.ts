import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'

/** The two clocks of the gateway. Tests shift both together. */
export type Clock = {
  /**
   * The process's clock, for uses that tolerate a few seconds of skew: displayed times, and waits
   * that providers name.
   */
  now(): Date
  /**
   * The database's clock, which all instances share. Leases, claims and expiries are written and
   * compared by it. The text is the same at each call, and a parameter is read when the statement
   * is sent, because the texts of prepared queries are kept (prepared-query.ts).
   */
  sqlNow(): SQL<Date>
}

/**
 * The real clocks. `xconnect_now()` is `statement_timestamp()`: unlike `now()` it advances within a
 * transaction, and unlike `clock_timestamp()` it is the same in the whole statement, so that a
 * duration between two columns is exact, and it is STABLE, so that a time bound can use an index.
 * It is the time before the statement waited for a lock.
 */
export const systemClock: Clock = { now: () => new Date(), sqlNow: () => sql<Date>`xconnect_now()` }

/**
 * The database's time, `seconds` from now (negative for the past).
 * @param seconds the number, or its placeholder in a prepared query.
 */
export function sqlIn(clock: Clock, seconds: number | SQLWrapper): SQL<Date> {
  return sql<Date>`(${clock.sqlNow()} + make_interval(secs => ${seconds}))`
}
