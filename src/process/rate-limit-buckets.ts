// The buckets of rate limits as this process knows them: the slices that it has taken from their
// rows, and the rows that it has found used up. This registry is part of `Deps`, so it is below the
// features; rate-limit/ decides by it. A bucket that is dropped loses its slice, which lapses as
// the bucket refills.

/**
 * A part of a bucket that this process has taken. Its moments are in seconds since 1970 by the
 * database's clock. The part between them is left, and lapses as time passes it.
 */
export type Slice = { readonly consumedTo: number; readonly end: number }

/** A bucket as this process knows it. */
export type KnownBucket = {
  readonly name: string
  readonly subject: string
  /** `full_at` of the row when it was last read; 0 before. */
  fullAt: number
  /** Null without one. */
  slice: Slice | null
  /** The database's clock minus the time of the registry, in seconds. */
  clockAheadSeconds: number
  /** Settles when the statement that takes a slice has ended, as it has; null while there is none. */
  asking: Promise<unknown> | null
  /** How many requests were refused that cost more than was left, in a window since this moment. */
  refusals: { since: number; count: number }
  /** Deposits on work that is under way. Each settles when it has been kept or given back. */
  readonly deposits: Set<Promise<void>>
}

/** The registry of the buckets. */
export type RateLimitBuckets = {
  /** Returns the bucket, an unknown one as new. */
  open(name: string, subject: string): KnownBucket
  /** All buckets, the last used first. */
  list(): KnownBucket[]
  /** The time in seconds. It never goes back. */
  nowSeconds(): number
}

// About 300 bytes each. A caller whose bucket was dropped costs a statement more.
const MAX_BUCKETS = 10_000

/**
 * Creates the registry.
 * @param now the process's clock. Where it is set back, the time goes on by the monotonic one.
 */
export function createRateLimitBuckets(
  now: () => Date,
  { maxBuckets = MAX_BUCKETS, monotonicMilliseconds = () => performance.now() } = {},
): RateLimitBuckets {
  // In the order of their last use.
  const buckets = new Map<string, KnownBucket>()
  let offset = Number.NEGATIVE_INFINITY
  return {
    open: (name, subject) => {
      const key = `${name} ${subject}`
      const bucket = buckets.get(key) ?? createBucket(name, subject)
      buckets.delete(key)
      buckets.set(key, bucket)
      if (buckets.size > maxBuckets) {
        const [oldest] = buckets.keys()
        if (oldest !== undefined) buckets.delete(oldest)
      }
      return bucket
    },
    list: () => [...buckets.values()].toReversed(),
    nowSeconds: () => {
      const monotonic = monotonicMilliseconds()
      offset = Math.max(offset, now().getTime() - monotonic)
      return (monotonic + offset) / 1000
    },
  }
}

function createBucket(name: string, subject: string): KnownBucket {
  return {
    ...{ name, subject, fullAt: 0, slice: null, clockAheadSeconds: 0, asking: null },
    refusals: { since: Number.NEGATIVE_INFINITY, count: 0 },
    deposits: new Set(),
  }
}
