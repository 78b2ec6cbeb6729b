import { productionTiming, type Timing } from '../../../src/config/timing.ts'

/** How long the sandbox's access tokens live in a scenario, and what the gateways make of it. */
export type Pace = { accessTokenSeconds: number; timing: Timing }

// The life of an access token is what sets how often links rotate: 0.5 s instead of two hours. Everything that is measured against
// that life shrinks with it.
const SHORT_LIFE = {
  refreshBeforeEnd: 0.15,
  refreshJitter: 0.05,
  usableBeforeEnd: 0.02,
  probeBeforeEnd: 0.05,
  minTokenLife: 0.05,
  maxBackoff: 1,
}

/** Tokens of half a second under leases of ten: long enough for two stalls of three seconds in a row, and a call. */
export const fastPace: Pace = {
  accessTokenSeconds: 0.5,
  timing: Object.freeze({
    ...productionTiming,
    ...SHORT_LIFE,
    lease: 10,
    lapseMargin: 0.5,
    sendMargin: 1,
    callDeadline: 2,
    waitForRotation: 3,
    tweetClaim: 10,
    settleAfter: 1,
    settleAgainAfter: 2,
    waitForTweet: 4,
  }),
}

/** Tokens of half a second under the leases and deadlines of production. */
export const productionLeasePace: Pace = {
  accessTokenSeconds: 0.5,
  timing: Object.freeze({ ...productionTiming, ...SHORT_LIFE }),
}

/** Everything as in production. */
export const productionPace: Pace = { accessTokenSeconds: 7_200, timing: productionTiming }
