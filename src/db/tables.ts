// Every table: what a row means, who writes it, who deletes it. Rules live here as constraints; code handles their violation.
import { type SQL, type SQLWrapper, sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  index,
  integer,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'

// Milliseconds: what a JavaScript Date can hold, so that a cursor made from a row finds that row again.
const moment = () => timestamp({ withTimezone: true, precision: 3, mode: 'date' })
const id = () => uuid().primaryKey().defaultRandom()
const oneOf = (column: AnyPgColumn, values: readonly string[]) => sql`${column} in (${listed(values)})`
const allOf = (column: AnyPgColumn, values: readonly string[]) => sql`${column} <@ array[${listed(values)}]`
const listed = (values: readonly string[]) => sql.raw(values.map((value) => `'${value}'`).join(', '))

/**
 * The form in which two logins of GitHub are compared: A to Z in lower case, whatever the database's collation. Under a Turkish one
 * lower('I') is a letter that JavaScript's "i" is not. Let PostgreSQL lower both sides, so that no second rule has to agree with this.
 */
export function loginKey(login: SQLWrapper): SQL<string> {
  return sql<string>`lower(${login} collate "C")`
}

export const attemptKinds = ['GITHUB_SIGN_IN', 'X_CONNECT'] as const
export const attemptStatuses = ['PENDING', 'WAITING', 'SUCCEEDED', 'FAILED'] as const
export const accountStatuses = ['ACTIVE', 'LIMITED', 'NEEDS_REAUTH', 'DISCONNECTED'] as const
export const accountStatusReasons = [
  'SCOPES_NOT_GRANTED',
  'GRANT_REVOKED',
  'ROTATION_LOST',
  'REFRESH_TOKEN_MISSING',
  'TOKENS_UNREADABLE',
  'DISCONNECTED_BY_USER',
] as const
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
export const xEndpoints = ['POST_TWEET', 'DELETE_TWEET', 'READ_TIMELINE', 'READ_PROFILE'] as const
/** Error codes that a provider's response holds against this deployment. */
export const providerProblemCodes = [
  'GITHUB_CREDENTIALS_REJECTED',
  'GITHUB_REDIRECT_MISMATCH',
  'GITHUB_APP_SUSPENDED',
  'GITHUB_API_FORBIDDEN',
  'GITHUB_API_NOT_FOUND',
  'X_CREDENTIALS_REJECTED',
  'X_REDIRECT_MISMATCH',
  'X_APP_NOT_ENROLLED',
  'X_CREDITS_EXHAUSTED',
  'X_USAGE_CAPPED',
] as const
export type ProviderProblemCode = (typeof providerProblemCodes)[number]
export const tweetStatuses = ['PENDING', 'POSTED', 'FAILED', 'UNKNOWN', 'DELETED'] as const
export const eventTypes = [
  'account.connected',
  'account.reconnected',
  'account.recovered',
  'account.needs_reauth',
  'account.disconnected',
  'account.profile_changed',
  'tweet.posted',
  'tweet.failed',
  'tweet.unknown',
  'tweet.unknown_settled',
  'tweet.deleted',
  'session.started',
  'session.ended',
  'token.created',
  'token.revoked',
  'link_visibility.changed',
  'webhook.disabled',
  'webhook.test',
] as const
export const webhookEndpointStatuses = ['ENABLED', 'DISABLED'] as const
export const webhookDisabledReasons = ['BY_OWNER', 'FAILING', 'GONE'] as const
export const webhookDeliveryStatuses = ['PENDING', 'DELIVERED', 'DEAD'] as const
export const webhookErrors = [
  'STATUS',
  'REDIRECT',
  'DEADLINE',
  'CONNECTION',
  'TLS',
  'URL_NOT_ALLOWED',
  'SECRET_UNREADABLE',
  'ENDPOINT_DISABLED',
] as const
export const linkVisibilities = ['NOBODY', 'INTEGRATORS'] as const
export const apiScopes = ['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write', 'events:read'] as const
/** What an operator's token may hold: it acts for nobody, so that it can only look. */
export const operatorScopes = ['accounts:read', 'events:read'] as const satisfies readonly (typeof apiScopes)[number][]
export const replySettings = ['FOLLOWING', 'MENTIONED_USERS', 'SUBSCRIBERS', 'VERIFIED'] as const

/** A person. Made at the first sign-in, keyed on GitHub's numeric id: logins and addresses change hands. */
export const users = pgTable(
  'users',
  {
    id: id(),
    githubId: bigint({ mode: 'number' }).notNull().unique('users_github_id'),
    login: text().notNull(),
    /** Since when the login is known to be another person's, who has signed in with it; null while it is this one's. */
    loginLostAt: moment(),
    name: text(),
    avatarUrl: text(),
    /** Who may see which accounts this person has linked. */
    linkVisibility: text({ enum: linkVisibilities }).notNull().default('NOBODY'),
    createdAt: moment().notNull().defaultNow(),
  },
  (table) => [
    // GitHub compares logins without case.
    uniqueIndex('users_login').on(loginKey(table.login)).where(sql`${table.loginLostAt} is null`),
    check('users_link_visibility', oneOf(table.linkVisibility, linkVisibilities)),
  ],
)

/** One signed-in browser. The id is SHA-256 of the session token, which only the cookie holds. Swept when its time is over. */
export const sessions = pgTable(
  'sessions',
  {
    id: text().primaryKey(),
    /** By which its user tells it from others. It has nothing to do with the token. */
    publicId: uuid().notNull().defaultRandom().unique('sessions_public_id'),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    /** What signed in, such as "Chrome on Linux"; null where it did not say. */
    device: text(),
    /** Slides with use. */
    expiresAt: moment().notNull(),
    /** The sign-in: start of the absolute lifetime. */
    createdAt: moment().notNull(),
    /** Written at most once an hour. */
    lastUsedAt: moment().notNull().defaultNow(),
  },
  (table) => [
    index().on(table.userId),
    index().on(table.expiresAt),
    index().on(table.createdAt),
    check('sessions_device', sql`length(${table.device}) between 1 and 100`),
  ],
)

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

/**
 * What a program shows to be let in. The secret itself is nowhere: it is shown once, to whoever made it. A user's token acts for that
 * user within its scopes; one without a user is the operator's. Swept some time after it has ended.
 */
export const apiTokens = pgTable(
  'api_tokens',
  {
    id: id(),
    /** SHA-256 of the secret. */
    secretHash: text().notNull().unique('api_tokens_secret_hash'),
    /** The secret's first and last characters, by which people know it again. */
    prefix: text().notNull(),
    lastFour: text().notNull(),
    name: text().notNull(),
    /** Whom it acts for; null for an operator's. */
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    scopes: text({ enum: apiScopes }).array().notNull(),
    createdAt: moment().notNull(),
    expiresAt: moment().notNull(),
    /** Written at most once a minute. */
    lastUsedAt: moment(),
    revokedAt: moment(),
  },
  (table) => [
    index().on(table.userId, table.createdAt),
    index('api_tokens_ended').on(sql`coalesce(${table.revokedAt}, ${table.expiresAt})`),
    check('api_tokens_secret_hash_form', sql`${table.secretHash} ~ '^[0-9a-f]{64}$'`),
    check('api_tokens_shown', sql`length(${table.prefix}) = 8 and length(${table.lastFour}) = 4`),
    check('api_tokens_name', sql`length(${table.name}) between 1 and 100`),
    check('api_tokens_scopes', sql`cardinality(${table.scopes}) > 0 and ${allOf(table.scopes, apiScopes)}`),
    check('api_tokens_operator_scopes', sql`${table.userId} is not null or ${allOf(table.scopes, operatorScopes)}`),
    check('api_tokens_expires', sql`${table.expiresAt} > ${table.createdAt}`),
  ],
)

/** An X account that a user linked. Disconnecting leaves the row as a tombstone; linking again brings the same row back. */
export const connectedAccounts = pgTable(
  'connected_accounts',
  {
    id: id(),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    provider: text({ enum: ['X'] }).notNull(),
    /** X's 64-bit user id, as the decimal string X sends. */
    providerAccountId: text().notNull(),
    username: text().notNull(),
    displayName: text(),
    avatarUrl: text(),
    /** X's subscription_type, which decides how long a tweet may be. */
    subscriptionType: text(),
    /** The scopes X granted. */
    scopes: text().array().notNull(),
    status: text({ enum: accountStatuses }).notNull(),
    statusReason: text({ enum: accountStatusReasons }),
    statusSince: moment().notNull(),
    connectedAt: moment().notNull(),
    lastUsedAt: moment(),
    disconnectedAt: moment(),
  },
  (table) => [
    // One live user per X account, decided by the database when two finish at the same instant.
    uniqueIndex('connected_accounts_one_live')
      .on(table.provider, table.providerAccountId)
      .where(sql`${table.status} <> 'DISCONNECTED'`),
    unique('connected_accounts_one_per_user').on(table.userId, table.provider, table.providerAccountId),
    index().on(table.userId, table.connectedAt),
    // The same X account under whichever users: looked for at each link.
    index().on(table.providerAccountId),
    check('connected_accounts_status', oneOf(table.status, accountStatuses)),
    check('connected_accounts_status_reason', oneOf(table.statusReason, accountStatusReasons)),
    check(
      'connected_accounts_disconnected',
      sql`(${table.status} = 'DISCONNECTED') = (${table.disconnectedAt} is not null)`,
    ),
  ],
)

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

/** A tweet, from before X is called to what became of it. Deleted only with its user: the idempotency key lives in it. */
export const tweets = pgTable(
  'tweets',
  {
    id: id(),
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    accountId: uuid()
      .notNull()
      .references(() => connectedAccounts.id, { onDelete: 'cascade' }),
    /** SHA-256 of the caller's idempotency key; null when none was given. */
    idempotencyKeyHash: text(),
    /** SHA-256 of the input, to tell a repetition from a reuse of the key. */
    requestHash: text().notNull(),
    text: text().notNull(),
    replyToXTweetId: text(),
    replySettings: text({ enum: replySettings }),
    madeWithAi: boolean().notNull().default(false),
    status: text({ enum: tweetStatuses }).notNull(),
    /** Raised each time a refused tweet is tried again under the same key. */
    attempt: integer().notNull().default(1),
    /** Whoever sends must be done by then; afterwards a PENDING row belongs to the sweeper. */
    claimedUntil: moment().notNull(),
    /** Durable mark, written before X is called: from here on the tweet may exist. */
    sentAt: moment(),
    /** The earliest sending whose outcome was unknown: the account's timeline is read from there. Kept when tried again. */
    doubtSince: moment(),
    /** Billed reads of the timeline spent on this tweet. */
    settleReads: integer().notNull().default(0),
    /**
     * Since when there may be a tweet although it was not X that answered: the timeline is looked at from here on before it is sent
     * again. Null where nothing is to be looked for.
     */
    mayExistSince: moment(),
    xTweetId: text(),
    errorCode: text(),
    /** What X said of it, where the code alone does not tell an operator enough: status, title and type. */
    errorDetail: text(),
    retryAt: moment(),
    createdAt: moment().notNull(),
    postedAt: moment(),
  },
  (table) => [
    unique('tweets_idempotency_key').on(table.userId, table.idempotencyKeyHash),
    index().on(table.userId, table.createdAt, table.id),
    // A post at X is one tweet of ours, decided by the database when two in doubt are found in one timeline. Those without an id of X
    // stand in it too, so that an account that is deleted finds all of its tweets by it.
    uniqueIndex('tweets_one_per_post').on(table.accountId, table.xTweetId),
    index('tweets_open').on(table.claimedUntil).where(sql`${table.status} = 'PENDING'`),
    check('tweets_status', oneOf(table.status, tweetStatuses)),
    check('tweets_posted', sql`${table.status} not in ('POSTED', 'DELETED') or ${table.xTweetId} is not null`),
    check('tweets_failed', sql`(${table.status} in ('FAILED', 'UNKNOWN')) = (${table.errorCode} is not null)`),
  ],
)

/**
 * A call to X that is known to be in vain for a while: a rate limit used up, or the app's credits. Read before each call, by all
 * instances. A row whose time is over lets one caller through, who removes it or renews it.
 */
export const xBlocks = pgTable(
  'x_blocks',
  {
    /** An account's id, or APP for the whole app. */
    subject: text().notNull(),
    endpoint: text({ enum: xEndpoints }).notNull(),
    errorCode: text().notNull(),
    until: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.subject, table.endpoint] }),
    check('x_blocks_endpoint', oneOf(table.endpoint, xEndpoints)),
  ],
)

