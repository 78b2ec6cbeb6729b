import type { Context, MiddlewareHandler } from 'hono'
import { isSecret } from '../../auth/api-token-format.ts'
import { findSessionViewer, findTokenViewer } from '../../auth/viewer.ts'
import type { Deps } from '../../deps.ts'
import { parseBearer } from '../bearer.ts'
import type { Caller, HeaderReader, HttpEnv } from '../request-context.ts'
import { tokenErrorResponse } from '../token-error-response.ts'
import { consumeForAddress } from './rate-limit.ts'

/**
 * Sets the viewer, and refuses invalid credentials in the Authorization header. That header takes
 * precedence even when it is invalid, so that a client that presents a token never acts with the
 * rights of a cookie.
 */
export function authenticate(deps: Deps): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const header: HeaderReader = (name) => c.req.header(name)
    const { viewer, renewed } = c.env?.incoming?.caller ?? (await findCaller(deps, header))
    const authorization = header('authorization')
    if (authorization !== undefined && viewer === null) return refuseToken(deps, c, parseBearer(authorization))
    c.set('viewer', viewer)
    await next()
    for (const cookie of renewCookie(c.res.headers.getSetCookie(), renewed))
      c.header('set-cookie', cookie, { append: true })
  }
}

/** Finds the caller: a browser session by its cookie, or an API token by the Authorization header. */
export async function findCaller(deps: Deps, header: HeaderReader): Promise<Caller> {
  const authorization = header('authorization')
  if (authorization === undefined) {
    const { viewer, setCookie } = await findSessionViewer(deps, header('cookie') ?? null)
    return { viewer, renewed: setCookie }
  }
  const secret = parseBearer(authorization)
  return { viewer: secret === null ? null : await findTokenViewer(deps, secret), renewed: null }
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

// `secret` is null for another scheme than Bearer.
async function refuseToken(deps: Deps, c: Context<HttpEnv>, secret: string | null): Promise<Response> {
  if (secret === null)
    return tokenErrorResponse(null, 'Send an API token as "Authorization: Bearer xcg_…", or omit the header.')
  // Only a well-formed token costs a database query, so only that counts against the address.
  if (isSecret(secret)) await consumeForAddress(deps, c, 'address')
  return tokenErrorResponse(
    'invalid_token',
    'This API token is not valid: it is mistyped, expired or revoked. Create another one.',
  )
}
