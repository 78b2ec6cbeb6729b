import { sql } from 'drizzle-orm'
import { check, index, pgTable, primaryKey, text, unique, uuid } from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'
import { users } from './users.ts'

/**
 * A signed-in browser. The id is SHA-256 of the session token, which only the cookie holds, and
 * which names the user.
 * Inserted at sign-in, extended by use, deleted at sign-out or revocation and by the sweep after it
 * has expired.
 */
export const sessions = pgTable(
  'sessions',
  {
    id: text().notNull(),
    /** The id that the API shows. It is not derived from the token. */
    publicId: uuid().notNull().defaultRandom(),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** Browser and system, such as "Chrome on Linux"; null without a User-Agent header. */
    device: text(),
    /** Moved forward by use. */
    expiresAt: moment().notNull(),
    /** The sign-in, from which the absolute lifetime counts. */
    createdAt: moment().notNull(),
    /** Updated at most once an hour. */
    lastUsedAt: moment().notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    unique('sessions_public_id').on(table.userId, table.publicId),
    index().on(table.expiresAt),
    index().on(table.createdAt),
    check('sessions_device', sql`length(${table.device}) between 1 and 100`),
  ],
)