/** What a provider said against this deployment when somebody signed in or connected an account, until one succeeds. */
export const providerProblems = pgTable(
  'provider_problems',
  {
    code: text({ enum: providerProblemCodes }).primaryKey(),
    since: moment().notNull(),
    seenAt: moment().notNull(),
  },
  (table) => [check('provider_problems_code', oneOf(table.code, providerProblemCodes))],
)

/**
 * What happened to whom. Written in the transaction that makes the change, and never changed afterwards. The ids of what it is about
 * refer to nothing, since that may be gone; a person who is deleted takes their events along. Swept when old.
 */
export const events = pgTable(
  'events',
  {
    id: id(),
    /**
     * The place in the order of commits, given by the trigger `events_placed` at the end of the transaction: whoever has read up to a
     * position never finds an earlier one later. Null only inside the transaction that writes the row.
     */
    position: bigint({ mode: 'number' }).unique('events_position'),
    type: text({ enum: eventTypes }).notNull(),
    /** Whose event it is; null for one of the operator's own. */
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    accountId: uuid(),
    tweetId: uuid(),
    apiTokenId: uuid(),
    webhookEndpointId: uuid(),
    /** Why, as a code of the list that belongs to the type; never a text of somebody else's. */
    reason: text(),
    occurredAt: moment().notNull(),
  },
  (table) => [
    index().on(table.userId, table.position),
    check('events_type', oneOf(table.type, eventTypes)),
    check('events_reason', sql`${table.reason} ~ '^[A-Z][A-Z0-9_]*$'`),
  ],
)

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

