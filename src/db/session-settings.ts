// The session settings on which the text of values depends. A role, a database or a server can have
// other defaults (ALTER ROLE … SET), and the drivers and this code parse one format each: with
// "German" dates no expiry could be parsed.

/**
 * The settings of every connection, by parameter name. All values are strings: postgres.js omits a
 * 0.
 */
export const sessionSettings: Readonly<Record<string, string>> = {
  // Both drivers parse ISO dates only.
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  // The shortest exact text. A value below 0 drops the last digits of seconds.
  extra_float_digits: '1',
  bytea_output: 'hex',
  // A backslash in a string literal is a backslash.
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  transform_null_equals: 'off',
  // A stricter level aborts conflicting transactions (40001), which this code does not retry: it
  // locks rows instead.
  default_transaction_isolation: 'read committed',
  // A connection of a pool, or one that listens, may be idle for long. The pool for requests has
  // its own timeouts (client.ts).
  idle_session_timeout: '0',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
}

/**
 * The settings that a pooler in transaction mode keeps for each client, as startup parameters.
 * (PgBouncer, track_extra_parameters: https://www.pgbouncer.org/config.html)
 */
export const startupParameters: Record<string, string> = Object.fromEntries(
  ['DateStyle', 'TimeZone', 'standard_conforming_strings'].map((name) => [name, sessionSettings[name] ?? '']),
)

/** Returns the SET statements. Poolers reject most of these settings as startup parameters. */
export function parameterStatements(
  settings: Readonly<Record<string, string>>,
  scope: 'session' | 'local' = 'session',
) {
  return Object.entries(settings).map(([name, value]) => `set ${scope} ${name} = '${value}'`)
}
