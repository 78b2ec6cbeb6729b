// Protection against cross-site request forgery, by Fetch Metadata and Origin (OWASP CSRF
// Prevention Cheat Sheet).
import type { MiddlewareHandler } from 'hono'
import type { Deps } from '../../deps.ts'
import { errorResponse } from '../error-response.ts'
import type { HeaderReader, HttpEnv } from '../request-context.ts'

/**
 * Rejects requests other than GET and HEAD that a browser sends with our cookie on behalf of
 * another site. Browsers without Sec-Fetch-Site send Origin; a request with a cookie and neither
 * header is rejected too. A request with an Authorization header passes: browsers do not add that
 * header by themselves, and the cookie is then ignored.
 */
export function csrfProtection(deps: Pick<Deps, 'config'>): MiddlewareHandler<HttpEnv> {
  const findProblem = createCsrfCheck(deps)
  return async (c, next) => {
    const message = findProblem(c.req.method, (name) => c.req.header(name))
    return message === null ? next() : errorResponse(403, { code: 'FORBIDDEN', message })
  }
}

/**
 * Creates the check of `csrfProtection`: it returns why a request is rejected; null when it is not.
 */
export function createCsrfCheck({ config: { publicUrl, allowedOrigins } }: Pick<Deps, 'config'>) {
  return (method: string, header: HeaderReader): string | null => {
    const origin = header('origin')
    const site = header('sec-fetch-site')
    const isRead = method === 'GET' || method === 'HEAD'
    if (isRead || header('authorization') !== undefined) return null
    const isUndeclared = site === undefined && origin === undefined
    // Sec-Fetch-Site takes precedence: Origin is "null" for a form on our own pages, which send no
    // referrer.
    const isOwn = site === undefined ? origin === publicUrl : site === 'same-origin'
    const isListed = origin !== undefined && allowedOrigins.includes(origin)
    const isAllowed = isUndeclared ? header('cookie') === undefined : isOwn || isListed
    if (isAllowed) return null
    return isUndeclared
      ? 'A request with a cookie must say which page it comes from, by Sec-Fetch-Site or Origin. Programs send an API token instead.'
      : 'This request comes from another site. Its origin must be listed in ALLOWED_ORIGINS.'
  }
}

/**
 * For a GET that starts an OAuth flow: allows only navigation from our own pages, a listed origin,
 * or the address bar.
 */
export function crossSiteNavigationProtection({ config }: Pick<Deps, 'config'>): MiddlewareHandler<HttpEnv> {
  const trustedOrigins = [config.publicUrl, ...config.allowedOrigins]
  return async (c, next) => {
    const site = c.req.header('sec-fetch-site')
    const referrer = URL.parse(c.req.header('referer') ?? '')
    const isOwn = site === undefined || site === 'same-origin' || site === 'none'
    if (!isOwn && (referrer === null || !trustedOrigins.includes(referrer.origin))) {
      const message = 'Start connecting an account on a page of this gateway, or of an origin in ALLOWED_ORIGINS.'
      return errorResponse(403, { code: 'FORBIDDEN', message })
    }
    return next()
  }
}
