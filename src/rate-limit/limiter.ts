// What one caller may have of us, counted for all instances together. A budget is one moment, at which it will be full again: what is
// spent moves it on, time catches up with it by itself, and a row whose moment has passed says the same as none.
import { lte, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { RateLimitName } from '../config/rate-limits.ts'
import { queryRows } from '../db/client.ts'
import { sqlIn } from '../db/clock.ts'
import { rateLimits } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'

/** What a caller has left after spending something, or after being refused it. */
export type RateLimit = {
  name: RateLimitName
  /** All there is, in points, and in how many seconds it comes back. */
  limit: number
  windowSeconds: number
  /** What was asked for. */
  cost: number
  remaining: number
  /** Until the budget is full again. */
  resetInSeconds: number
  /** Until the same could be granted; null when it was. */
  retryInSeconds: number | null
}

/** One caller's budget during one request. */
export type Meter = {
  /** @throws AppError RATE_LIMITED, with nothing spent. */
  spend(points: number): Promise<void>
  /** True once something was to be spent, whatever came of it. */
  wasAsked(): boolean
  /** What the last spending came to; null before it, and where nothing is limited. */
  reading(): RateLimit | null
}

/** A meter on the budget that a policy gives to `subject`. */
export function createMeter(deps: Deps, name: RateLimitName, subject: string): Meter {
  let reading: RateLimit | null = null
  let wasAsked = false
  return {
    spend: async (points) => {
      wasAsked = true
      reading = await takePoints(deps, name, subject, points)
      if (reading !== null) refuseOverspending(deps, reading)
    },
    wasAsked: () => wasAsked,
    reading: () => reading,
  }
}

/** Spends points of a budget. @throws AppError RATE_LIMITED, with nothing spent. */
export async function spendPoints(deps: Deps, name: RateLimitName, subject: string, points: number): Promise<void> {
  await createMeter(deps, name, subject).spend(points)
}

/** Deletes the budgets that are full again. */
export async function sweepRateLimits(deps: Deps): Promise<void> {
  await deps.db.delete(rateLimits).where(lte(rateLimits.fullAt, deps.clock.sqlNow()))
}

// One statement, whatever comes of it: of callers at one moment each finds what the others have left, and a refusal writes nothing.
async function takePoints(deps: Deps, name: RateLimitName, subject: string, points: number): Promise<RateLimit | null> {
  const policy = deps.config.rateLimits?.[name]
  if (policy === undefined) return null
  // What is dearer than the whole budget may be had for the whole of it.
  const cost = Math.min(points, policy.points)
  const secondsPerPoint = policy.seconds / policy.points
  const now = deps.clock.sqlNow()
  const [row] = rowsShape.parse(
    await queryRows(
      deps.db,
      sql`with spent as (
        insert into ${rateLimits} as own (name, subject, full_at)
        values (${name}, ${subject}, ${sqlIn(deps.clock, cost * secondsPerPoint)})
        on conflict (name, subject) do update
          set full_at = greatest(own.full_at, ${now}) + make_interval(secs => ${cost * secondsPerPoint})
          where greatest(own.full_at, ${now}) <= ${sqlIn(deps.clock, policy.seconds - cost * secondsPerPoint)}
        returning full_at
      )
      select true as granted, extract(epoch from full_at - ${now})::float8 as seconds from spent
      union all
      select false, extract(epoch from full_at - ${now})::float8 from ${rateLimits}
        where name = ${name} and subject = ${subject} and not exists (select from spent)`,
    ),
  )
  // What refuses may have been spent by somebody else while this statement ran, which then sees too early a row, or none.
  const isSeen = row !== undefined && (row.granted || row.seconds > policy.seconds - cost * secondsPerPoint)
  const { granted, seconds } = isSeen ? row : { granted: false, seconds: policy.seconds }
  const resetInSeconds = Math.max(seconds, 0)
  return {
    name,
    limit: policy.points,
    windowSeconds: policy.seconds,
    cost,
    // PostgreSQL keeps microseconds: a hair less than a whole point is one.
    remaining: Math.max(Math.floor((policy.seconds - resetInSeconds) / secondsPerPoint + 0.01), 0),
    resetInSeconds,
    retryInSeconds: granted ? null : Math.max(resetInSeconds + cost * secondsPerPoint - policy.seconds, 0),
  }
}

const rowsShape = z.array(z.object({ granted: z.boolean(), seconds: z.number() }))

function refuseOverspending(deps: Deps, { retryInSeconds, cost, remaining, limit, windowSeconds }: RateLimit): void {
  if (retryInSeconds === null) return
  const wait = Math.ceil(retryInSeconds)
  throw new AppError('RATE_LIMITED', {
    detail: `This costs ${cost}, and you have ${remaining} left of the ${limit} points that this gateway gives you for ${windowSeconds} s. Try again in ${wait} s.`,
    retryAt: new Date(deps.clock.now().getTime() + retryInSeconds * 1000),
  })
}
