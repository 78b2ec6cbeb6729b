import { sql } from 'drizzle-orm'
import { check, index, integer, pgTable, primaryKey, text, unique, uuid } from 'drizzle-orm/pg-core'
import { moment, oneOf, rowId } from './columns.ts'
import { ofAccount } from './connected-accounts.ts'
import { users } from './users.ts'

export const attemptStatuses = ['PENDING', 'WAITING', 'SUCCEEDED', 'FAILED'] as const

/**
 * An attempt to connect an X account. The first leg inserts it; the callback takes it exactly once,
 * by an UPDATE that also deletes the verifier. It is bound to the user and session that started it.
 * The row stays so that its outcome can be queried; the sweep deletes it after a day.
 */
export const connectAttempts = pgTable(
  'connect_attempts',
  {
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    id: rowId(),
    /** SHA-256 of the state parameter. */
    stateHash: text().notNull(),
    /** The session that started it. No foreign key: the attempt outlives a sign-out. */
    sessionId: text().notNull(),
    /** The PKCE code verifier, sealed; null once the attempt is taken. */
    verifierSealed: text(),
    scopes: text().array().notNull(),
    returnTo: text(),
    expectedUsername: text(),
    reconnectAccountId: uuid(),
    status: text({ enum: attemptStatuses }).notNull().default('PENDING'),
    errorCode: text(),
    /**
     * The message that replaces the one of the code, for example with the names of the accounts.
     */
    errorDetail: text(),
    /** When X accepts another try, if it said so. */
    retryAt: moment(),
    /**
     * The token pair, sealed, from the code exchange until the account is known; null otherwise.
     */
    tokensSealed: text(),
    /** When the access token of that pair expires. */
    accessExpiresAt: moment(),
    /** The next request to X for the account. Moved forward before each try. */
    nextTryAt: moment(),
    /** The number of requests for the account that got no usable response. */
    tries: integer().notNull().default(0),
    accountId: uuid(),
    createdAt: moment().notNull(),
    expiresAt: moment().notNull(),
    takenAt: moment(),
    finishedAt: moment(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    unique('connect_attempts_state_hash').on(table.userId, table.stateHash),
    ofAccount('connect_attempts_account', table),
    ofAccount('connect_attempts_reconnect_account', { userId: table.userId, accountId: table.reconnectAccountId }),
    index().on(table.expiresAt),
    index('connect_attempts_kept').on(table.nextTryAt).where(sql`${table.tokensSealed} is not null`),
    // Attempts whose process died in the exchange of the code.
    index('connect_attempts_taken')
      .on(table.takenAt)
      .where(sql`${table.status} = 'PENDING' and ${table.tokensSealed} is null`),
    check('connect_attempts_status', oneOf(table.status, attemptStatuses)),
    check(
      'connect_attempts_kept_tokens',
      sql`(${table.tokensSealed} is null) = (${table.nextTryAt} is null) and (${table.tokensSealed} is not null or ${table.status} <> 'WAITING')`,
    ),
  ],
)
