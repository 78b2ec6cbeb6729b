import { check, pgTable, text } from 'drizzle-orm/pg-core'
import { moment, oneOf } from './columns.ts'

/** Error codes for responses of a provider that blame this deployment. */
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

/**
 * A problem of this deployment that a provider has reported at a sign-in or a connection, for
 * /readyz. Inserted by that flow, deleted by the next one that succeeds.
 */
export const providerProblems = pgTable(
  'provider_problems',
  {
    code: text({ enum: providerProblemCodes }).primaryKey(),
    since: moment().notNull(),
    seenAt: moment().notNull(),
  },
  (table) => [check('provider_problems_code', oneOf(table.code, providerProblemCodes))],
)
