// Protection against cross-site request forgery, by Fetch Metadata and Origin (OWASP CSRF
// Prevention Cheat Sheet).
import type { MiddlewareHandler } from 'hono'
import type { Deps } from '../../deps.ts'
import { errorResponse } from '../error-response.ts'
import type { HttpEnv } from '../request-context.ts'

/**
 * Rejects requests other than GET and HEAD that a browser sends with our cookie on behalf of
 * another site. Browsers without Sec-Fetch-Site send Origin; a request with a cookie and neither
 * header is rejected too. A request with an Authorization header passes: browsers do not add that
 * header by themselves, and the cookie is then ignored.
 */
export function csrfProtection({ config }: Pick<Deps, 'config'>): MiddlewareHandler<HttpEnv> {
  const { publicUrl, allowedOrigins } = config
  return async (c, next) => {
    const origin = c.req.header('origin')
    const site = c.req.header('sec-fetch-site')
    const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
    if (isRead || c.req.header('authorization') !== undefined) return next()
    const isUndeclared = site === undefined && origin === undefined
    // Sec-Fetch-Site takes precedence: Origin is "null" for a form on our own pages, which send no
    // referrer.
    const isOwn = site === undefined ? origin === publicUrl : site === 'same-origin'
    const isListed = origin !== undefined && allowedOrigins.includes(origin)
    const isAllowed = isUndeclared ? c.req.header('cookie') === undefined : isOwn || isListed
    if (isAllowed) return next()
    const message = isUndeclared
      ? 'A request with a cookie must say which page it comes from, by Sec-Fetch-Site or Origin. Programs send an API token instead.'
      : 'This request comes from another site. Its origin must be listed in ALLOWED_ORIGINS.'
    return errorResponse(403, { code: 'FORBIDDEN', message })
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
