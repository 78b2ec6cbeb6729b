// Chooses the rate limit that a request consumes from, and sets the response headers of
// draft-ietf-httpapi-ratelimit-headers-11.
import type { Context, MiddlewareHandler } from 'hono'
import type { Viewer } from '../../auth/viewer.ts'
import type { RateLimitName } from '../../config/rate-limits.ts'
import type { Deps } from '../../deps.ts'
import { createCombinedLimiter } from '../../rate-limit/combined-limiter.ts'
import { createRateLimiter, type RateLimit, type RateLimiter } from '../../rate-limit/limiter.ts'
import { addressBlock } from '../client-address.ts'
import type { HttpEnv } from '../request-context.ts'

/**
 * Chooses the rate limiter of an API request: the user's for sessions, the token's own for API
 * tokens, otherwise the address's.
 */
export function chooseRateLimiter(deps: Deps, c: Context<HttpEnv>): RateLimiter {
  const rateLimiter = createViewerLimiter(deps, c.var.viewer, c.var.address)
  c.set('rateLimiter', rateLimiter)
  return rateLimiter
}

/** Consumes from the client address's limit before the route runs. */
export function rateLimitByAddress(deps: Deps, name: RateLimitName): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    await consumeForAddress(deps, c, name)
    return next()
  }
}

/** Consumes a cost of 1 from the limit of the client's address. @throws AppError RATE_LIMITED */
export async function consumeForAddress(deps: Deps, c: Context<HttpEnv>, name: RateLimitName): Promise<void> {
  const rateLimiter = createRateLimiter(deps, name, addressBlock(c.var.address))
  c.set('rateLimiter', rateLimiter)
  await rateLimiter.consume(1)
}

/**
 * Sets RateLimit, RateLimit-Policy and Retry-After on responses whose request consumed from a
 * limit.
 */
export const rateLimitHeaders: MiddlewareHandler<HttpEnv> = async (c, next) => {
  c.set('rateLimiter', null)
  await next()
  const result = c.var.rateLimiter?.lastResult() ?? null
  if (result === null) return
  for (const [name, value] of Object.entries(describeRateLimit(result))) c.header(name, value)
}

/** The headers of a response whose request consumed from a limit. */
export function describeRateLimit(result: RateLimit): Record<string, string> {
  const { name, limit, windowSeconds, remaining, resetInSeconds, retryInSeconds } = result
  return {
    'ratelimit-policy': `"${name}";q=${limit};w=${windowSeconds}`,
    ratelimit: `"${name}";r=${remaining};t=${Math.ceil(resetInSeconds)}`,
    ...(retryInSeconds !== null && { 'retry-after': String(Math.max(Math.ceil(retryInSeconds), 1)) }),
  }
}

/**
 * Creates the rate limiter of a caller: for a session that of all sessions of its user, for an API
 * token its own, both together with what the user has in total; otherwise the address's.
 */
export function createViewerLimiter(deps: Deps, viewer: Viewer | null, address: string | null): RateLimiter {
  if (viewer === null) return createRateLimiter(deps, 'address', addressBlock(address))
  if (viewer.kind === 'OPERATOR_TOKEN') return createRateLimiter(deps, 'token', viewer.apiToken.id)
  const total = ['total', viewer.user.id] as const
  return viewer.kind === 'SESSION'
    ? createCombinedLimiter(deps, ['user', viewer.user.id], total)
    : createCombinedLimiter(deps, ['token', viewer.apiToken.id], total)
}
