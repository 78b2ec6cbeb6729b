import type { MiddlewareHandler } from 'hono'
import type { Config } from '../../config/config.ts'
import type { Deps } from '../../deps.ts'
import type { HttpEnv } from '../request-context.ts'

/** The headers of a response that may not be stored: it depends on who asks, and from where. */
export const NOT_STORED = Object.freeze({ 'cache-control': 'no-store', vary: 'Cookie, Authorization, Origin' })

/**
 * Sets the security headers of every response. A route that needs another Content-Security-Policy
 * sets its own.
 */
export function securityHeaders(deps: Deps): MiddlewareHandler<HttpEnv> {
  const headers = Object.entries(describeSecurityHeaders(deps.config))
  return async (c, next) => {
    await next()
    const hasPolicy = c.res.headers.has(POLICY_HEADER)
    for (const [name, value] of headers) if (name !== POLICY_HEADER || !hasPolicy) c.header(name, value)
    // Browsers apply this header of each redirect in a chain (HTML, "obtain an opener policy"). In
    // a popup, "same-origin" would cut the front end off from the popup, which it would take for
    // closed. A redirect shows nothing that an opener could read.
    if (c.req.path.startsWith('/auth/') && c.res.headers.has('location'))
      c.header('cross-origin-opener-policy', 'unsafe-none')
    // A response that may be cached is the same for every client.
    if (c.res.headers.get('cache-control') !== null) return
    for (const [name, value] of Object.entries(NOT_STORED)) c.header(name, value)
  }
}

/**
 * The security headers of a response, by the recommendations of the OWASP Secure Headers Project.
 * Pages load scripts, styles and data from this origin alone, and images from any https origin.
 */
export function describeSecurityHeaders({
  publicUrl,
  x,
  github,
}: Pick<Config, 'publicUrl' | 'x' | 'github'>): Readonly<Record<string, string>> {
  // Profile images of the sandbox, which has no https.
  const imageOrigins = new Set(
    [x, github].map(({ url }) => new URL(url).origin).filter((url) => !url.startsWith('https:')),
  )
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    ["img-src 'self' https:", ...imageOrigins].join(' '),
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ')
  return Object.freeze({
    'cross-origin-resource-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'origin-agent-cluster': '?1',
    'referrer-policy': 'no-referrer',
    ...(publicUrl.startsWith('https:') && { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }),
    'x-content-type-options': 'nosniff',
    'x-dns-prefetch-control': 'off',
    'x-download-options': 'noopen',
    'x-frame-options': 'DENY',
    'x-permitted-cross-domain-policies': 'none',
    'x-xss-protection': '0',
    [POLICY_HEADER]: policy,
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  })
}

const POLICY_HEADER = 'content-security-policy'
