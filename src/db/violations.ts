// Recognizes the constraint that a write violated. Both drivers name it on the error, which Drizzle
// wraps.

/** True when `error` is the violation of the named constraint or unique index. */
export function violates(error: unknown, constraint: string): boolean {
  return findViolated(error) === constraint
}

/** True when a row could not be written because its user was deleted in the meantime. */
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
