/**
 * Returns true when the error, or one of its causes, says that a named statement was made invalid by
 * a change of the tables, as by the migration of a newer release. It was not executed, and can be
 * sent again; in a transaction, with the whole transaction. patches/7-named-statements.patch marks
 * these errors.
 */
export function isStaleStatement(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if ('isStaleStatement' in cause && cause.isStaleStatement === true) return true
  return false
}
