import type { MiddlewareHandler } from 'hono'
import { findKeptViewer, findSessionViewer, findTokenViewer, type Viewer } from '../../auth/viewer.ts'
import { identifyCaller } from '../../db/caller.ts'
import type { ChargeLookUp } from '../../db/viewer-cache.ts'
import type { Deps } from '../../deps.ts'
import type { RateLimiter } from '../../rate-limit/limiter.ts'
import { parseBearer } from '../bearer.ts'
import type { Caller, HeaderReader, HttpEnv } from '../request-context.ts'
import { tokenErrorResponse } from '../token-error-response.ts'
import { createViewerLimiter } from './rate-limit.ts'

/**
 * Sets the viewer, and refuses invalid credentials in the Authorization header. That header takes
 * precedence even when it is invalid, so that a client that presents a token never acts with the
 * rights of a cookie.
 */
export function authenticate(deps: Deps): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const header: HeaderReader = (name) => c.req.header(name)
    // Set before the look-up, whose refusal has the headers of this limit.
    const createLimiter = () => {
      const rateLimiter = createViewerLimiter(deps, null, c.var.address)
      c.set('rateLimiter', rateLimiter)
      return rateLimiter
    }
    const handedOver = c.env?.incoming?.caller
    if (handedOver !== undefined) identifyViewer(handedOver.viewer)
    const { viewer, renewed, rateLimiter } = handedOver ?? (await findCaller(deps, header, createLimiter))
    c.set('rateLimiter', rateLimiter)
    const authorization = header('authorization')
    if (authorization !== undefined && viewer === null) return refuseToken(parseBearer(authorization))
    c.set('viewer', viewer)
    await next()
    for (const cookie of renewCookie(c.res.headers.getSetCookie(), renewed))
      c.header('set-cookie', cookie, { append: true })
  }
}

/**
 * Finds the caller: a browser session by its cookie, or an API token by the Authorization header. The
 * address pays before a secret is looked up that this process does not know, and gets it back where
 * the secret is valid.
 * @param createLimiter creates the rate limiter of the address.
 * @throws AppError RATE_LIMITED, without a look-up.
 */
export async function findCaller(deps: Deps, header: HeaderReader, createLimiter: () => RateLimiter): Promise<Caller> {
  let rateLimiter: RateLimiter | null = null
  const charge: ChargeLookUp = (lookUp) => {
    rateLimiter = createLimiter()
    return rateLimiter.consumeFor(lookUp, (found) => found === null)
  }
  const { viewer, renewed } = await findViewer(deps, header, charge)
  identifyViewer(viewer)
  return { viewer, renewed, rateLimiter: viewer === null ? rateLimiter : null }
}

/** Returns the caller whose session or API token this process keeps in memory; null for any other. */
export function findKeptCaller(deps: Deps, header: HeaderReader): Caller | null {
  const authorization = header('authorization')
  const secret = authorization === undefined ? null : parseBearer(authorization)
  if (authorization !== undefined && secret === null) return null
  const viewer = findKeptViewer(deps, secret, header('cookie') ?? null)
  identifyViewer(viewer)
  return viewer && { viewer, renewed: null, rateLimiter: null }
}

// The rest of the request has the turns of its user, or of the operator's token, at the database.
function identifyViewer(viewer: Viewer | null): void {
  if (viewer === null) return
  identifyCaller(viewer.kind === 'OPERATOR_TOKEN' ? viewer.apiToken.id : viewer.user.id)
}

async function findViewer(
  deps: Deps,
  header: HeaderReader,
  charge: ChargeLookUp,
): Promise<Pick<Caller, 'viewer' | 'renewed'>> {
  const authorization = header('authorization')
  if (authorization === undefined) {
    const { viewer, setCookie } = await findSessionViewer(deps, header('cookie') ?? null, charge)
    return { viewer, renewed: setCookie }
  }
  const secret = parseBearer(authorization)
  return { viewer: secret === null ? null : await findTokenViewer(deps, secret, charge), renewed: null }
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
function refuseToken(secret: string | null): Response {
  if (secret === null)
    return tokenErrorResponse(null, 'Send an API token as "Authorization: Bearer xcg_…", or omit the header.')
  return tokenErrorResponse(
    'invalid_token',
    'This API token is not valid: it is mistyped, expired or revoked. Create another one.',
  )
}
