import { index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'
import { users } from './users.ts'

/**
 * An idempotency key and the tweet that was posted with it, inserted in the same statement. As long
 * as the row exists, the key gives that tweet. Deleted by the sweep once it has expired, and with
 * the user.
 */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** SHA-256 of the key. */
    keyHash: text().notNull(),
    /** SHA-256 of the input. It distinguishes a retry from a reuse of the key for another tweet. */
    requestHash: text().notNull(),
    /** No foreign key: a distributed database would check it before the tweet is inserted. */
    tweetId: uuid().notNull(),
    /** Postponed each time the tweet is sent again. */
    expiresAt: moment().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.keyHash] }), index().on(table.expiresAt)],
)
