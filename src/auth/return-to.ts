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
    url.href.length > MAX_LENGTH ||
    (url.origin === config.publicUrl && isBelowAuth(url.pathname)) ||
    url.username !== '' ||
    url.password !== ''
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

// What proxies do with a path before they pass it on, once or several times and in any order.
const REWRITES: readonly ((path: string) => string)[] = [
  (path) => path.replaceAll(/%[0-7][0-9a-f]/gi, (character) => decodeURIComponent(character)),
  (path) => path.toLowerCase(),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replaceAll(/\/+/g, '/'),
  // Some servers take ";" and what follows for parameters of the segment.
  (path) => path.replaceAll(/;[^/]*/g, ''),
  // URL parsers drop these.
  (path) => path.replaceAll(/[\t\n\r]/g, ''),
  resolveDots,
]
// An ordinary path has one or two readings.
const MAX_READINGS = 100

// True when the router could receive a path below /auth, which it decodes itself, behind any proxy.
function isBelowAuth(pathname: string): boolean {
  const readings = new Set([pathname])
  for (const reading of readings) {
    if (reading.startsWith('/auth/') || readings.size > MAX_READINGS) return true
    for (const rewrite of REWRITES) readings.add(rewrite(reading))
  }
  return false
}

function resolveDots(path: string): string {
  const segments = path.split('/').slice(1)
  const resolved: string[] = []
  for (const segment of segments) {
    if (segment === '..') resolved.pop()
    else if (segment !== '.') resolved.push(segment)
  }
  if (segments.at(-1) === '.' || segments.at(-1) === '..') resolved.push('')
  return `/${resolved.join('/')}`
}
