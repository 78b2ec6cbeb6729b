import type { MiddlewareHandler } from 'hono'
import { secureHeaders } from 'hono/secure-headers'
import type { Deps } from '../../deps.ts'
import type { HttpEnv } from '../request-context.ts'

/**
 * Sets the security headers of every response. Pages load scripts, styles and data from this origin
 * alone, and images from any https origin. A route that needs another Content-Security-Policy sets
 * its own.
 */
export function securityHeaders(deps: Deps): MiddlewareHandler<HttpEnv> {
  const { publicUrl, x, github } = deps.config
  // Profile images of the sandbox, which has no https.
  const imageOrigins = new Set(
    [x, github].map(({ url }) => new URL(url).origin).filter((url) => !url.startsWith('https:')),
  )
  const headers = secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'https:', ...imageOrigins],
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
    let routePolicy: string | null = null
    await headers(c, async () => {
      await next()
      routePolicy = c.res.headers.get('content-security-policy')
    })
    if (routePolicy !== null) c.header('content-security-policy', routePolicy)
    // Browsers apply this header of each redirect in a chain (HTML, "obtain an opener policy"). In
    // a popup, "same-origin" would cut the front end off from the popup, which it would take for
    // closed. A redirect shows nothing that an opener could read.
    if (c.req.path.startsWith('/auth/') && c.res.headers.has('location'))
      c.header('cross-origin-opener-policy', 'unsafe-none')
    // A response that may be cached is the same for every client.
    if (c.res.headers.get('cache-control') !== null) return
    c.header('cache-control', 'no-store')
    c.header('vary', 'Cookie, Authorization, Origin')
  }
}
