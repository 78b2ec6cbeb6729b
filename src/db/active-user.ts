import { and, isNull, type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { users } from './tables.ts'

/**
 * The condition that a user is neither blocked nor being deleted. Sessions and API tokens give no
 * access without it, and no token is refreshed and no tweet sent. The rows of a deleted user are
 * deleted later, in batches; those of a blocked one are kept.
 * @param userId the id, or the column of a row that belongs to the user.
 */
export function isActiveUser(userId: SQLWrapper | string): SQL {
  return sql`exists (select from ${users} where ${users.id} = ${userId} and ${isActive()})`
}

/** The condition that the operator has blocked a user. @param userId as for `isActiveUser`. */
export function isBlockedUser(userId: SQLWrapper | string): SQL {
  return sql`exists (select from ${users} where ${users.id} = ${userId} and ${users.blockedAt} is not null)`
}

/** The condition of `isActiveUser` on a row of `users` in the query. */
export function isActive(): SQL | undefined {
  return and(isNull(users.deletionId), isNull(users.blockedAt))
}
