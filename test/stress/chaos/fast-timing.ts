import { productionTiming, type Timing } from '../../../src/config/timing.ts'

/**
 * How long the sandbox's access tokens are valid in a scenario, and the gateways' timing for that.
 */
export type Pace = { accessTokenSeconds: number; timing: Timing }

// The lifetime of access tokens sets how often connections refresh: 0.5 s instead of two hours.
// Everything measured against that lifetime shrinks with it.
const SHORT_LIFE = {
  refreshBeforeEndSeconds: 0.15,
  refreshJitterSeconds: 0.05,
  usableBeforeEndSeconds: 0.02,
  probeBeforeEndSeconds: 0.05,
  minTokenLifetimeSeconds: 0.05,
  maxBackoffSeconds: 1,
}

/**
 * Tokens of half a second under leases of ten seconds: long enough for two stalls of three seconds
 * in a row, and a call.
 */
export const fastPace: Pace = {
  accessTokenSeconds: 0.5,
  timing: Object.freeze({
    ...productionTiming,
    ...SHORT_LIFE,
    leaseSeconds: 10,
    lapseMarginSeconds: 0.5,
    sendMarginSeconds: 1,
    callDeadlineSeconds: 2,
    waitForRefreshSeconds: 3,
    tweetClaimSeconds: 10,
    reconcileAfterSeconds: 1,
    reconcileAgainAfterSeconds: 2,
    waitForTweetSeconds: 4,
  }),
}

/** Tokens of half a second under the leases and deadlines of production. */
export const productionLeasePace: Pace = {
  accessTokenSeconds: 0.5,
  timing: Object.freeze({ ...productionTiming, ...SHORT_LIFE }),
}

/** Everything as in production. */
export const productionPace: Pace = { accessTokenSeconds: 7_200, timing: productionTiming }
