import { defaultRateLimits } from '../../src/config/rate-limits.ts'

/**
 * Rate limits that are counted but never reached, for tests that send more requests than users do. The
 * one that a user's sessions and API tokens share is larger, as what is left of it: responses name the
 * limit with less left, and that of two equal ones would change from request to request.
 */
export const generousLimits = Object.keys(defaultRateLimits)
  .map((name) => `${name}=${name === 'total' ? 10_000_000 : 1_000_000}/60`)
  .join()
