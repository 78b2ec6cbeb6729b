import type { Context, MiddlewareHandler } from 'hono'
import { isSecret } from '../../auth/api-token-format.ts'
import { findSessionViewer, findTokenViewer } from '../../auth/viewer.ts'
import type { Deps } from '../../deps.ts'
import { parseBearer } from '../bearer.ts'
import type { HttpEnv } from '../request-context.ts'
import { tokenErrorResponse } from '../token-error-response.ts'
import { consumeForAddress } from './rate-limit.ts'

/**
 * Sets the viewer: a browser session by its cookie, or an API token by the Authorization header.
 * The header takes precedence even when it is invalid, so that a client that presents a token never
 * acts with the rights of a cookie.
 */
export function authenticate(deps: Deps): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const authorization = c.req.header('authorization')
    if (authorization === undefined) return authenticateSession(deps, c, next)
    const secret = parseBearer(authorization)
    if (secret === null)
      return tokenErrorResponse(null, 'Send an API token as "Authorization: Bearer xcg_…", or omit the header.')
    const viewer = await findTokenViewer(deps, secret)
    if (viewer === null) {
      // Only a well-formed token costs a database query, so only that counts against the address.
      if (isSecret(secret)) await consumeForAddress(deps, c, 'address')
      return tokenErrorResponse(
        'invalid_token',
        'This API token is not valid: it is mistyped, expired or revoked. Create another one.',
      )
    }
    c.set('viewer', viewer)
    return next()
  }
}

async function authenticateSession(deps: Deps, c: Context<HttpEnv>, next: () => Promise<void>): Promise<void> {
  const { viewer, setCookie: renewed } = await findSessionViewer(deps, c.req.header('cookie') ?? null)
  c.set('viewer', viewer)
  await next()
  for (const header of renewCookie(c.res.headers.getSetCookie(), renewed))
    c.header('set-cookie', header, { append: true })
}

/**
 * Returns the Set-Cookie header that renews a session, beside those that the route has set; nothing
 * when the route has set this cookie: after a sign-in or sign-out, the renewed one would restore the
 * ended session.
 */
export function renewCookie(set: readonly string[], renewed: string | null): string[] {
  if (renewed === null) return []
  const name = renewed.slice(0, renewed.indexOf('=') + 1)
  return set.some((header) => header.startsWith(name)) ? [] : [renewed]
}
