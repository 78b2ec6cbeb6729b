// The rows of buckets, which all instances share.
import { and, eq, lte, type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { RateLimitPolicy } from '../config/rate-limits.ts'
import { deleteLookUps } from '../db/batch-deletion.ts'
import { queryRows } from '../db/client.ts'
import type { Clock } from '../db/clock.ts'
import { rateLimits } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { KnownBucket, Slice } from '../process/rate-limit-buckets.ts'
import { SLICE_SHARE, spentBelow, unitSeconds } from './slices.ts'

/** The moment at which a bucket is full, and the database's time, in seconds since 1970. */
export type BucketRow = { fullAt: number; now: number }

// Moments that are equal can differ by the last digit of a number.
const ROUNDING_SECONDS = 0.000_001
// What refills within this time is not worth a statement during the shutdown.
const RETURNED_SECONDS = 10

/**
 * Consumes `units` from the row, and gives back what is left of `slice`. One statement: concurrent
 * callers see what the others have consumed, and a refusal writes nothing.
 * @param cost the least that is of use. More is taken only if `units` are at most `SLICE_SHARE` of
 *   what is left.
 * @returns null when less is left.
 */
export async function consumeFromRow(
  deps: Deps,
  { name, subject, slice }: Pick<KnownBucket, 'name' | 'subject' | 'slice'>,
  policy: RateLimitPolicy,
  { cost, units }: { cost: number; units: number },
): Promise<BucketRow | null> {
  const now = sqlEpoch(deps.clock)
  const takenSeconds = seconds(units * unitSeconds(policy))
  // The row that was to be inserted gives the time: where rows are on several machines, only
  // immutable functions are allowed after ON CONFLICT.
  const givenNow = sql`(excluded.full_at - ${takenSeconds})`
  const consumed = sql`greatest(own.full_at - ${sqlUnused(slice, givenNow)}, ${givenNow})`
  const needed = units > cost ? units / SLICE_SHARE : cost
  const [row] = await readRows(
    deps,
    sql`insert into ${rateLimits} as own (name, subject, full_at)
      values (${name}, ${subject}, ${now} + ${takenSeconds})
      on conflict (subject, name) do update
        set full_at = ${consumed} + ${takenSeconds}
        where ${consumed} + ${seconds(needed * unitSeconds(policy))}
          <= ${givenNow} + ${seconds(policy.windowSeconds + ROUNDING_SECONDS)}
      returning full_at as "fullAt", ${now} as now`,
  )
  return row ?? null
}

/** Reads the row of a bucket. Returns null without one: the bucket is full. */
export async function readRow(
  deps: Deps,
  { name, subject }: Pick<KnownBucket, 'name' | 'subject'>,
): Promise<BucketRow | null> {
  const [row] = await readRows(
    deps,
    sql`select full_at as "fullAt", ${sqlEpoch(deps.clock)} as now from ${rateLimits} where subject = ${subject} and name = ${name}`,
  )
  return row ?? null
}

/**
 * Gives the rest of this process's slices back to their rows, before it ends. Rests that refill soon
 * lapse, and so do those of buckets that are nearly used up: other instances remember them so.
 */
export async function returnSlices(deps: Deps): Promise<void> {
  const { rateLimitBuckets: buckets, config } = deps
  const limits = new Map<string, RateLimitPolicy>(Object.entries(config.rateLimits ?? {}))
  const now = sqlEpoch(deps.clock)
  for (const bucket of buckets.list()) {
    const { name, subject, slice, clockAheadSeconds } = bucket
    const policy = limits.get(name)
    const soon = buckets.nowSeconds() + clockAheadSeconds + RETURNED_SECONDS
    if (policy === undefined || slice === null || slice.end < Math.max(slice.consumedTo, soon)) continue
    bucket.slice = null
    const isLeft = sql`${rateLimits.fullAt} <= ${now} + ${seconds(policy.windowSeconds - spentBelow(policy) * unitSeconds(policy))}`
    await deps.db
      .update(rateLimits)
      .set({ fullAt: sql`${rateLimits.fullAt} - ${sqlUnused(slice, now)}` })
      .where(and(eq(rateLimits.subject, subject), eq(rateLimits.name, name), isLeft))
  }
}

/** Deletes the rows of buckets that are full again, until the signal. */
export async function sweepRateLimits(deps: Deps, signal?: AbortSignal): Promise<number> {
  const { subject, fullAt } = rateLimits
  return deleteLookUps(deps, rateLimits, subject, lte(fullAt, sqlEpoch(deps.clock)), signal)
}

async function readRows(deps: Deps, query: SQL): Promise<BucketRow[]> {
  return rowsShape.parse(await queryRows(deps.db, query))
}

const rowsShape = z.array(z.object({ fullAt: z.number(), now: z.number() }))

/** The database's time in seconds since 1970. */
function sqlEpoch(clock: Clock): SQL<number> {
  return sql<number>`extract(epoch from ${clock.sqlNow()})::float8`
}

// Calculated by the database's clock, which may have passed a part of the rest.
function sqlUnused(slice: Slice | null, now: SQL): SQL {
  if (slice === null) return sql`0::float8`
  return sql`greatest(${seconds(slice.end)} - greatest(${seconds(slice.consumedTo)}, ${now}), 0)`
}

function seconds(value: number): SQL<number> {
  return sql<number>`${value}::float8`
}
