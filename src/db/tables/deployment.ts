import { sql } from 'drizzle-orm'
import { boolean, check, pgTable, text } from 'drizzle-orm/pg-core'

/** A known text sealed under each key that was ever first: opens at start, or the process refuses to run with other keys. */
export const encryptionCanaries = pgTable('encryption_canaries', {
  keyId: text().primaryKey(),
  sealed: text().notNull(),
})

/** The one row that says whose people and accounts these are: an id at the sandbox is somebody else's at GitHub or X. */
export const deployment = pgTable(
  'deployment',
  {
    onlyRow: boolean().primaryKey().default(true),
    providers: text().notNull(),
  },
  (table) => [check('deployment_only_row', sql`${table.onlyRow}`)],
)
