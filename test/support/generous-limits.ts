import { defaultRateLimits } from '../../src/config/rate-limits.ts'

/**
 * Rate limits that are counted but never reached, for tests that send more requests than users do.
 */
export const generousLimits = Object.keys(defaultRateLimits)
  .map((name) => `${name}=1000000/60`)
  .join()
