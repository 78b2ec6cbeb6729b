// The limits of what one user may have at once. Each is a variable MAX_…_PER_USER.
import { DEFAULT_STREAMS_PER_OWNER } from '../process/event-streams.ts'
import { parseCount } from './variables.ts'

/** The limits that apply where their variable is not set. */
export const defaultUserLimits = Object.freeze({
  /**
   * X accounts that are not disconnected. Each has tokens that are refreshed for as long as it is
   * connected.
   */
  accounts: 100,
  /** Webhook endpoints. Each event of the user is written once for each of them. */
  webhookEndpoints: 10,
  /** Active API tokens. It limits what a stolen session can create. */
  apiTokens: 50,
  /** Open event streams at one instance. */
  eventStreams: DEFAULT_STREAMS_PER_OWNER,
})

/**
 * What one user may have at once. The operator has no limit but that of event streams, for each
 * token.
 */
export type UserLimits = Readonly<Record<keyof typeof defaultUserLimits, number>>

const variables = {
  accounts: { name: 'MAX_ACCOUNTS_PER_USER', things: 'X accounts', most: 10_000 },
  webhookEndpoints: { name: 'MAX_WEBHOOK_ENDPOINTS_PER_USER', things: 'webhook endpoints', most: 100 },
  apiTokens: { name: 'MAX_API_TOKENS_PER_USER', things: 'API tokens', most: 1_000 },
  eventStreams: { name: 'MAX_EVENT_STREAMS_PER_USER', things: 'streams', most: 1_000 },
} as const satisfies Record<keyof UserLimits, object>

/**
 * Parses the limits of a user.
 * @param problems receives a sentence for each that cannot be parsed.
 */
export function parseUserLimits(get: (name: string) => string | null, problems: string[]): UserLimits {
  const parse = (limit: keyof UserLimits) => {
    const variable = variables[limit]
    return parseCount(get(variable.name), variable, defaultUserLimits[limit], problems)
  }
  return Object.freeze({
    accounts: parse('accounts'),
    webhookEndpoints: parse('webhookEndpoints'),
    apiTokens: parse('apiTokens'),
    eventStreams: parse('eventStreams'),
  })
}
