import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  check,
  foreignKey,
  index,
  pgTable,
  primaryKey,
  text,
  unique,
  uuid,
} from 'drizzle-orm/pg-core'
import { moment, oneOf, rowId } from './columns.ts'
import { users } from './users.ts'

export const accountStatuses = ['ACTIVE', 'LIMITED', 'NEEDS_REAUTH', 'DISCONNECTED'] as const

export const accountStatusReasons = [
  'SCOPES_NOT_GRANTED',
  'GRANT_REVOKED',
  'REFRESH_LOST',
  'DATABASE_RESTORED',
  'REFRESH_TOKEN_MISSING',
  'TOKENS_UNREADABLE',
  'DISCONNECTED_BY_USER',
  'DISCONNECTED_BY_OPERATOR',
] as const

/**
 * An X account that a user connected. Inserted by the callback. Disconnecting keeps the row with
 * the status DISCONNECTED, and connecting again reuses it. Deleted with its user. While it is not
 * DISCONNECTED, its user has the row of the X account in `account_holders`.
 */
export const connectedAccounts = pgTable(
  'connected_accounts',
  {
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    id: rowId(),
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
    primaryKey({ columns: [table.userId, table.id] }),
    unique('connected_accounts_one_per_user').on(table.userId, table.provider, table.providerAccountId),
    index().on(table.userId, table.connectedAt),
    // Operators look accounts up by id alone, and by username.
    index().on(table.id),
    index('connected_accounts_username').on(usernameKey(table.username)),
    check('connected_accounts_status', oneOf(table.status, accountStatuses)),
    check('connected_accounts_status_reason', oneOf(table.statusReason, accountStatusReasons)),
    check(
      'connected_accounts_disconnected',
      sql`(${table.status} = 'DISCONNECTED') = (${table.disconnectedAt} is not null)`,
    ),
  ],
)

/** The foreign key of a row that belongs to an account of its user, and is deleted with it. */
export function ofAccount(name: string, { userId, accountId }: { userId: AnyPgColumn; accountId: AnyPgColumn }) {
  return foreignKey({
    name,
    columns: [userId, accountId],
    foreignColumns: [connectedAccounts.userId, connectedAccounts.id],
  }).onDelete('cascade')
}

/**
 * Returns the form in which usernames at X are compared: A to Z in lower case, whatever the
 * collation of the database.
 */
export function usernameKey(username: SQLWrapper): SQL<string> {
  return sql<string>`lower(${username} collate "C")`
}
