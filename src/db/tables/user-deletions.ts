import { sql } from 'drizzle-orm'
import { check, index, pgTable, uuid } from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'

/**
 * A deletion of a user. `deleteViewer` inserts the row, and the job `delete-user` ends it. The id is
 * random and known to the person alone, who asks with it for the state without a session. After the
 * end the row names nobody; the sweep deletes it after a week. A look-up table, without foreign keys.
 */
export const userDeletions = pgTable(
  'user_deletions',
  {
    id: uuid().primaryKey(),
    /** The user who is being deleted; null once no row of theirs is left. */
    userId: uuid(),
    requestedAt: moment().notNull(),
    finishedAt: moment(),
  },
  (table) => [
    // The search for lost jobs pages through the deletions that are under way.
    index('user_deletions_open').on(table.userId, table.id).where(sql`${table.finishedAt} is null`),
    index().on(table.finishedAt),
    check('user_deletions_finished', sql`(${table.finishedAt} is null) = (${table.userId} is not null)`),
  ],
)
