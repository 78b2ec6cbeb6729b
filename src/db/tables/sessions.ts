import { sql } from 'drizzle-orm'
import { check, index, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'
import { users } from './users.ts'

/** One signed-in browser. The id is SHA-256 of the session token, which only the cookie holds. Swept when its time is over. */
export const sessions = pgTable(
  'sessions',
  {
    id: text().primaryKey(),
    /** By which its user tells it from others. It has nothing to do with the token. */
    publicId: uuid().notNull().defaultRandom().unique('sessions_public_id'),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** What signed in, such as "Chrome on Linux"; null where it did not say. */
    device: text(),
    /** Slides with use. */
    expiresAt: moment().notNull(),
    /** The sign-in: start of the absolute lifetime. */
    createdAt: moment().notNull(),
    /** Written at most once an hour. */
    lastUsedAt: moment().notNull().defaultNow(),
  },
  (table) => [
    index().on(table.userId),
    index().on(table.expiresAt),
    index().on(table.createdAt),
    check('sessions_device', sql`length(${table.device}) between 1 and 100`),
  ],
)
