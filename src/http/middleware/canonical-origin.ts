// One name for people. Cookies set at 127.0.0.1 are not there at localhost: a person who opens the
// other name is sent to the configured one.
import type { Context, MiddlewareHandler } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { Deps } from '../../deps.ts'
import type { HttpEnv } from './csrf-protection.ts'

// Says that a redirect of ours has just been followed.
const MOVED_COOKIE = 'xconnect_moved'
// A redirect is followed at once. Whoever opens the other name again later is to be sent on again.
const MOVED_SECONDS = 3

/**
 * Sends people from another loopback name to that of PUBLIC_URL. A proxy may say another Host than
 * the browser's, and then the browser is at PUBLIC_URL already: so nobody is sent where the port
 * tells that something stands between (nginx and Vite say their target's), and nobody is sent twice
 * in a row.
 */
export function sendToPublicUrl(deps: Pick<Deps, 'config'>): MiddlewareHandler<HttpEnv> {
  const own = new URL(deps.config.publicUrl)
  const isOtherName = ({ hostname, port }: URL) =>
    hostname !== own.hostname && port === own.port && isLoopback(hostname) && isLoopback(own.hostname)
  return async (c, next) => {
    const asked = new URL(c.req.url)
    if (!isPage(c) || !isOtherName(asked)) return next()
    if (getCookie(c, MOVED_COOKIE) === undefined) {
      setCookie(c, MOVED_COOKIE, '1', { path: '/', maxAge: MOVED_SECONDS, httpOnly: true, sameSite: 'Lax' })
      return c.redirect(`${own.origin}${asked.pathname}${asked.search}`, 302)
    }
    await next()
    deleteCookie(c, MOVED_COOKIE, { path: '/' })
  }
}

// Files are the same under every name, and caches keep them: no cookie may ride on one.
function isPage(c: Context): boolean {
  const { method, path } = c.req
  const wantsPage = (c.req.header('accept') ?? '').toLowerCase().includes('text/html')
  return method === 'GET' && wantsPage && !path.startsWith('/assets/')
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}
