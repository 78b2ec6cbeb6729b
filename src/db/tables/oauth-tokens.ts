import { sql } from 'drizzle-orm'
import { boolean, check, index, integer, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { id, moment, oneOf } from './columns.ts'
import { connectedAccounts } from './connected-accounts.ts'

export const tokenStates = ['ACTIVE', 'UNCERTAIN', 'DEAD'] as const

export const tokenEvents = [
  'ISSUED',
  'REFRESHED',
  'RECOVERED',
  'X_UNAVAILABLE',
  'X_CREDENTIALS_REJECTED',
  'ANSWER_LOST',
  'REFUSED',
] as const

/** The tokens of a live account and the state of their rotation. Only the code in src/x writes it. Deleted when unlinked. */
export const oauthTokens = pgTable(
  'oauth_tokens',
  {
    accountId: uuid()
      .primaryKey()
      .references(() => connectedAccounts.id, { onDelete: 'cascade' }),
    accessTokenSealed: text().notNull(),
    /** Null when X granted no offline.access. */
    refreshTokenSealed: text(),
    accessExpiresAt: moment().notNull(),
    /** One authorization by the user. Linking again makes another, and what a refresh of the old one brings is revoked. */
    grantId: uuid().notNull(),
    /** Raised by every new pair; a stale holder's write finds another version and changes nothing. */
    version: integer().notNull().default(1),
    /** ACTIVE; UNCERTAIN: the refresh token may have been spent and the answer lost; DEAD: X refused it for good. */
    state: text({ enum: tokenStates }).notNull().default('ACTIVE'),
    leaseId: uuid(),
    leaseUntil: moment(),
    /** Raised by every claim. */
    fence: integer().notNull().default(0),
    /** Durable mark, written before the refresh token is sent: from here on it may be spent. */
    sentAt: moment(),
    /**
     * What first went wrong since the last pair came, and so why the row is UNCERTAIN or DEAD. Its own column: clearing a lease must not
     * clear the cause.
     */
    cause: text(),
    nextTryAt: moment(),
    failCount: integer().notNull().default(0),
    /** When X issued the refresh token, which lives about six months. */
    refreshIssuedAt: moment().notNull(),
    /** True from a refresh until X has accepted the new access token. That of a new authorization is proven by the profile. */
    accessUnproven: boolean().notNull().default(false),
    /** When X refused an access token that was still unproven; null once it has accepted it. */
    accessRefusedAt: moment(),
    /** What last happened to the tokens, for people: never decides anything. */
    lastEvent: text({ enum: tokenEvents }).notNull(),
    lastEventAt: moment().notNull(),
  },
  (table) => [
    index().on(table.refreshIssuedAt),
    index().on(table.lastEventAt),
    index('oauth_tokens_refused').on(table.accessRefusedAt).where(sql`${table.accessRefusedAt} is not null`),
    check('oauth_tokens_last_event', oneOf(table.lastEvent, tokenEvents)),
    check('oauth_tokens_state', oneOf(table.state, tokenStates)),
    check('oauth_tokens_lease', sql`(${table.leaseId} is null) = (${table.leaseUntil} is null)`),
  ],
)

/** A pair that X issued to a holder whose lease had passed to another: never overwrites, adopted by the next claim. */
export const rotationOrphans = pgTable(
  'rotation_orphans',
  {
    id: id(),
    accountId: uuid()
      .notNull()
      .references(() => connectedAccounts.id, { onDelete: 'cascade' }),
    fromVersion: integer().notNull(),
    fence: integer().notNull(),
    accessTokenSealed: text().notNull(),
    refreshTokenSealed: text(),
    accessExpiresAt: moment().notNull(),
    createdAt: moment().notNull(),
  },
  (table) => [index().on(table.accountId)],
)

/** A grant that is to be revoked at X. Written in the transaction that stops using it; deleted when X has confirmed. */
export const grantRevocations = pgTable('grant_revocations', {
  id: id(),
  /** Associated data of the sealed token: the account may be gone, or the id that of an attempt that was refused. */
  accountId: uuid().notNull(),
  userId: uuid().notNull(),
  /** X's id of the account whose grant it is; null where X never told it. */
  providerAccountId: text(),
  tokenSealed: text().notNull(),
  tokenTypeHint: text({ enum: ['refresh_token', 'access_token'] }).notNull(),
  createdAt: moment().notNull(),
})
