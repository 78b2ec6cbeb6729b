import type { Context, Handler } from 'hono'
import type { XAccount } from '../state.ts'
import { findAccountById, type World } from '../world.ts'
import { findGrantByAccessToken } from './grants.ts'
import { type Problem, problemResponse } from './problem-format.ts'
import { API_PROBLEMS } from './problems.ts'
import type { EndpointLimit } from './rate-limits.ts'
import { inVocabulary } from './vocabulary.ts'

export const READ_SCOPES = ['tweet.read', 'users.read']
export const WRITE_SCOPES = ['tweet.read', 'tweet.write', 'users.read']

/**
 * Wraps an endpoint of X's API with its checks: bearer token, rate limit, scopes, and whether the
 * account is suspended or locked. All responses except 401 have rate-limit headers.
 */
export function xEndpoint(
  world: World,
  rule: { limit: EndpointLimit; scopes: string[] },
  act: (c: Context, caller: XAccount) => Response | Promise<Response>,
): Handler {
  return async (c) => {
    const token = readBearer(c)
    const grant = token === null ? null : findGrantByAccessToken(world, token)
    const caller = grant === null ? null : findAccountById(world, grant.accountId)
    if (grant === null || caller === null) return problemResponse(API_PROBLEMS.unauthorized)
    const { allowed, headers } = world.rateLimits.take(rule.limit, caller.id, world.clock.now())
    const refusal = allowed ? standingRefusal(rule.scopes, grant.scopes, caller) : API_PROBLEMS['too-many-requests']
    const response = await inVocabulary(
      world.switches.vocabulary,
      refusal === null ? await act(c, caller) : problemResponse(refusal),
    )
    for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
    return response
  }
}

/** Returns the bearer token of a request (RFC 6750 section 2.1); null without one. */
export function readBearer(c: Context): string | null {
  return /^bearer +(\S+) *$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? null
}

function standingRefusal(needed: string[], granted: string[], caller: XAccount): Problem | null {
  if (!needed.every((scope) => granted.includes(scope))) return API_PROBLEMS['missing-scope']
  if (caller.suspended) return API_PROBLEMS.suspended
  return caller.locked ? API_PROBLEMS.locked : null
}

/** Returns a JSON response of X's API. */
export function respondWithData(body: Record<string, unknown>, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json; charset=utf-8' } })
}
