// API tokens on the wire, as RFC 6750 has it.

/** What is wrong with a token that came (RFC 6750 section 3.1). */
export type BearerError = 'invalid_token' | 'insufficient_scope'

/** The name under which RFC 6750 would have a token in an address or a form. */
export const TOKEN_PARAMETER = 'access_token'

/** What to do for whoever sent one there. */
export const MISPLACED_TOKEN =
  'An API token belongs in the Authorization header and nowhere else. Revoke this one if it may have been kept on its way.'

/**
 * The token of an Authorization header, whatever it is worth; null for another scheme, or none.
 * A header that says Bearer and then nothing that can be a token gives the empty text.
 */
export function readBearer(authorization: string): string | null {
  const [scheme = '', token = '', ...more] = authorization.trim().split(/ +/)
  if (scheme.toLowerCase() !== 'bearer') return null
  return more.length === 0 ? token : ''
}

/** The WWW-Authenticate header of a refusal (RFC 6750 section 3). @param error null where no token came. */
export function challenge(error: BearerError | null, scopes: readonly string[] = []): string {
  const parameters = ['realm="xconnect"']
  if (error !== null) parameters.push(`error="${error}"`)
  if (scopes.length > 0) parameters.push(`scope="${scopes.join(' ')}"`)
  return `Bearer ${parameters.join(', ')}`
}
