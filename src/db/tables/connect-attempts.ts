import { sql } from 'drizzle-orm'
import { check, index, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { id, moment, oneOf } from './columns.ts'
import { connectedAccounts } from './connected-accounts.ts'
import { users } from './users.ts'

export const attemptKinds = ['GITHUB_SIGN_IN', 'X_CONNECT'] as const

export const attemptStatuses = ['PENDING', 'WAITING', 'SUCCEEDED', 'FAILED'] as const

/**
 * One OAuth round trip. Taken exactly once, by an UPDATE that also wipes the verifier. The row stays so that its outcome can be asked for:
 * for a day, and for an hour where anybody could start it. A link attempt is bound to the user and session that started it, a sign-in to a cookie.
 */
export const connectAttempts = pgTable(
  'connect_attempts',
  {
    id: id(),
    kind: text({ enum: attemptKinds }).notNull(),
    /** SHA-256 of the state parameter. */
    stateHash: text().notNull().unique('connect_attempts_state_hash'),
    /**
     * X_CONNECT: who started it, in which session. GITHUB_SIGN_IN: who signed in by it, and the session that was started; null before.
     * No foreign key to sessions: the attempt outlives a sign-out.
     */
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    sessionId: text(),
    /** GITHUB_SIGN_IN: SHA-256 of the cookie that ties the attempt to one browser. */
    browserHash: text(),
    /** Sealed code verifier; null once taken. */
    verifierSealed: text(),
    scopes: text().array().notNull(),
    returnTo: text(),
    expectedUsername: text(),
    reconnectAccountId: uuid().references(() => connectedAccounts.id, { onDelete: 'set null' }),
    status: text({ enum: attemptStatuses }).notNull().default('PENDING'),
    errorCode: text(),
    /** What the person is told in place of the code's own sentence, such as the names of the accounts involved. */
    errorDetail: text(),
    /** When X takes another try, where it said so. */
    retryAt: moment(),
    /** X_CONNECT: X's id of the account that was approved, once X has told it for an attempt that failed. */
    providerAccountId: text(),
    /** The pair that X issued, sealed, from the code exchange until it is known whose account it is; null before and after. */
    tokensSealed: text(),
    /** When the access token of that pair ends. */
    accessExpiresAt: moment(),
    /** X is not asked about that pair before this moment. Moved forward by each try, before it begins. */
    nextTryAt: moment(),
    /** How often X was asked whose account it is, and gave no usable response. */
    tries: integer().notNull().default(0),
    accountId: uuid().references(() => connectedAccounts.id, { onDelete: 'set null' }),
    createdAt: moment().notNull(),
    expiresAt: moment().notNull(),
    takenAt: moment(),
    finishedAt: moment(),
  },
  (table) => [
    index().on(table.expiresAt),
    index('connect_attempts_kept').on(table.nextTryAt).where(sql`${table.tokensSealed} is not null`),
    index().on(table.providerAccountId),
    check('connect_attempts_kind', oneOf(table.kind, attemptKinds)),
    check('connect_attempts_status', oneOf(table.status, attemptStatuses)),
    check(
      'connect_attempts_kept_tokens',
      sql`(${table.tokensSealed} is null) = (${table.nextTryAt} is null) and (${table.tokensSealed} is not null or ${table.status} <> 'WAITING')`,
    ),
    check(
      'connect_attempts_bound',
      sql`(${table.kind} = 'X_CONNECT' and ${table.userId} is not null and ${table.sessionId} is not null) or (${table.kind} = 'GITHUB_SIGN_IN' and ${table.browserHash} is not null)`,
    ),
  ],
)
