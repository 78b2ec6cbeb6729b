import { sql } from 'drizzle-orm'
import { check, index, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import { allOf, id, moment } from './columns.ts'
import { users } from './users.ts'

export const apiScopes = ['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write', 'events:read'] as const

/** What an operator's token may hold: it acts for nobody, so that it can only look. */
export const operatorScopes = ['accounts:read', 'events:read'] as const satisfies readonly (typeof apiScopes)[number][]

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
