// What every request passes: its id and its line in the log, the headers of every answer, and who may send cookies along.
import type { MiddlewareHandler } from 'hono'
import { secureHeaders } from 'hono/secure-headers'
import type { Viewer } from '../../auth/viewer.ts'
import type { Deps } from '../../deps.ts'
import type { RateLimiter } from '../../rate-limit/limiter.ts'
import type { OperationLogFields } from '../../telemetry/log.ts'
import { createAddressReader, createProxyWatch } from '../client-address.ts'
import { refuse } from '../error-response.ts'
import { createCors } from './cors.ts'

/** What the middlewares hand on. */
export type HttpEnv = {
  Bindings: { incoming?: { socket: { remoteAddress?: string } } }
  Variables: {
    requestId: string
    /** Null where there is no socket, as in a test. */
    address: string | null
    viewer: Viewer | null
    /** What the request is paid from; null where nothing is counted. */
    rateLimiter: RateLimiter | null
    /** What the log is to say of the document; null where there is none. */
    notes: OperationLogFields | null
  }
}

const HEALTH_PATHS = ['/healthz', '/readyz']

/** Gives each request an id, and logs it without its query, which may hold a code or a state. */
export function observeRequests(deps: Deps): MiddlewareHandler<HttpEnv> {
  const readAddress = createAddressReader(deps.config.trustedProxies)
  const watchProxies = createProxyWatch(deps.log, deps.config.trustedProxies)
  return async (c, next) => {
    const given = c.req.header('x-request-id')
    const requestId = given !== undefined && /^[\w.-]{8,64}$/.test(given) ? given : crypto.randomUUID()
    c.set('requestId', requestId)
    c.set('address', readAddress(c.env?.incoming?.socket.remoteAddress, c.req.header('x-forwarded-for')))
    watchProxies(c.env?.incoming?.socket.remoteAddress, (name) => c.req.header(name))
    c.set('viewer', null)
    c.set('rateLimiter', null)
    c.set('notes', null)
    const startedAt = performance.now()
    await next()
    c.header('x-request-id', requestId)
    deps.log[HEALTH_PATHS.includes(c.req.path) ? 'debug' : 'info'](
      {
        requestId,
        method: c.req.method,
        path: c.req.path,
        status: c.res.status,
        milliseconds: Math.round(performance.now() - startedAt),
        address: c.var.address,
        ...describeViewer(c.var.viewer),
        ...describeDocument(c.var.notes),
      },
      'request',
    )
  }
}

// Without what there is none of.
function describeDocument(notes: OperationLogFields | null): Partial<OperationLogFields> {
  if (notes === null) return {}
  const { operation, fields, errorCodes } = notes
  return {
    ...(operation !== null && { operation }),
    ...(fields.length > 0 && { fields }),
    ...(errorCodes.length > 0 && { errorCodes }),
  }
}

// What the log says of who was asking.
function describeViewer(viewer: Viewer | null): { userId?: string; apiTokenId?: string } {
  if (viewer === null) return {}
  return {
    ...(viewer.kind !== 'OPERATOR_TOKEN' && { userId: viewer.user.id }),
    ...(viewer.kind !== 'SESSION' && { apiTokenId: viewer.apiToken.id }),
  }
}

/** The security headers of every answer. Pages load nothing from elsewhere but pictures; one that needs another policy sets its own. */
export function securityHeaders(deps: Deps): MiddlewareHandler<HttpEnv> {
  const { publicUrl, x, github } = deps.config
  // Of the sandbox, which speaks no https.
  const pictureOrigins = new Set(
    [x, github].map(({ url }) => new URL(url).origin).filter((url) => !url.startsWith('https:')),
  )
  const headers = secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'https:', ...pictureOrigins],
      connectSrc: ["'self'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
    },
    strictTransportSecurity: publicUrl.startsWith('https:') ? 'max-age=31536000; includeSubDomains' : false,
    referrerPolicy: 'no-referrer',
    xFrameOptions: 'DENY',
    crossOriginResourcePolicy: 'same-origin',
    permissionsPolicy: { camera: [], microphone: [], geolocation: [] },
  })
  return async (c, next) => {
    let own: string | null = null
    await headers(c, async () => {
      await next()
      own = c.res.headers.get('content-security-policy')
    })
    if (own !== null) c.header('content-security-policy', own)
    // Browsers obey this header of each redirect on the way (HTML, "obtain an opener policy").
    // Through a round trip in a popup the front end would lose the popup, and take it for closed. A
    // redirect shows nothing that an opener could reach.
    if (c.req.path.startsWith('/auth/') && c.res.headers.has('location'))
      c.header('cross-origin-opener-policy', 'unsafe-none')
    // What caches may keep is the same for everybody.
    if (c.res.headers.get('cache-control') !== null) return
    c.header('cache-control', 'no-store')
    c.header('vary', 'Cookie, Authorization, Origin')
  }
}

