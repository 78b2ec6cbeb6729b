import { sql } from 'drizzle-orm'
import { check, index, pgTable, text, unique, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { id, moment, oneOf } from './columns.ts'
import { users } from './users.ts'

export const accountStatuses = ['ACTIVE', 'LIMITED', 'NEEDS_REAUTH', 'DISCONNECTED'] as const

export const accountStatusReasons = [
  'SCOPES_NOT_GRANTED',
  'GRANT_REVOKED',
  'REFRESH_LOST',
  'REFRESH_TOKEN_MISSING',
  'TOKENS_UNREADABLE',
  'DISCONNECTED_BY_USER',
] as const

/**
 * An X account that a user connected. Inserted by the callback. Disconnecting keeps the row with
 * the status DISCONNECTED, and connecting again reuses it. Deleted with its user.
 */
export const connectedAccounts = pgTable(
  'connected_accounts',
  {
    id: id(),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    provider: text({ enum: ['X'] }).notNull(),
    /** X's 64-bit user id, as the decimal string that X sends. */
    providerAccountId: text().notNull(),
    username: text().notNull(),
    displayName: text(),
    avatarUrl: text(),
    /** X's subscription_type, which decides the maximum length of a tweet. */
    subscriptionType: text(),
    /** The scopes that X granted. */
    scopes: text().array().notNull(),
    status: text({ enum: accountStatuses }).notNull(),
    statusReason: text({ enum: accountStatusReasons }),
    statusSince: moment().notNull(),
    connectedAt: moment().notNull(),
    lastUsedAt: moment(),
    disconnectedAt: moment(),
  },
  (table) => [
    // One user for each X account that is not disconnected, also when two callbacks run at once.
    uniqueIndex('connected_accounts_one_live')
      .on(table.provider, table.providerAccountId)
      .where(sql`${table.status} <> 'DISCONNECTED'`),
    unique('connected_accounts_one_per_user').on(table.userId, table.provider, table.providerAccountId),
    index().on(table.userId, table.connectedAt),
    // Each connection looks up the X account among all users.
    index().on(table.providerAccountId),
    check('connected_accounts_status', oneOf(table.status, accountStatuses)),
    check('connected_accounts_status_reason', oneOf(table.statusReason, accountStatusReasons)),
    check(
      'connected_accounts_disconnected',
      sql`(${table.status} = 'DISCONNECTED') = (${table.disconnectedAt} is not null)`,
    ),
  ],
)
