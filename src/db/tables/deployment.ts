import { sql } from 'drizzle-orm'
import { boolean, check, pgTable, text } from 'drizzle-orm/pg-core'

/**
 * A known text sealed under each key that was ever the first one. Inserted by the first start with
 * a key; a start that cannot open one refuses to run. `xconnect keys rotate` deletes those of
 * retired keys.
 */
export const encryptionCanaries = pgTable('encryption_canaries', {
  keyId: text().primaryKey(),
  sealed: text().notNull(),
})

/**
 * The one row that names the providers of the stored users and accounts: the ids of the sandbox
 * belong to other people at GitHub or X. Inserted by the first start, changed by `xconnect
 * providers rename` and `xconnect providers change-x-app`.
 */
export const deployment = pgTable(
  'deployment',
  {
    onlyRow: boolean().primaryKey().default(true),
    providers: text().notNull(),
    /** The X app that the stored tokens were issued to; null until a start without the sandbox. */
    xClientId: text(),
  },
  (table) => [check('deployment_only_row', sql`${table.onlyRow}`)],
)
