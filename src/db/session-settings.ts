// The settings of a session on which the text of values depends. A role, a database or a server can have other defaults (ALTER ROLE … SET),
// and the drivers and this code parse one form each: with "German" dates no expiry of a session can be read.

/**
 * Settings that every connection of ours is opened with, by the name of the parameter. All are texts: postgres.js leaves out a 0.
 */
export const sessionSettings: Readonly<Record<string, string>> = {
  // Both drivers parse ISO dates alone.
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  // The shortest text that is exact. Below 0 a number of seconds loses its last digits.
  extra_float_digits: '1',
  bytea_output: 'hex',
  // A backslash in a literal of a query, a migration or pg-boss is a backslash.
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  transform_null_equals: 'off',
  // Under a stricter level PostgreSQL aborts transactions that collide (40001), which nobody here repeats: rows are locked instead.
  default_transaction_isolation: 'read committed',
  // A connection of a pool, or one that listens, may be idle for long. The pool for requests has limits of its own (client.ts).
  idle_session_timeout: '0',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
}

/**
 * Those that a pooler in transaction mode keeps for each of its clients, as parameters of the connection.
 * (PgBouncer, track_extra_parameters: https://www.pgbouncer.org/config.html)
 */
export const startupParameters: Record<string, string> = Object.fromEntries(
  ['DateStyle', 'TimeZone', 'standard_conforming_strings'].map((name) => [name, sessionSettings[name] ?? '']),
)

/** The statements that make these settings. Poolers refuse most of them as parameters of the connection. */
export function parameterStatements(
  settings: Readonly<Record<string, string>>,
  scope: 'session' | 'local' = 'session',
) {
  return Object.entries(settings).map(([name, value]) => `set ${scope} ${name} = '${value}'`)
}
