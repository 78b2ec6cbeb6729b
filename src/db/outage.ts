// Recognizes errors that mean the database is unavailable: the server is down, restarts, cannot be
// reached, or accepts no more connections. Every other error is the statement's, or a bug.

/**
 * The database did not respond in time, or too many queries wait for it. The query may still be
 * executed.
 */
export class DatabaseTimeoutError extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'DatabaseTimeoutError'
  }
}

/** Too many queries wait for a connection of this process: the database has not got this one. */
export class DatabaseQueueFullError extends DatabaseTimeoutError {}

/** A connection could not be opened. */
export class DatabaseConnectError extends Error {
  readonly code: string

  /** @param host the host that was tried, as of `describeHost`. */
  constructor(host: string, cause: unknown) {
    super(`${host}: ${describe(cause)}`, { cause })
    this.name = 'DatabaseConnectError'
    this.code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'CONNECT_FAILED'
  }
}

function describe(cause: unknown): string {
  // Node tries all addresses of a name and reports their errors together, with an empty message.
  if (cause instanceof AggregateError && cause.message === '') return cause.errors.map(describe).join(', ')
  return cause instanceof Error ? cause.message : 'failed'
}

// Codes of postgres.js: CONNECTION_CLOSED, CONNECTION_ENDED, CONNECTION_DESTROYED, CONNECT_TIMEOUT.
const OF_THE_DRIVER = /^(CONNECTION_|CONNECT_)/
// Codes of sockets and of the resolver (man 2 connect, man 3 getaddrinfo).
const OF_THE_NETWORK =
  /^(ECONN\w+|ENOTFOUND|EAI_\w+|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|ETIMEDOUT|EPIPE|EADDRNOTAVAIL)$/
// SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html): class 08, connection
// exception; class 53, insufficient resources, as 53300, too many connections; 57P01 to 57P05, the
// server ends the session or is not ready for one; 25006, a primary that has become a standby.
const OF_THE_SERVER = /^(08\w{3}|53\w{3}|57P0[1-5]|25006)$/

const OF_THE_DATABASE = [OF_THE_DRIVER, OF_THE_SERVER]

/** True when the error, or one of its causes, is a full queue of this process. */
export function isDatabaseQueueFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof DatabaseQueueFullError) return true
  return false
}

/** True when the error, or one of its causes, means that the database is unavailable. */
export function isDatabaseOutage(error: unknown): boolean {
  return isOutage(error, [...OF_THE_DATABASE, OF_THE_NETWORK])
}

/**
 * True for an error that can come from the database alone: calls to providers fail with the codes of
 * sockets too.
 */
export function isErrorOfDatabase(error: unknown): boolean {
  return isOutage(error, OF_THE_DATABASE)
}

function isOutage(error: unknown, codes: readonly RegExp[]): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof DatabaseTimeoutError || cause instanceof DatabaseConnectError) return true
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
    if (codes.some((pattern) => pattern.test(code)) || isFatal(cause)) return true
  }
  return false
}

// A server or a pooler ends or refuses a session with this severity and various codes: poolers
// report XX000 for "too many clients", and 28P01 appears while a password is changed. The error of
// a statement never has it.
function isFatal(error: Error): boolean {
  const severity = 'severity' in error ? error.severity : 'severity_local' in error ? error.severity_local : null
  return severity === 'FATAL' || severity === 'PANIC'
}
