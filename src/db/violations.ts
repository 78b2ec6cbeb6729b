// Recognizes why PostgreSQL has refused a statement, by the SQLSTATE. The name of a violated
// constraint is not read: on a distributed database the error comes from a shard, with another name
// or none.

/** True for the violation of a primary key or unique index. */
export function isDuplicate(error: unknown): boolean {
  return findSqlState(error) === '23505'
}

/**
 * True when a row could not be written because its user was deleted in the meantime: every foreign
 * key refers to a user, or to a row that is deleted with its user.
 */
export function isUserGone(error: unknown): boolean {
  return findSqlState(error) === '23503'
}

/** True when the transaction was rolled back to end a deadlock. */
export function isDeadlock(error: unknown): boolean {
  return findSqlState(error) === '40P01'
}

/** True when a lock was not granted within `lock_timeout`. */
export function isLockTimeout(error: unknown): boolean {
  return findSqlState(error) === '55P03'
}

/**
 * True when a transaction was rolled back because of others that ran beside it: to end a deadlock,
 * by a serialization failure, or because a lock was not granted in time. It can succeed when it
 * runs again.
 */
export function isContended(error: unknown): boolean {
  return ['40P01', '40001', '55P03'].includes(findSqlState(error) ?? '')
}

function findSqlState(error: unknown): string | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string' && /^[0-9A-Z]{5}$/.test(cause.code)) return cause.code
  }
  return null
}