/**
 * Up to where a person's events of a type have been swept (null: the operator's own): whoever resumes from before has missed some. By
 * type, since whoever waits for what seldom happens has an old cursor, and has missed nothing when something else was swept.
 */
export const eventHorizons = pgTable(
  'event_horizons',
  {
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    type: text({ enum: eventTypes }).notNull(),
    position: bigint({ mode: 'number' }).notNull(),
  },
  (table) => [unique('event_horizons_user_type').on(table.userId, table.type).nullsNotDistinct()],
)

/** An address that events are sent to: a user's, who gets their own, or the operator's. Deleted by whoever made it. */
export const webhookEndpoints = pgTable(
  'webhook_endpoints',
  {
    id: id(),
    /** Null for the operator's. */
    userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
    url: text().notNull(),
    description: text(),
    /** Which events are sent; null for all. */
    eventTypes: text({ enum: eventTypes }).array(),
    secretSealed: text().notNull(),
    /** The secret before the last rotation, which signs beside the new one until it ends. */
    previousSecretSealed: text(),
    previousSecretEndsAt: moment(),
    status: text({ enum: webhookEndpointStatuses }).notNull().default('ENABLED'),
    disabledReason: text({ enum: webhookDisabledReasons }),
    /** Since when nothing has arrived there; null when the last delivery did. */
    failingSince: moment(),
    /** What happened before is not sent. */
    enabledAt: moment().notNull(),
    createdAt: moment().notNull(),
  },
  (table) => [
    index().on(table.userId),
    check('webhook_endpoints_event_types', allOf(table.eventTypes, eventTypes)),
    check('webhook_endpoints_status', oneOf(table.status, webhookEndpointStatuses)),
    check('webhook_endpoints_disabled_reason', oneOf(table.disabledReason, webhookDisabledReasons)),
    check('webhook_endpoints_disabled', sql`(${table.status} = 'DISABLED') = (${table.disabledReason} is not null)`),
    check(
      'webhook_endpoints_previous_secret',
      sql`(${table.previousSecretSealed} is null) = (${table.previousSecretEndsAt} is null)`,
    ),
  ],
)

