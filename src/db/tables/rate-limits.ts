import { pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core'

/**
 * What a caller has spent of a budget, as the moment at which it is full again. Swept then. No index on that: with it each request would
 * write to two places, and no more rows are here than callers of the last quarter of an hour. UNLOGGED, which the migration says: no
 * request waits for the disk, and after a crash all budgets are full.
 */
export const rateLimits = pgTable(
  'rate_limits',
  {
    /** The policy's name in RATE_LIMITS. */
    name: text().notNull(),
    /** A user's or API token's id, or an address. */
    subject: text().notNull(),
    /** To the microsecond: a point of a large budget comes back in less than a millisecond. */
    fullAt: timestamp({ withTimezone: true }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.name, table.subject] })],
)
