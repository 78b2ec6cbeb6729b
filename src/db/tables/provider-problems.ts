import { check, pgTable, text } from 'drizzle-orm/pg-core'
import { moment, oneOf } from './columns.ts'

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
