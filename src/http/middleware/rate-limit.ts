// Whose budget a request is paid from, and what its answer says of that: draft-ietf-httpapi-ratelimit-headers-11.
import type { Context, MiddlewareHandler } from 'hono'
import type { RateLimitName } from '../../config/rate-limits.ts'
import type { Deps } from '../../deps.ts'
import { createRateLimiter, type RateLimiter } from '../../rate-limit/limiter.ts'
import { addressBlock } from '../client-address.ts'
import type { HttpEnv } from './csrf-protection.ts'

/** The budget of whoever asks the API: a person's, wherever signed in; a token's own; where nobody is known, the address's. */
export function openRateLimiter(deps: Deps, c: Context<HttpEnv>): RateLimiter {
  const rateLimiter = rateLimiterOf(deps, c)
  c.set('rateLimiter', rateLimiter)
  return rateLimiter
}

/** Counts a request against its address, before it is answered. */
export function limitByAddress(deps: Deps, name: RateLimitName): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    await payAsAddress(deps, c, name)
    return next()
  }
}

/** Takes a point of the address that a request comes from. @throws AppError RATE_LIMITED */
export async function payAsAddress(deps: Deps, c: Context<HttpEnv>, name: RateLimitName): Promise<void> {
  const rateLimiter = createRateLimiter(deps, name, addressBlock(c.var.address))
  c.set('rateLimiter', rateLimiter)
  await rateLimiter.consume(1)
}

/** Tells the caller what is left, where something was spent, in every answer. */
export const tellRateLimit: MiddlewareHandler<HttpEnv> = async (c, next) => {
  await next()
  const reading = c.var.rateLimiter?.lastResult() ?? null
  if (reading === null) return
  const { name, limit, windowSeconds, remaining, resetInSeconds, retryInSeconds } = reading
  c.header('ratelimit-policy', `"${name}";q=${limit};w=${windowSeconds}`)
  c.header('ratelimit', `"${name}";r=${remaining};t=${Math.ceil(resetInSeconds)}`)
  if (retryInSeconds !== null) c.header('retry-after', String(Math.max(Math.ceil(retryInSeconds), 1)))
}

function rateLimiterOf(deps: Deps, { var: { viewer, address } }: Context<HttpEnv>): RateLimiter {
  if (viewer === null) return createRateLimiter(deps, 'address', addressBlock(address))
  return viewer.kind === 'SESSION'
    ? createRateLimiter(deps, 'user', viewer.user.id)
    : createRateLimiter(deps, 'token', viewer.apiToken.id)
}
