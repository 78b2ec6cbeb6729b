// Who is asking: a browser with its cookie, or a program with an API token in the Authorization header, where alone it belongs.
import type { Context, MiddlewareHandler } from 'hono'
import { isSecret } from '../../auth/api-token-format.ts'
import { findSessionViewer, findTokenViewer } from '../../auth/viewer.ts'
import type { Deps } from '../../deps.ts'
import { type BearerError, challenge, MISPLACED_TOKEN, readBearer, TOKEN_PARAMETER } from '../bearer.ts'
import { refuse } from '../error-response.ts'
import type { HttpEnv } from './csrf-protection.ts'
import { payAsAddress } from './rate-limit.ts'

/**
 * Finds out who is asking. An Authorization header decides alone, also when it is worth nothing: whoever sends a token means to act
 * with that and no more, and must not act with the rights of a cookie that came along.
 */
export function identify(deps: Deps): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    const authorization = c.req.header('authorization')
    if (authorization === undefined) return identifyBrowser(deps, c, next)
    const secret = readBearer(authorization)
    if (secret === null)
      return refuseToken(null, 'Send an API token as "Authorization: Bearer xcg_…", or no such header.')
    const viewer = await findTokenViewer(deps, secret)
    if (viewer === null) {
      // What cannot be a token cost us nothing; what can was looked for.
      if (isSecret(secret)) await payAsAddress(deps, c, 'address')
      return refuseToken(
        'invalid_token',
        'This API token is not good here: mistyped, expired or revoked. Make another.',
      )
    }
    c.set('viewer', viewer)
    return next()
  }
}

/** Refuses a token in the address, wherever that leads (RFC 6750 section 2.3): addresses are kept in histories and logs. */
export const refuseTokenInUrl: MiddlewareHandler<HttpEnv> = async (c, next) =>
  hasToken(new URL(c.req.url).searchParams) ? refuseMisplacedToken() : next()

/** Refuses a token that came in an address or a body. No error is named: it is a way of authenticating that we do not have. */
export function refuseMisplacedToken(): Response {
  return refuseToken(null, MISPLACED_TOKEN)
}

// By name, whatever it is worth, and by its checksum anywhere else, as a name too.
function hasToken(query: URLSearchParams): boolean {
  return query.has(TOKEN_PARAMETER) || [...query].flat().some(isSecret)
}

async function identifyBrowser(deps: Deps, c: Context<HttpEnv>, next: () => Promise<void>): Promise<void> {
  const { viewer, setCookie: renewed } = await findSessionViewer(deps, c.req.header('cookie') ?? null)
  c.set('viewer', viewer)
  await next()
  if (renewed === null) return
  // What the route did with the session stands: after signing in or out, the renewed cookie would bring the dead session back.
  const name = renewed.slice(0, renewed.indexOf('=') + 1)
  if (!c.res.headers.getSetCookie().some((header) => header.startsWith(name)))
    c.header('set-cookie', renewed, { append: true })
}

function refuseToken(error: BearerError | null, message: string): Response {
  return refuse(401, { code: 'UNAUTHENTICATED', message }, { 'www-authenticate': challenge(error) })
}
