import { defaultRateLimits } from '../../src/config/rate-limits.ts'

/** Limits that are counted and never met, for whoever asks more of a gateway than people do. */
export const generousLimits = Object.keys(defaultRateLimits)
  .map((name) => `${name}=1000000/60`)
  .join()
