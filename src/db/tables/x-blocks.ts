import { check, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { moment, oneOf } from './columns.ts'
import { users } from './users.ts'

export const xEndpoints = ['POST_TWEET', 'DELETE_TWEET', 'READ_TIMELINE', 'READ_PROFILE'] as const

/**
 * A call to X that is known to fail for a while: a rate limit or the credits of the app are used
 * up. Inserted by the call that found out, and read before each call by all instances. After
 * `until`, one caller is let through; it deletes the row or renews it.
 */
export const xBlocks = pgTable(
  'x_blocks',
  {
    /** The user of the account; the operator for the whole app. */
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** The id of an account or a connect attempt, or APP for the whole app. */
    subject: text().notNull(),
    endpoint: text({ enum: xEndpoints }).notNull(),
    errorCode: text().notNull(),
    until: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.subject, table.endpoint] }),
    check('x_blocks_endpoint', oneOf(table.endpoint, xEndpoints)),
  ],
)
