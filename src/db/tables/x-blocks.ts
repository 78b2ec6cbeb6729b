import { check, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'
import { moment, oneOf } from './columns.ts'

export const xEndpoints = ['POST_TWEET', 'DELETE_TWEET', 'READ_TIMELINE', 'READ_PROFILE'] as const

/**
 * A call to X that is known to be in vain for a while: a rate limit used up, or the app's credits. Read before each call, by all
 * instances. A row whose time is over lets one caller through, who removes it or renews it.
 */
export const xBlocks = pgTable(
  'x_blocks',
  {
    /** An account's id, or APP for the whole app. */
    subject: text().notNull(),
    endpoint: text({ enum: xEndpoints }).notNull(),
    errorCode: text().notNull(),
    until: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.subject, table.endpoint] }),
    check('x_blocks_endpoint', oneOf(table.endpoint, xEndpoints)),
  ],
)
