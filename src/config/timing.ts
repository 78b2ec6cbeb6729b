/** How long things take and wait, in seconds. One object, so that tests can run the same machine with a faster clock. */
export type Timing = {
  /** An access token is refreshed when it has less than this left. Not early and often: every rotation is a risk. */
  refreshBeforeEnd: number
  /** Spread of the above, so that accounts linked in one minute do not refresh in one second. */
  refreshJitter: number
  /** A token that ends sooner than a call takes is as good as ended. */
  usableBeforeEnd: number
  /** How long a rotation's holder has the row to itself: a whole call with its commit, and no more, so that a killed holder's link is not stuck for long. */
  lease: number
  /** A lapsed lease is left alone for this long: clocks and schedulers are not exact. */
  lapseMargin: number
  /** What must be left of a lease or claim when the socket is written to, beyond the call itself. */
  sendMargin: number
  /**
   * A refresh token that may be spent is tried only when the access token has less than this left: X answers a replay by killing the
   * family, and with it an access token that is good for up to two hours.
   */
  probeBeforeEnd: number
  /** The longest pause between tries at X. */
  maxBackoff: number
  /** Bounds on what X says of an access token's life; X's own is two hours. */
  minTokenLife: number
  maxTokenLife: number
  /** How long an access token that came by a refresh, and that X has never accepted, is kept when X refuses it. */
  keepRefused: number
  /** How long a caller waits for somebody else's rotation. */
  waitForRotation: number
  /** How long a call that X failed in passing is repeated while a person waits in a browser. */
  personPatience: number
  /** One outgoing call, from start to the last byte of the answer. */
  callDeadline: number
  /** How long a tweet's sender has for everything; afterwards the row belongs to the sweeper. */
  tweetClaim: number
  /** When a tweet in doubt is first looked for in the timeline, and when again if it was not there. */
  settleAfter: number
  settleAgainAfter: number
  /** A refresh token that was issued this long ago, and not used since, is rotated before its six months are over. */
  idleRefresh: number
  /** How long a caller waits for the outcome of a tweet that another call is sending. */
  waitForTweet: number
  /** How long a callback that comes a second time waits for the outcome of the first one. Below the minute that proxies allow. */
  waitForAttempt: number
  /** How often a stream of events looks whether it is still allowed, and whether it was told of everything. */
  streamRecheck: number
  /** After so long a stream ends, and its client comes back where it was: to another instance, perhaps, and newly identified. */
  streamLife: number
}

/** What production runs with. */
export const productionTiming: Timing = Object.freeze({
  refreshBeforeEnd: 300,
  refreshJitter: 30,
  usableBeforeEnd: 15,
  lease: 60,
  lapseMargin: 10,
  sendMargin: 10,
  probeBeforeEnd: 30,
  maxBackoff: 300,
  minTokenLife: 60,
  maxTokenLife: 86_400,
  keepRefused: 900,
  waitForRotation: 8,
  personPatience: 6,
  callDeadline: 10,
  tweetClaim: 60,
  settleAfter: 15,
  settleAgainAfter: 60,
  idleRefresh: 150 * 86_400,
  waitForTweet: 15,
  waitForAttempt: 45,
  streamRecheck: 10,
  streamLife: 900,
})
