/** How long things take and wait, in seconds. One object, so that tests can run the same machine with a faster clock. */
export type Timing = {
  /** An access token is refreshed when it has less than this left. Not early and often: every rotation is a risk. */
  refreshBeforeEndSeconds: number
  /** Spread of the above, so that accounts linked in one minute do not refresh in one second. */
  refreshJitterSeconds: number
  /** A token that ends sooner than a call takes is as good as ended. */
  usableBeforeEndSeconds: number
  /** How long a rotation's holder has the row to itself: a whole call with its commit, and no more, so that a killed holder's link is not stuck for long. */
  leaseSeconds: number
  /** A lapsed lease is left alone for this long: clocks and schedulers are not exact. */
  lapseMarginSeconds: number
  /** What must be left of a lease or claim when the socket is written to, beyond the call itself. */
  sendMarginSeconds: number
  /**
   * A refresh token that may be spent is tried only when the access token has less than this left: X answers a replay by killing the
   * family, and with it an access token that is good for up to two hours.
   */
  probeBeforeEndSeconds: number
  /** The longest pause between tries at X. */
  maxBackoffSeconds: number
  /** Bounds on what X says of an access token's life; X's own is two hours. */
  minTokenLifetimeSeconds: number
  maxTokenLifetimeSeconds: number
  /** How long an access token that came by a refresh, and that X has never accepted, is kept when X refuses it. */
  keepRefusedSeconds: number
  /** How long a caller waits for somebody else's rotation. */
  waitForRefreshSeconds: number
  /** How long a call that X failed in passing is repeated while a person waits in a browser. */
  interactiveRetrySeconds: number
  /** One outgoing call, from start to the last byte of the answer. */
  callDeadlineSeconds: number
  /** How long a tweet's sender has for everything; afterwards the row belongs to the sweeper. */
  tweetClaimSeconds: number
  /** When a tweet in doubt is first looked for in the timeline, and when again if it was not there. */
  reconcileAfterSeconds: number
  reconcileAgainAfterSeconds: number
  /** A refresh token that was issued this long ago, and not used since, is rotated before its six months are over. */
  idleRefreshSeconds: number
  /** How long a caller waits for the outcome of a tweet that another call is sending. */
  waitForTweetSeconds: number
  /** How long a callback that comes a second time waits for the outcome of the first one. Below the minute that proxies allow. */
  waitForAttemptSeconds: number
  /** How often a stream of events looks whether it is still allowed, and whether it was told of everything. */
  streamRecheckSeconds: number
  /** After so long a stream ends, and its client comes back where it was: to another instance, perhaps, and newly identified. */
  streamLifetimeSeconds: number
}

/** What production runs with. */
export const productionTiming: Timing = Object.freeze({
  refreshBeforeEndSeconds: 300,
  refreshJitterSeconds: 30,
  usableBeforeEndSeconds: 15,
  leaseSeconds: 60,
  lapseMarginSeconds: 10,
  sendMarginSeconds: 10,
  probeBeforeEndSeconds: 30,
  maxBackoffSeconds: 300,
  minTokenLifetimeSeconds: 60,
  maxTokenLifetimeSeconds: 86_400,
  keepRefusedSeconds: 900,
  waitForRefreshSeconds: 8,
  interactiveRetrySeconds: 6,
  callDeadlineSeconds: 10,
  tweetClaimSeconds: 60,
  reconcileAfterSeconds: 15,
  reconcileAgainAfterSeconds: 60,
  idleRefreshSeconds: 150 * 86_400,
  waitForTweetSeconds: 15,
  waitForAttemptSeconds: 45,
  streamRecheckSeconds: 10,
  streamLifetimeSeconds: 900,
})
