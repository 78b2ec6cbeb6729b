import { sql } from 'drizzle-orm'
import { check, index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { moment, rowId } from './columns.ts'
import { users } from './users.ts'

/**
 * An invite of the operator, with which one new user signs in while SIGN_IN is `invite`. The link
 * holds the secret; the row holds its hash. The first sign-in that needs it deletes the row; so do
 * its revocation, and the sweep after it has expired.
 */
export const invites = pgTable(
  'invites',
  {
    /** Always OPERATOR_ID, to whom the invites belong. */
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    id: rowId(),
    secretHash: text().notNull(),
    /** For whom it is, in the words of the operator; null without any. */
    note: text(),
    /** Who created it, as in the column `actor` of events. */
    createdBy: text().notNull(),
    createdAt: moment().notNull(),
    expiresAt: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.secretHash] }),
    index().on(table.userId, table.createdAt, table.id),
    check('invites_note', sql`length(${table.note}) between 1 and 200`),
    check('invites_created_by', sql`length(${table.createdBy}) between 1 and 120`),
  ],
)
