// One host name for browsers. A cookie set at 127.0.0.1 is not sent to localhost, so a browser that
// opens another loopback name is redirected to the one in PUBLIC_URL.
import type { Context, MiddlewareHandler } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { Deps } from '../../deps.ts'
import type { HttpEnv } from '../request-context.ts'

// Marks a browser that was just redirected.
const REDIRECTED_COOKIE = 'xconnect_moved'
// Browsers follow a redirect at once. A later visit of the other name is redirected again.
const REDIRECTED_SECONDS = 3

/**
 * Redirects page requests from another loopback name to the name in PUBLIC_URL. A proxy may send
 * another Host header than the browser's, which is at PUBLIC_URL already. So there is no redirect
 * when the port differs, which shows a proxy in between (nginx and Vite send the Host of their
 * target), and never a second one in a row.
 */
export function canonicalOrigin(deps: Pick<Deps, 'config'>): MiddlewareHandler<HttpEnv> {
  const own = new URL(deps.config.publicUrl)
  const isOtherName = ({ hostname, port }: URL) =>
    hostname !== own.hostname && port === own.port && isLoopback(hostname) && isLoopback(own.hostname)
  return async (c, next) => {
    const requested = new URL(c.req.url)
    if (!isPageRequest(c) || !isOtherName(requested)) return next()
    if (getCookie(c, REDIRECTED_COOKIE) === undefined) {
      setCookie(c, REDIRECTED_COOKIE, '1', { path: '/', maxAge: REDIRECTED_SECONDS, httpOnly: true, sameSite: 'Lax' })
      return c.redirect(`${own.origin}${requested.pathname}${requested.search}`, 302)
    }
    await next()
    deleteCookie(c, REDIRECTED_COOKIE, { path: '/' })
  }
}

// Assets are the same under every name and are cached, so their responses must not set a cookie.
function isPageRequest(c: Context): boolean {
  const { method, path } = c.req
  const acceptsHtml = (c.req.header('accept') ?? '').toLowerCase().includes('text/html')
  return method === 'GET' && acceptsHtml && !path.startsWith('/assets/')
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}
