import { sql } from 'drizzle-orm'
import { boolean, check, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'
import { ofAccount } from './connected-accounts.ts'

/**
 * The generations of the database: the first start inserts the first one, and each restore from a
 * backup or failover to a standby that was behind begins another. The newest row counts. Refresh
 * tokens from before it may be spent, and idempotency keys of before it may be missing.
 */
export const generations = pgTable(
  'generations',
  {
    generation: integer().primaryKey(),
    /**
     * What PostgreSQL says of where this database is: the cluster, the database in it and its
     * timeline. Another lineage is a copy, a restored backup or a promoted standby.
     */
    lineage: text().notNull(),
    /** Null for the first generation, and for one of which nothing was lost. */
    restoredAt: moment(),
    /** Since when what the gateway did may be missing. */
    lostSince: moment(),
    /** The refresh of a token from before that is under way; the others wait for its outcome. */
    probeId: uuid(),
    probeUntil: moment(),
    /** Refresh tokens from before that X has accepted, or refused, one after the other. */
    probesAccepted: integer().notNull().default(0),
    probesRefused: integer().notNull().default(0),
    nextProbeAt: moment(),
    /** True once the positions of all users' events are of this generation. */
    positionsMoved: boolean().notNull().default(false),
  },
  (table) => [
    check('generations_restored', sql`(${table.restoredAt} is null) = (${table.lostSince} is null)`),
    check('generations_probe', sql`(${table.probeId} is null) = (${table.probeUntil} is null)`),
  ],
)

/**
 * The posts at X of an account in the interval of which a restored database has lost everything.
 * Read once for each account, before its first post with an idempotency key. Deleted with the
 * account.
 */
export const restoredTimelines = pgTable(
  'restored_timelines',
  {
    userId: uuid().notNull(),
    accountId: uuid().notNull(),
    generation: integer().notNull(),
    /** JSON, as X returned them. */
    posts: text().notNull(),
    /** False when there were more than the gateway reads, or X withheld some. */
    isWhole: boolean().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.accountId] }), ofAccount('restored_timelines_account', table)],
)