/**
 * Refuses what a browser sends with our cookie on behalf of another site (OWASP CSRF, Fetch Metadata), and answers the front ends of
 * the listed origins with the CORS headers they need. Browsers older than Sec-Fetch-Site say Origin; what says neither and brings a
 * cookie all the same is refused too. With an Authorization header there is nothing that a browser adds by itself: the cookie is not
 * looked at.
 */
export function guardCookies(deps: Deps): MiddlewareHandler<HttpEnv> {
  const { publicUrl } = deps.config
  const cors = createCors(deps)
  return async (c, next) => {
    const origin = c.req.header('origin')
    const site = c.req.header('sec-fetch-site')
    const isListed = cors.isListed(origin)
    const preflight = cors.answerPreflight(c, origin)
    if (preflight !== null) return preflight
    cors.noticeStranger(c, origin)
    const isRead = c.req.method === 'GET' || c.req.method === 'HEAD'
    const isSilent = site === undefined && origin === undefined
    // Judged by what the browser says of itself. Origin is null for a form on our own pages, which send no referrer.
    const isOwn = site === undefined ? origin === publicUrl : site === 'same-origin'
    const mayAct = isSilent ? c.req.header('cookie') === undefined : isOwn || isListed
    if (!isRead && c.req.header('authorization') === undefined && !mayAct) {
      const message = isSilent
        ? 'A request with a cookie must say which page it comes from, by Sec-Fetch-Site or Origin. Programs send an API token instead.'
        : 'This request comes from another site. Its origin must be listed in ALLOWED_ORIGINS.'
      return refuse(403, { code: 'FORBIDDEN', message })
    }
    await next()
    // Afterwards: an answer that is made elsewhere, as GraphQL's are, replaces the headers that were set before.
    cors.allow(c, origin)
  }
}

const PURPOSE_HEADERS = ['sec-purpose', 'purpose', 'x-purpose', 'x-moz']

/**
 * Refuses what nobody has asked for on purpose: HEAD, and what a browser fetches ahead of a click
 * (Fetch, section "Sec-Purpose"; Purpose, X-Purpose and X-Moz of older ones). A GET of a round trip
 * starts it or takes it to its end, so that its response can't be got ready. A browser discards a
 * refused response, and asks anew at the click.
 * @param methodsOf the methods that a path has.
 */
export function refuseSpeculation(methodsOf: (path: string) => string[]): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    if (PURPOSE_HEADERS.some((name) => /^\s*(prefetch|preview)\b/i.test(c.req.header(name) ?? ''))) {
      const message = 'A sign-in is not fetched ahead of the click that asks for it. Open this address itself.'
      return refuse(403, { code: 'FORBIDDEN', message })
    }
    if (c.req.method !== 'HEAD') return next()
    const methods = methodsOf(c.req.path)
    if (methods.length === 0) return c.notFound()
    return refuse(
      405,
      { code: 'BAD_USER_INPUT', message: 'HEAD does nothing here. Use a method that Allow names.' },
      { allow: methods.join(', ') },
    )
  }
}

/** For a GET that starts something: only from our own pages, a listed origin's, or the address bar. */
export function refuseCrossSiteNavigation(deps: Deps): MiddlewareHandler<HttpEnv> {
  const trusted = [deps.config.publicUrl, ...deps.config.allowedOrigins]
  return async (c, next) => {
    const site = c.req.header('sec-fetch-site')
    const referrer = URL.parse(c.req.header('referer') ?? '')
    const isOwn = site === undefined || site === 'same-origin' || site === 'none'
    if (!isOwn && (referrer === null || !trusted.includes(referrer.origin))) {
      const message = 'Linking an account starts on a page of this gateway, or of an origin in ALLOWED_ORIGINS.'
      return refuse(403, { code: 'FORBIDDEN', message })
    }
    return next()
  }
}
