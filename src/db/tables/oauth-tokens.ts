import { sql } from 'drizzle-orm'
import { boolean, check, index, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { moment, oneOf, rowId } from './columns.ts'
import { ofAccount } from './connected-accounts.ts'

export const tokenStates = ['ACTIVE', 'UNCERTAIN', 'DEAD'] as const

export const tokenEvents = [
  'ISSUED',
  'REFRESHED',
  'RECOVERED',
  'X_UNAVAILABLE',
  'X_CREDENTIALS_REJECTED',
  'RESPONSE_LOST',
  'REFUSED',
] as const

/**
 * The token pair of a connected account, and the state of its refresh. Only src/accounts writes it.
 * Inserted or replaced by the callback, deleted when the account is disconnected.
 */
export const oauthTokens = pgTable(
  'oauth_tokens',
  {
    userId: uuid().notNull(),
    accountId: uuid().notNull(),
    accessTokenSealed: text().notNull(),
    /** Null when X did not grant offline.access. */
    refreshTokenSealed: text(),
    accessExpiresAt: moment().notNull(),
    /**
     * Identifies one authorization by the user. Tokens from a refresh of an earlier one are
     * revoked.
     */
    grantId: uuid().notNull(),
    /** Incremented by every new pair. A write with a stale version changes nothing. */
    version: integer().notNull().default(1),
    /** UNCERTAIN: the refresh token may be used up, its response lost. DEAD: X has rejected it. */
    state: text({ enum: tokenStates }).notNull().default('ACTIVE'),
    leaseId: uuid(),
    leaseUntil: moment(),
    /** The fencing token: incremented each time the lease is acquired. */
    fencingToken: integer().notNull().default(0),
    /** Written before the refresh token is sent: from then on it may be used up. */
    sentAt: moment(),
    /**
     * The first failure since the last pair, which explains UNCERTAIN or DEAD. A column of its own:
     * releasing the lease must not clear it.
     */
    cause: text(),
    nextTryAt: moment(),
    failCount: integer().notNull().default(0),
    /** When X issued the refresh token, which expires after about six months. */
    refreshIssuedAt: moment().notNull(),
    /**
     * True from a refresh until X accepts the new access token. A callback proves it by the
     * profile.
     */
    accessUnproven: boolean().notNull().default(false),
    /** When X rejected an access token that was unproven; null once X has accepted it. */
    accessRefusedAt: moment(),
    /** The last change of the tokens, for display only. */
    lastEvent: text({ enum: tokenEvents }).notNull(),
    lastEventAt: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.accountId] }),
    ofAccount('oauth_tokens_account', table),
    // The refreshes of idle accounts read the oldest tokens that can be refreshed.
    index('oauth_tokens_idle')
      .on(table.refreshIssuedAt)
      .where(sql`${table.state} <> 'DEAD' and ${table.refreshTokenSealed} is not null`),
    index('oauth_tokens_uncertain').on(table.nextTryAt).where(sql`${table.state} = 'UNCERTAIN'`),
    // /readyz reads the newest of the events that show whether X accepts the app's credentials.
    index('oauth_tokens_conclusive')
      .on(table.lastEventAt)
      .where(sql`${table.lastEvent} in ('ISSUED', 'REFRESHED', 'RECOVERED', 'X_CREDENTIALS_REJECTED', 'REFUSED')`),
    index('oauth_tokens_refused').on(table.accessRefusedAt).where(sql`${table.accessRefusedAt} is not null`),
    check('oauth_tokens_last_event', oneOf(table.lastEvent, tokenEvents)),
    check('oauth_tokens_state', oneOf(table.state, tokenStates)),
    check('oauth_tokens_lease', sql`(${table.leaseId} is null) = (${table.leaseUntil} is null)`),
  ],
)

/**
 * A token pair that X issued to a process whose lease had passed to another one. Inserted by that
 * process; it never overwrites the pair of the account. The next refresh takes the newest one, the
 * sweep deletes those of versions that a newer pair has replaced.
 */
export const orphanedTokens = pgTable(
  'orphaned_tokens',
  {
    userId: uuid().notNull(),
    id: rowId(),
    accountId: uuid().notNull(),
    fromVersion: integer().notNull(),
    fencingToken: integer().notNull(),
    accessTokenSealed: text().notNull(),
    refreshTokenSealed: text(),
    accessExpiresAt: moment().notNull(),
    createdAt: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    ofAccount('orphaned_tokens_account', table),
    index().on(table.userId, table.accountId),
  ],
)

/**
 * A token whose grant has to be revoked at X (RFC 7009). Inserted in the transaction that stops
 * using the grant; the job `revoke-grant` deletes it once X has confirmed.
 */
export const grantRevocations = pgTable(
  'grant_revocations',
  {
    /** No foreign key: the request outlives the deletion of its user. */
    userId: uuid().notNull(),
    id: rowId(),
    /**
     * Associated data of the sealed token: the account may be gone, or the id that of an attempt
     * that was refused.
     */
    accountId: uuid().notNull(),
    /** X's id of the account whose grant it is; null when X never returned it. */
    providerAccountId: text(),
    tokenSealed: text().notNull(),
    tokenTypeHint: text({ enum: ['refresh_token', 'access_token'] }).notNull(),
    createdAt: moment().notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.id] })],
)
