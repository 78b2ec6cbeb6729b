import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'

// It comes back in a Location header; proxies and browsers take some kilobytes of those.
const MAX_LENGTH = 2_000

/**
 * Where to send a browser after a round trip, made absolute; null when nothing was asked for. RFC 9700 section 4.11: a client must not
 * be an open redirector, so only our own origin and the listed ones are allowed, judged as a browser would resolve the text. Our own
 * routes below /auth are not: whoever comes back must not begin another trip by that.
 * @throws AppError RETURN_TO_NOT_ALLOWED
 */
export function parseReturnTo(config: Config, returnTo: string | null, field: string[]): string | null {
  if (returnTo === null || returnTo === '') return null
  // URL makes U+FFFD of half a character: another address than the one that was given.
  const url = returnTo.isWellFormed() ? URL.parse(returnTo, config.publicUrl) : null
  const allowed = [config.publicUrl, ...config.allowedOrigins]
  if (
    url === null ||
    // blob:http://… has the origin of what stands behind it.
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

/** Where to send a browser whose round trip is refused: as parseReturnTo, but null where the address is not allowed. */
export function findReturnTo(config: Config, returnTo: string | null): string | null {
  try {
    return parseReturnTo(config, returnTo, ['returnTo'])
  } catch (error) {
    if (error instanceof AppError) return null
    throw error
  }
}

// The router decodes what it is asked for.
function isBelowAuth(pathname: string): boolean {
  const decoded = pathname.replaceAll(/%[0-7][0-9a-f]/gi, (character) => decodeURIComponent(character))
  return decoded.startsWith('/auth/')
}
