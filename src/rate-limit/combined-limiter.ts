// A rate limiter of a caller with a limit of their own who shares another one: what one limit grants
// and the other refuses is given back, so that both count the same requests.
import type { RateLimitName } from '../config/rate-limits.ts'
import type { Deps } from '../deps.ts'
import { returnCost } from './deposit.ts'
import { createRateLimiter, type RateLimit, type RateLimiter } from './limiter.ts'
import { giveBack } from './slices.ts'

/** A bucket: the name of its limit, and the id that it is counted for. */
type Bucket = readonly [name: RateLimitName, subject: string]

/**
 * Creates a rate limiter that consumes from both buckets, or from neither. Its result is that of the
 * limit that has refused; otherwise of the shared one where that has less left, and of the own one.
 */
export function createCombinedLimiter(deps: Deps, own: Bucket, shared: Bucket): RateLimiter {
  const [first, second] = [createRateLimiter(deps, ...own), createRateLimiter(deps, ...shared)]
  return {
    consume: async (cost) => {
      await first.consume(cost)
      try {
        await second.consume(cost)
      } catch (error) {
        await giveBackTo(deps, own, first.lastResult())
        throw error
      }
    },
    consumeHeld: (cost) => {
      if (!first.consumeHeld(cost)) return false
      if (second.consumeHeld(cost)) return true
      const { bucket, policy } = findBucket(deps, own)
      const granted = first.lastResult()
      if (policy !== undefined && granted !== null) giveBack(bucket, policy, granted.cost)
      return false
    },
    consumeFor: (work, isCharged) => first.consumeFor(() => second.consumeFor(work, isCharged), isCharged),
    isSpent: () => first.isSpent() || second.isSpent(),
    wasConsulted: first.wasConsulted,
    lastResult: () => chooseResult(first.lastResult(), second.lastResult()),
  }
}

async function giveBackTo(deps: Deps, own: Bucket, granted: RateLimit | null): Promise<void> {
  const { bucket, policy } = findBucket(deps, own)
  if (policy !== undefined && granted !== null) await returnCost(bucket, policy, granted.cost)
}

function findBucket({ config, rateLimitBuckets }: Deps, [name, subject]: Bucket) {
  return { bucket: rateLimitBuckets.open(name, subject), policy: config.rateLimits?.[name] }
}

// Two equal buckets are read one after the other, and one may have refilled by a unit in between: the
// name would change from one response to the next.
const ROUNDING_UNITS = 1

function chooseResult(own: RateLimit | null, shared: RateLimit | null): RateLimit | null {
  if (own === null || shared === null || own.retryInSeconds !== null) return own
  return shared.retryInSeconds !== null || shared.remaining < own.remaining - ROUNDING_UNITS ? shared : own
}
