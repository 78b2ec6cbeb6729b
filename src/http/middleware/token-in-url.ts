import type { MiddlewareHandler } from 'hono'
import { isSecret } from '../../auth/api-token-format.ts'
import { TOKEN_PARAMETER } from '../bearer.ts'
import type { HttpEnv } from '../request-context.ts'
import { misplacedTokenResponse } from '../token-error-response.ts'

/**
 * Rejects a token in the URL, on every path (RFC 6750 section 2.3): URLs are kept in browser
 * histories and logs.
 */
export const tokenInUrlProtection: MiddlewareHandler<HttpEnv> = async (c, next) =>
  hasToken(new URL(c.req.url).searchParams) ? misplacedTokenResponse() : next()

// By the parameter's name, whatever its value, and by the checksum of a token in any name or value.
function hasToken(query: URLSearchParams): boolean {
  return query.has(TOKEN_PARAMETER) || [...query].flat().some(isSecret)
}
