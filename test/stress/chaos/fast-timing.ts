import { productionTiming, type Timing } from '../../../src/config/timing.ts'

/** How long the sandbox's access tokens live in a scenario, and what the gateways make of it. */
export type Pace = { accessTokenSeconds: number; timing: Timing }

// The life of an access token is what sets how often links rotate: 0.5 s instead of two hours. Everything that is measured against
// that life shrinks with it.
const SHORT_LIFE = {
  refreshBeforeEndSeconds: 0.15,
  refreshJitterSeconds: 0.05,
  usableBeforeEndSeconds: 0.02,
  probeBeforeEndSeconds: 0.05,
  minTokenLifetimeSeconds: 0.05,
  maxBackoffSeconds: 1,
}

/** Tokens of half a second under leases of ten: long enough for two stalls of three seconds in a row, and a call. */
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
