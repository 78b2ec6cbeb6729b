// GCRA rate limiter, shared by all instances. A bucket is one moment, at which it is full again.
// Consuming moves it forward; a moment in the past, like a missing row, is a full bucket.
import { lte, type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { RateLimitName } from '../config/rate-limits.ts'
import { queryRows } from '../db/client.ts'
import type { Clock } from '../db/clock.ts'
import { rateLimits } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'

/** The state of a rate limit after a consumption, granted or refused. */
export type RateLimit = {
  name: RateLimitName
  /** The most that can be consumed at once. */
  limit: number
  /** In how many seconds an empty bucket is full again. */
  windowSeconds: number
  /** The cost of this consumption. */
  cost: number
  remaining: number
  /** Seconds until the bucket is full again. */
  resetInSeconds: number
  /** Seconds until the same cost can be granted; null when it was granted. */
  retryInSeconds: number | null
}

/** The rate limiter of one caller during one request. */
export type RateLimiter = {
  /** @throws AppError RATE_LIMITED, with nothing consumed. */
  consume(cost: number): Promise<void>
  /** True after the first call of `consume`, granted or refused. */
  wasConsulted(): boolean
  /** The result of the last `consume`; null before the first one, and with RATE_LIMITS=off. */
  lastResult(): RateLimit | null
}

/**
 * Creates the rate limiter of `subject` (a user's or API token's id, or an address) for one limit.
 */
export function createRateLimiter(deps: Deps, name: RateLimitName, subject: string): RateLimiter {
  let lastResult: RateLimit | null = null
  let wasConsulted = false
  return {
    consume: async (cost) => {
      wasConsulted = true
      lastResult = await tryConsume(deps, name, subject, cost)
      if (lastResult !== null) assertGranted(deps, lastResult)
    },
    wasConsulted: () => wasConsulted,
    lastResult: () => lastResult,
  }
}

/** Consumes from the limit of `subject`. @throws AppError RATE_LIMITED, with nothing consumed. */
export async function consumeRateLimit(deps: Deps, name: RateLimitName, subject: string, cost: number): Promise<void> {
  await createRateLimiter(deps, name, subject).consume(cost)
}

/** Deletes the rows of buckets that are full again. */
export async function sweepRateLimits(deps: Deps): Promise<void> {
  await deps.db.delete(rateLimits).where(lte(rateLimits.fullAt, sqlEpoch(deps.clock)))
}

// One statement consumes: concurrent callers see what the others have consumed, and a refusal
// writes nothing.
async function tryConsume(
  deps: Deps,
  name: RateLimitName,
  subject: string,
  requestedCost: number,
): Promise<RateLimit | null> {
  const policy = deps.config.rateLimits?.[name]
  if (policy === undefined) return null
  const { limit, windowSeconds } = policy
  // A request above the limit could never be granted: it takes the whole bucket instead.
  const cost = Math.min(requestedCost, limit)
  const secondsPerUnit = windowSeconds / limit
  const costSeconds = cost * secondsPerUnit
  const costParameter = sql`${costSeconds}::float8`
  const now = sqlEpoch(deps.clock)
  // The row that was to be inserted gives the time: where rows are on several machines, only
  // immutable functions are allowed after ON CONFLICT.
  const givenNow = sql`(excluded.full_at - ${costParameter})`
  const nextFullAt = sql`greatest(own.full_at, ${givenNow}) + ${costParameter}`
  const [consumed] = await readSeconds(
    deps,
    sql`insert into ${rateLimits} as own (name, subject, full_at)
      values (${name}, ${subject}, ${now} + ${costParameter})
      on conflict (subject, name) do update
        set full_at = ${nextFullAt}
        where ${nextFullAt} <= ${givenNow} + ${windowSeconds}::float8
      returning full_at - ${now} as seconds`,
  )
  const granted = consumed !== undefined
  // The row that the refusal was for. A bucket that has become full since may have been deleted.
  const [refused = 0] = granted
    ? []
    : await readSeconds(
        deps,
        sql`select full_at - ${now} as seconds from ${rateLimits} where subject = ${subject} and name = ${name}`,
      )
  const seconds = consumed ?? refused
  const resetInSeconds = Math.max(seconds, 0)
  return {
    name,
    limit,
    windowSeconds,
    cost,
    // A moment in seconds has a resolution of about a microsecond, which can leave slightly less
    // than a whole unit.
    remaining: Math.max(Math.floor((windowSeconds - resetInSeconds) / secondsPerUnit + 0.01), 0),
    resetInSeconds,
    retryInSeconds: granted ? null : Math.max(resetInSeconds + costSeconds - windowSeconds, 0),
  }
}

async function readSeconds(deps: Deps, query: SQL): Promise<number[]> {
  return rowsShape.parse(await queryRows(deps.db, query)).map(({ seconds }) => seconds)
}

/** The database's time in seconds since 1970. */
function sqlEpoch(clock: Clock): SQL<number> {
  return sql<number>`extract(epoch from ${clock.sqlNow()})::float8`
}

const rowsShape = z.array(z.object({ seconds: z.number() }))

function assertGranted(deps: Deps, { retryInSeconds, cost, remaining, limit, windowSeconds }: RateLimit): void {
  if (retryInSeconds === null) return
  const wait = Math.max(Math.ceil(retryInSeconds), 1)
  throw new AppError('RATE_LIMITED', {
    detail: `This request costs ${cost}, and ${remaining} remain of this gateway's limit of ${limit} per ${windowSeconds} s. Try again in ${wait} s.`,
    retryAt: new Date(deps.clock.now().getTime() + retryInSeconds * 1000),
  })
}
