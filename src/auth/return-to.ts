import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'

// The address is sent in a Location header, which proxies and browsers limit to some kilobytes.
const MAX_LENGTH = 2_000

/**
 * Returns the absolute URL to which a browser is redirected after an OAuth flow; null when
 * `returnTo` is empty. A client must not be an open redirector (RFC 9700 section 4.11): only the
 * gateway's own origin and the configured ones are allowed, after the text is resolved as a browser
 * resolves it. The gateway's routes below /auth are not, because a redirect must not start another
 * flow.
 * @param field the path of the input that an error names.
 * @throws AppError RETURN_TO_NOT_ALLOWED
 */
export function parseReturnTo(config: Config, returnTo: string | null, field: string[]): string | null {
  if (returnTo === null || returnTo === '') return null
  // URL replaces a lone surrogate by U+FFFD, which is a different address.
  const url = returnTo.isWellFormed() ? URL.parse(returnTo, config.publicUrl) : null
  const allowed = [config.publicUrl, ...config.allowedOrigins]
  if (
    url === null ||
    // blob:http://… has the origin of its inner URL.
    !['https:', 'http:'].includes(url.protocol) ||
    !allowed.includes(url.origin) ||
    (url.origin === config.publicUrl && isBelowAuth(url.pathname)) ||
    url.username !== '' ||
    url.password !== '' ||
    url.href.length > MAX_LENGTH
  ) {
    throw new AppError('RETURN_TO_NOT_ALLOWED', { field })
  }
  return url.href
}

/** As `parseReturnTo`, for a flow that fails: returns null for an address that is not allowed. */
export function findReturnTo(config: Config, returnTo: string | null): string | null {
  try {
    return parseReturnTo(config, returnTo, ['returnTo'])
  } catch (error) {
    if (error instanceof AppError) return null
    throw error
  }
}

// The router decodes percent-encoded paths.
function isBelowAuth(pathname: string): boolean {
  const decoded = pathname.replaceAll(/%[0-7][0-9a-f]/gi, (character) => decodeURIComponent(character))
  return decoded.startsWith('/auth/')
}
