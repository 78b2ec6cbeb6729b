// GCRA rate limiter, shared by all instances. A bucket is one moment, at which it is full again.
// Consuming moves it forward; a moment in the past, like a missing row, is a full bucket. An instance
// takes slices of the limits of API requests, so that most requests need no statement. All instances
// together grant no more than the limit and the rests of one slice each.
import type { RateLimitName, RateLimitPolicy } from '../config/rate-limits.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { KnownBucket } from '../process/rate-limit-buckets.ts'
import { withDeposit } from './deposit.ts'
import { consumeFromRow, readRow } from './rows.ts'
import { chooseSlice, consumeSlice, isKnownSpent, remainingUnits, resetInSeconds, unitSeconds } from './slices.ts'

// The others have few units, each of which is expensive: they are taken one by one.
const slicedLimits: ReadonlySet<RateLimitName> = new Set(['total', 'user', 'token', 'address'])
// Each try fails only if other instances consume meanwhile.
const MAX_TRIES = 10

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
  /**
   * @throws AppError RATE_LIMITED, with nothing consumed. After ten refusals of a cost above 1 in a
   * window, each further one consumes 1: a document was parsed to calculate its cost.
   */
  consume(cost: number): Promise<void>
  /**
   * Consumes what this process can grant from memory. Returns false, with nothing consumed, where
   * `consume` has to decide.
   */
  consumeHeld(cost: number): boolean
  /**
   * Consumes a cost of 1, runs `work`, and gives the cost back unless `isCharged` of the result.
   * @throws AppError RATE_LIMITED, with `work` not run.
   */
  consumeFor<T>(work: () => Promise<T>, isCharged: (result: T) => boolean): Promise<T>
  /** Returns true if not even a cost of 1 is left, as far as this process knows. Asks nothing. */
  isSpent(): boolean
  /** True after the first call of `consume` or `consumeHeld`, granted or refused. */
  wasConsulted(): boolean
  /**
   * The result of the last `consume`, after all that it has charged; null before the first one, with
   * RATE_LIMITS=off, and when the cost was given back.
   */
  lastResult(): RateLimit | null
}

/**
 * Creates the rate limiter of `subject` (a user's or API token's id, or an address) for one limit.
 */
export function createRateLimiter(deps: Deps, name: RateLimitName, subject: string): RateLimiter {
  let lastResult: RateLimit | null = null
  let wasConsulted = false
  const consume = async (cost: number) => {
    wasConsulted = true
    lastResult = await tryConsume(deps, name, subject, cost)
    if (lastResult === null) return
    if (lastResult.retryInSeconds !== null && cost > 1) lastResult = await chargeRefusal(deps, subject, lastResult)
    assertGranted(deps, lastResult)
  }
  return {
    consume,
    consumeHeld: (cost) => {
      const policy = deps.config.rateLimits?.[name]
      const result = policy === undefined ? null : consumeHeld(deps, name, subject, policy, cost)
      if (policy !== undefined && result === null) return false
      wasConsulted = true
      lastResult = result
      return true
    },
    consumeFor: (work, isCharged) => {
      const policy = deps.config.rateLimits?.[name]
      if (policy === undefined) return work()
      const open = () => deps.rateLimitBuckets.open(name, subject)
      const onReturned = () => {
        lastResult = null
      }
      return withDeposit({ open, policy, consume: () => consume(1), onReturned }, work, isCharged)
    },
    isSpent: () => isRateLimitSpent(deps, name, subject, 1),
    wasConsulted: () => wasConsulted,
    lastResult: () => lastResult,
  }
}

const FREE_REFUSALS = 10

// Otherwise a caller with less left than the cost of its documents has them parsed for nothing.
// Returns the refusal with what is left after the charge.
async function chargeRefusal(deps: Deps, subject: string, refused: RateLimit): Promise<RateLimit> {
  const { name, cost } = refused
  const policy = deps.config.rateLimits?.[name]
  if (policy === undefined) return refused
  const { rateLimitBuckets: buckets } = deps
  const bucket = buckets.open(name, subject)
  const now = buckets.nowSeconds()
  if (now - bucket.refusals.since > policy.windowSeconds) bucket.refusals = { since: now, count: 0 }
  bucket.refusals.count += 1
  if (bucket.refusals.count <= FREE_REFUSALS) return refused
  const charged = await tryConsume(deps, name, subject, 1)
  if (charged === null) return refused
  return describe(name, policy, { cost, isGranted: false, resetInSeconds: charged.resetInSeconds })
}

/** Consumes from the limit of `subject`. @throws AppError RATE_LIMITED, with nothing consumed. */
export async function consumeRateLimit(deps: Deps, name: RateLimitName, subject: string, cost: number): Promise<void> {
  await createRateLimiter(deps, name, subject).consume(cost)
}

/**
 * Returns true if the limit of `subject` is known to be used up, so that `consumeRateLimit` will
 * refuse this cost. Asks nothing.
 */
export function isRateLimitSpent(deps: Deps, name: RateLimitName, subject: string, cost: number): boolean {
  const policy = deps.config.rateLimits?.[name]
  if (policy === undefined) return false
  const { rateLimitBuckets: buckets } = deps
  const bucket = buckets.open(name, subject)
  return isKnownSpent(bucket, policy, cost, buckets.nowSeconds() + bucket.clockAheadSeconds)
}

