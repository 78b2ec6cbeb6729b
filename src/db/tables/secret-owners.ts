import { index, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'

/**
 * The user of each secret that was given out before secrets named their user. Only migrations insert
 * rows. Deleted with the user, and by the sweep once the secret has ended.
 */
export const secretOwners = pgTable(
  'secret_owners',
  {
    /** SHA-256 of the secret. */
    secretHash: text().primaryKey(),
    /** No foreign key: the user's rows may be on another node. */
    userId: uuid().notNull(),
    /** The latest end of the secret. */
    endsAt: moment().notNull(),
  },
  (table) => [index().on(table.userId), index().on(table.endsAt)],
)
