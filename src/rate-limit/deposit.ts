// Deposits: a cost that is charged before some work, and given back when the work turns out to be
// free. So a caller cannot have more of it under way than its limit allows.
import type { RateLimitPolicy } from '../config/rate-limits.ts'
import { AppError } from '../errors.ts'
import type { KnownBucket } from '../process/rate-limit-buckets.ts'
import { giveBack } from './slices.ts'

/**
 * Runs `work` on a deposit. While the limit is used up by the deposits of others, it waits for
 * these: they may come back.
 * @param open returns the bucket that `consume` consumes a cost of 1 from.
 * @param onReturned is called when the deposit was given back.
 * @param isCharged returns true for a result that keeps the deposit. An error returns it.
 * @throws AppError RATE_LIMITED
 */
export async function withDeposit<T>(
  {
    open,
    policy,
    consume,
    onReturned,
  }: { open(): KnownBucket; policy: RateLimitPolicy; consume(): Promise<void>; onReturned(): void },
  work: () => Promise<T>,
  isCharged: (result: T) => boolean,
): Promise<T> {
  await consumeOrWait(open, consume)
  const { promise, resolve } = Promise.withResolvers<void>()
  open().deposits.add(promise)
  let isFree = true
  try {
    const result = await work()
    isFree = !isCharged(result)
    return result
  } finally {
    if (isFree) {
      await returnCost(open(), policy, 1)
      onReturned()
    }
    open().deposits.delete(promise)
    resolve()
  }
}

async function consumeOrWait(open: () => KnownBucket, consume: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await consume()
    } catch (error) {
      const { deposits } = open()
      if (!(error instanceof AppError) || deposits.size === 0) throw error
      await Promise.all(deposits)
    }
  }
}

/** Gives a cost back to the bucket that it was consumed from. */
export async function returnCost(bucket: KnownBucket, policy: RateLimitPolicy, cost: number): Promise<void> {
  // The statement that takes a slice replaces what is known of the bucket.
  while (bucket.asking !== null) await bucket.asking.catch(() => {})
  giveBack(bucket, policy, cost)
}