/** One event on its way to one endpoint: PENDING → DELIVERED | DEAD. Goes with its endpoint and with its event; swept after 30 days. */
export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: id(),
    endpointId: uuid()
      .notNull()
      .references(() => webhookEndpoints.id, { onDelete: 'cascade' }),
    eventId: uuid()
      .notNull()
      .references(() => events.id, { onDelete: 'cascade' }),
    status: text({ enum: webhookDeliveryStatuses }).notNull().default('PENDING'),
    /** Raised before each try, so that one that is cut short counts as well. */
    attempts: integer().notNull().default(0),
    lastAttemptAt: moment(),
    lastHttpStatus: integer(),
    lastError: text({ enum: webhookErrors }),
    /** Not tried again before. Whoever tries moves it first, to where the try is over at the latest. */
    nextAttemptAt: moment(),
    createdAt: moment().notNull(),
    deliveredAt: moment(),
  },
  (table) => [
    unique('webhook_deliveries_once').on(table.endpointId, table.eventId),
    index().on(table.endpointId, table.createdAt, table.id),
    index().on(table.eventId),
    index().on(table.createdAt),
    check('webhook_deliveries_status', oneOf(table.status, webhookDeliveryStatuses)),
    check('webhook_deliveries_last_error', oneOf(table.lastError, webhookErrors)),
    check('webhook_deliveries_pending', sql`(${table.status} = 'PENDING') = (${table.nextAttemptAt} is not null)`),
    check('webhook_deliveries_delivered', sql`(${table.status} = 'DELIVERED') = (${table.deliveredAt} is not null)`),
  ],
)

/** The one row that says up to which event all deliveries are written. */
export const webhookFanOut = pgTable(
  'webhook_fan_out',
  {
    onlyRow: boolean().primaryKey().default(true),
    position: bigint({ mode: 'number' }).notNull().default(0),
  },
  (table) => [check('webhook_fan_out_only_row', sql`${table.onlyRow}`)],
)

/** A known text sealed under each key that was ever first: opens at start, or the process refuses to run with other keys. */
export const encryptionCanaries = pgTable('encryption_canaries', {
  keyId: text().primaryKey(),
  sealed: text().notNull(),
})

/** The one row that says whose people and accounts these are: an id at the sandbox is somebody else's at GitHub or X. */
export const deployment = pgTable(
  'deployment',
  {
    onlyRow: boolean().primaryKey().default(true),
    providers: text().notNull(),
  },
  (table) => [check('deployment_only_row', sql`${table.onlyRow}`)],
)
