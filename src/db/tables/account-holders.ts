import { index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'

/**
 * The user who has an X account: at most one for each account of a provider. The row exists while
 * the account is not DISCONNECTED. A look-up table over all users, so it has no foreign keys:
 * connecting inserts the row and disconnecting deletes it, each in the transaction that changes
 * `connected_accounts`.
 */
export const accountHolders = pgTable(
  'account_holders',
  {
    /** X's id of the account. */
    providerAccountId: text().notNull(),
    provider: text({ enum: ['X'] }).notNull(),
    userId: uuid().notNull(),
  },
  (table) => [primaryKey({ columns: [table.providerAccountId, table.provider] })],
)

/**
 * The last refused connection of an X account, of whatever user: its approval at X has ended the
 * grants that were approved before it. Written by the refusal, deleted with its user and by the
 * sweep after a day. A look-up table over all users, without foreign keys.
 */
export const refusedConnections = pgTable(
  'refused_connections',
  {
    /** X's id of the account. */
    providerAccountId: text().notNull(),
    provider: text({ enum: ['X'] }).notNull(),
    /** The user and the connect attempt that was refused. */
    userId: uuid().notNull(),
    attemptId: uuid().notNull(),
    refusedAt: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.providerAccountId, table.provider] }),
    index().on(table.userId),
    index().on(table.refusedAt),
  ],
)