// Null without a slice that is large enough.
function consumeHeld(
  { rateLimitBuckets: buckets }: Deps,
  name: RateLimitName,
  subject: string,
  policy: RateLimitPolicy,
  requestedCost: number,
): RateLimit | null {
  const cost = Math.min(requestedCost, policy.limit)
  const bucket = buckets.open(name, subject)
  const now = buckets.nowSeconds() + bucket.clockAheadSeconds
  if (!consumeSlice(bucket, policy, cost, now)) return null
  return describe(name, policy, { cost, isGranted: true, resetInSeconds: resetInSeconds(bucket, now) })
}

// Decides from memory where that is certain. Otherwise the row of the bucket is asked, for a sliced
// limit by one statement at a time: the callers that wait for it look at its result first. After a
// failure one of them asks again, and after a second all give up: while the database hangs, they
// would otherwise wait for the deadlines of one another.
async function tryConsume(
  deps: Deps,
  name: RateLimitName,
  subject: string,
  requestedCost: number,
): Promise<RateLimit | null> {
  const policy = deps.config.rateLimits?.[name]
  if (policy === undefined) return null
  const { rateLimitBuckets: buckets } = deps
  // A request above the limit could never be granted: it takes the whole bucket instead.
  const cost = Math.min(requestedCost, policy.limit)
  const isSliced = slicedLimits.has(name)
  for (let failures = 0; ; ) {
    const bucket = buckets.open(name, subject)
    const now = buckets.nowSeconds() + bucket.clockAheadSeconds
    const isGranted = consumeSlice(bucket, policy, cost, now)
    if (isGranted || isKnownSpent(bucket, policy, cost, now))
      return describe(name, policy, { cost, isGranted, resetInSeconds: resetInSeconds(bucket, now) })
    if (bucket.asking === null) {
      const asking = isSliced
        ? whileOthersWait(bucket, takeSlice(deps, bucket, policy, cost))
        : takeCost(deps, bucket, policy, cost)
      return describe(name, policy, { cost, ...(await asking) })
    }
    try {
      await bucket.asking
    } catch (error) {
      failures += 1
      if (failures === 2) throw error
    }
  }
}

function whileOthersWait(bucket: KnownBucket, decision: Promise<Decision>): Promise<Decision> {
  const asking = decision.finally(() => {
    bucket.asking = null
  })
  bucket.asking = asking
  return asking
}

type Decision = { isGranted: boolean; resetInSeconds: number }

// A slice is taken outside of transactions, whose rollback would return it to the row alone.
async function takeSlice(deps: Deps, bucket: KnownBucket, policy: RateLimitPolicy, cost: number): Promise<Decision> {
  const { rateLimitBuckets: buckets } = deps
  const { slice } = bucket
  let reset = resetInSeconds(bucket, buckets.nowSeconds() + bucket.clockAheadSeconds)
  // The statement returns it to the row. After a lost response it is unknown whether it did.
  bucket.slice = null
  for (let tries = 1; ; tries++) {
    const units = chooseSlice(policy, cost, reset)
    const sentAt = buckets.nowSeconds()
    const taken = await consumeFromRow(deps, { ...bucket, slice }, policy, { cost, units })
    const row = taken ?? (await readRow(deps, bucket))
    // The sweep has deleted the row since, because the bucket is full.
    if (row === null) continue
    Object.assign(bucket, { fullAt: row.fullAt, clockAheadSeconds: row.now - sentAt })
    if (taken !== null) {
      bucket.slice = { consumedTo: taken.fullAt - (units - cost) * unitSeconds(policy), end: taken.fullAt }
      return { isGranted: true, resetInSeconds: resetInSeconds(bucket, taken.now) }
    }
    reset = resetInSeconds({ fullAt: row.fullAt, slice }, row.now)
    if (cost * unitSeconds(policy) > policy.windowSeconds - reset || tries === MAX_TRIES) {
      bucket.slice = slice
      return { isGranted: false, resetInSeconds: reset }
    }
    // Other instances have taken so much that there is a smaller slice only.
  }
}

// May run in a transaction that is rolled back: what it has consumed is not remembered.
async function takeCost(deps: Deps, bucket: KnownBucket, policy: RateLimitPolicy, cost: number): Promise<Decision> {
  for (;;) {
    const sentAt = deps.rateLimitBuckets.nowSeconds()
    const taken = await consumeFromRow(deps, bucket, policy, { cost, units: cost })
    if (taken !== null) return { isGranted: true, resetInSeconds: Math.max(taken.fullAt - taken.now, 0) }
    const row = await readRow(deps, bucket)
    if (row === null) continue
    Object.assign(bucket, { fullAt: row.fullAt, clockAheadSeconds: row.now - sentAt })
    return { isGranted: false, resetInSeconds: resetInSeconds(bucket, row.now) }
  }
}

function describe(
  name: RateLimitName,
  policy: RateLimitPolicy,
  { cost, isGranted, resetInSeconds }: Decision & { cost: number },
): RateLimit {
  const { limit, windowSeconds } = policy
  const waitSeconds = Math.max(resetInSeconds + cost * unitSeconds(policy) - windowSeconds, 0)
  return {
    name,
    limit,
    windowSeconds,
    cost,
    remaining: remainingUnits(policy, resetInSeconds),
    resetInSeconds,
    retryInSeconds: isGranted ? null : waitSeconds,
  }
}

function assertGranted(deps: Deps, { retryInSeconds, cost, remaining, limit, windowSeconds }: RateLimit): void {
  if (retryInSeconds === null) return
  const wait = Math.max(Math.ceil(retryInSeconds), 1)
  throw new AppError('RATE_LIMITED', {
    detail: `This request costs ${cost}, and ${remaining} remain of this gateway's limit of ${limit} per ${windowSeconds} s. Try again in ${wait} s.`,
    retryAt: new Date(deps.clock.now().getTime() + retryInSeconds * 1000),
  })
}
