import { type BearerError, challenge, MISPLACED_TOKEN } from './bearer.ts'
import { errorResponse } from './error-response.ts'

/**
 * A 401 response with a Bearer challenge.
 * @param error null when no token was sent where one is accepted.
 */
export function tokenErrorResponse(error: BearerError | null, message: string): Response {
  return errorResponse(401, { code: 'UNAUTHENTICATED', message }, { 'www-authenticate': challenge(error) })
}

/**
 * The response to a token in a URL or a body. Its challenge names no error: the request used no
 * authentication method of the gateway.
 */
export function misplacedTokenResponse(): Response {
  return tokenErrorResponse(null, MISPLACED_TOKEN)
}
