import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import { users } from './tables.ts'

/**
 * The condition that the deletion of a user was not requested. Sessions and API tokens give no access
 * without it, and no token is refreshed and no tweet sent. The rows themselves are deleted later, in
 * batches.
 * @param userId the id, or the column of a row that belongs to the user.
 */
export function isActiveUser(userId: SQLWrapper | string): SQL {
  return sql`exists (select from ${users} where ${users.id} = ${userId} and ${users.deletionId} is null)`
}
