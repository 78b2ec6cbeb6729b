// The arithmetic of buckets and slices. A slice is a part of a bucket that one instance has
// consumed from the row in advance, and gives to its callers from memory. It is a span of time, so it
// lapses as the bucket refills.
import type { RateLimitPolicy } from '../config/rate-limits.ts'
import type { KnownBucket } from '../process/rate-limit-buckets.ts'

/** The largest part of what a bucket has left that an instance takes at once. */
export const SLICE_SHARE = 0.1

// A moment in seconds has a resolution of about a microsecond, which can leave slightly less than a
// whole unit.
const TOLERANCE_UNITS = 0.01

/** Returns the seconds in which one unit refills. */
export function unitSeconds({ limit, windowSeconds }: RateLimitPolicy): number {
  return windowSeconds / limit
}

/** Returns the whole units that are left in a bucket which is full again in `resetInSeconds`. */
export function remainingUnits(policy: RateLimitPolicy, resetInSeconds: number): number {
  return Math.max(Math.floor((policy.windowSeconds - resetInSeconds) / unitSeconds(policy) + TOLERANCE_UNITS), 0)
}

/** Returns the seconds until the bucket is full again, if its slice counts as not consumed. */
export function resetInSeconds({ fullAt, slice }: Pick<KnownBucket, 'fullAt' | 'slice'>, now: number): number {
  const unused = slice === null ? 0 : Math.max(slice.end - Math.max(slice.consumedTo, now), 0)
  return Math.max(fullAt - unused - now, 0)
}

/** Consumes from the slice of a bucket. Returns false when it has less. */
export function consumeSlice(bucket: KnownBucket, policy: RateLimitPolicy, cost: number, now: number): boolean {
  if (bucket.slice === null) return false
  const { consumedTo, end } = bucket.slice
  const nextConsumedTo = Math.max(consumedTo, now) + cost * unitSeconds(policy)
  if (nextConsumedTo > end + TOLERANCE_UNITS * unitSeconds(policy)) return false
  bucket.slice = { consumedTo: Math.min(nextConsumedTo, end), end }
  return true
}

/**
 * Returns a cost to the slice that it was consumed from, or to a later one. Without a slice it
 * lapses, as the rest of a slice would.
 */
export function giveBack(bucket: KnownBucket, policy: RateLimitPolicy, cost: number): void {
  if (bucket.slice === null) return
  const { consumedTo, end } = bucket.slice
  bucket.slice = { consumedTo: consumedTo - cost * unitSeconds(policy), end }
}

/**
 * Returns the units to take from the row for a caller who consumes `cost`: a part of what is left,
 * so that slices shrink as a bucket is used up, and the last units are taken one by one.
 */
export function chooseSlice(policy: RateLimitPolicy, cost: number, resetInSeconds: number): number {
  const remaining = (policy.windowSeconds - resetInSeconds) / unitSeconds(policy)
  return Math.max(cost, Math.floor(remaining * SLICE_SHARE))
}

/**
 * Returns the number of units below which a bucket counts as spent. A spent one is remembered, and
 * gets nothing back, so that nobody is refused from memory what the row has.
 */
export function spentBelow({ limit }: RateLimitPolicy): number {
  return Math.max(limit * SLICE_SHARE, 1)
}

/** Returns true if the row is known to refuse this cost. */
export function isKnownSpent(bucket: KnownBucket, policy: RateLimitPolicy, cost: number, now: number): boolean {
  const remaining = (policy.windowSeconds - resetInSeconds(bucket, now)) / unitSeconds(policy)
  return remaining < spentBelow(policy) && remaining < cost
}
