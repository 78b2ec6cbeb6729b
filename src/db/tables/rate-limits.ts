import { doublePrecision, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'

/**
 * A bucket of the rate limiter (GCRA), as the moment at which it is full again. Written when an
 * instance takes a slice, deleted by the sweep once it is full. There is no index on `full_at`: each
 * of these statements would write it, and the table has only the callers of the last 15 minutes. The
 * migration makes it UNLOGGED: no request waits for the disk, and after a crash all buckets are full.
 */
export const rateLimits = pgTable(
  'rate_limits',
  {
    /** The name of the policy in RATE_LIMITS. */
    name: text().notNull(),
    /** The id of a user or API token, or an IP address. */
    subject: text().notNull(),
    /**
     * In seconds since 1970, as a number: its arithmetic is immutable, which that of times is not.
     */
    fullAt: doublePrecision().notNull(),
  },
  (table) => [primaryKey({ columns: [table.subject, table.name] })],
)
