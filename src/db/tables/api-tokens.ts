import { sql } from 'drizzle-orm'
import { check, index, pgTable, primaryKey, text, unique, uuid } from 'drizzle-orm/pg-core'
import { allOf, moment } from './columns.ts'
import { OPERATOR_ID, users } from './users.ts'

/** The scopes of a user's token. */
export const apiScopes = ['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write', 'events:read'] as const

/**
 * The scopes of an operator's token, which acts for no user. With the first two it reads what users
 * show to integrators. Only the others see all users and act on them.
 */
export const operatorScopes = ['accounts:read', 'events:read', 'admin:read', 'admin:write'] as const

/** All scopes. */
export const allScopes = [...apiScopes, 'admin:read', 'admin:write'] as const

/**
 * A bearer token of a program. A user's token acts for that user within its scopes; a token of the
 * operator acts for no user. Created by `createApiToken` or `xconnect token create`, which show the
 * secret once and store its hash alone. The sweep deletes it some time after it was revoked or has
 * expired.
 */
export const apiTokens = pgTable(
  'api_tokens',
  {
    id: uuid().notNull().defaultRandom(),
    /** SHA-256 of the secret, which names the user. */
    secretHash: text().notNull(),
    /** The first and last characters of the secret, by which its owner recognizes it. */
    prefix: text().notNull(),
    lastFour: text().notNull(),
    name: text().notNull(),
    /** The user it acts for; OPERATOR_ID for an operator's token. */
    userId: uuid()
      .notNull()
      .references(() => users.id, { onDelete: 'cascade' }),
    scopes: text({ enum: allScopes }).array().notNull(),
    createdAt: moment().notNull(),
    expiresAt: moment().notNull(),
    /** Updated at most once a minute. */
    lastUsedAt: moment(),
    revokedAt: moment(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.id] }),
    unique('api_tokens_secret_hash').on(table.userId, table.secretHash),
    index().on(table.userId, table.createdAt),
    index('api_tokens_ended').on(sql`coalesce(${table.revokedAt}, ${table.expiresAt})`),
    check('api_tokens_secret_hash_form', sql`${table.secretHash} ~ '^[0-9a-f]{64}$'`),
    check('api_tokens_shown', sql`length(${table.prefix}) = 8 and length(${table.lastFour}) = 4`),
    check('api_tokens_name', sql`length(${table.name}) between 1 and 100`),
    check('api_tokens_scopes', sql`cardinality(${table.scopes}) > 0 and ${allOf(table.scopes, allScopes)}`),
    check(
      'api_tokens_operator_scopes',
      sql`case when ${table.userId} = '${sql.raw(OPERATOR_ID)}' then ${allOf(table.scopes, operatorScopes)} else ${allOf(table.scopes, apiScopes)} end`,
    ),
    check('api_tokens_expires', sql`${table.expiresAt} > ${table.createdAt}`),
  ],
)
