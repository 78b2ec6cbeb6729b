// API tokens in HTTP requests and responses, by RFC 6750.

/** The `error` of a WWW-Authenticate challenge (RFC 6750 section 3.1). */
export type BearerError = 'invalid_token' | 'insufficient_scope'

/**
 * The name of the form or query parameter that RFC 6750 (sections 2.2 and 2.3) defines for tokens.
 * It is not supported.
 */
export const TOKEN_PARAMETER = 'access_token'

/** The error message for a token that was sent outside of the Authorization header. */
export const MISPLACED_TOKEN =
  'Send an API token in the Authorization header only. Revoke this one if it may have been logged on its way.'

/**
 * Parses an Authorization header. Returns the token, valid or not; null for another scheme; the
 * empty string for a Bearer header that holds no single token.
 */
export function parseBearer(authorization: string): string | null {
  const [scheme = '', token = '', ...more] = authorization.trim().split(/ +/)
  if (scheme.toLowerCase() !== 'bearer') return null
  return more.length === 0 ? token : ''
}

/**
 * The WWW-Authenticate header of a 401 or 403 response (RFC 6750 section 3).
 * @param error null when no token was sent.
 */
export function challenge(error: BearerError | null, scopes: readonly string[] = []): string {
  const parameters = ['realm="xconnect"']
  if (error !== null) parameters.push(`error="${error}"`)
  if (scopes.length > 0) parameters.push(`scope="${scopes.join(' ')}"`)
  return `Bearer ${parameters.join(', ')}`
}
