/**
 * Durations, in seconds. They are one object, so that tests can run the same code with shorter
 * ones. They count from the time of a statement, which may be the time before the statement waited
 * for a lock, up to 2 s (`lock_timeout`) earlier: margins must be larger.
 */
export type Timing = {
  /**
   * An access token is refreshed when less than this is left of its lifetime. Each refresh risks
   * the grant, so it is not done earlier.
   */
  refreshBeforeEndSeconds: number
  /**
   * The jitter of `refreshBeforeEndSeconds`: accounts connected at the same time refresh at
   * different times.
   */
  refreshJitterSeconds: number
  /** An access token with less than this left counts as expired: it may expire during a call. */
  usableBeforeEndSeconds: number
  /**
   * The duration of a refresh lease: a whole call with its commit, and not more, so that an account
   * is not blocked for long by a process that was killed.
   */
  leaseSeconds: number
  /** How long an expired lease is still respected, because clocks and schedulers are inexact. */
  lapseMarginSeconds: number
  /**
   * What must be left of a lease or claim, beyond the duration of the call, when the request is
   * sent.
   */
  sendMarginSeconds: number
  /**
   * A refresh token that may be spent is tried only when the access token has less than this left:
   * X may revoke the whole grant after a replay (RFC 9700 section 4.14.2), and with it an access
   * token that is valid for up to two hours.
   */
  probeBeforeEndSeconds: number
  /** The longest pause between tries of a call to X. */
  maxBackoffSeconds: number
  /** The bounds of `expires_in` in X's token responses. X issues access tokens for two hours. */
  minTokenLifetimeSeconds: number
  maxTokenLifetimeSeconds: number
  /** How long a refreshed access token that X has never accepted is kept when X responds 401. */
  keepRefusedSeconds: number
  /** How long a caller waits for the refresh of another caller. */
  waitForRefreshSeconds: number
  /** How long a call with a temporary failure is retried while a person waits in a browser. */
  interactiveRetrySeconds: number
  /** The deadline of one outgoing call, from its start to the last byte of the response. */
  callDeadlineSeconds: number
  /** How long a sender has for its tweet. Afterwards the sweep handles the row. */
  tweetClaimSeconds: number
  /** When an UNKNOWN tweet is first looked for in the timeline. */
  reconcileAfterSeconds: number
  /** When an UNKNOWN tweet is looked for again after it was absent. */
  reconcileAgainAfterSeconds: number
  /** The age at which an unused refresh token is refreshed, before it expires after six months. */
  idleRefreshSeconds: number
  /** How long a caller waits for the outcome of a tweet that another call is sending. */
  waitForTweetSeconds: number
  /**
   * How long a repeated callback waits for the outcome of the first one. Below the minute that
   * proxies allow.
   */
  waitForAttemptSeconds: number
  /**
   * How often an event stream checks that its viewer is still authenticated, and reads events whose
   * notification was lost.
   */
  streamRecheckSeconds: number
  /**
   * The lifetime of an event stream. Its client then reconnects where it stopped, authenticates
   * again, and may reach another instance.
   */
  streamLifetimeSeconds: number
  /**
   * How long a webhook receiver may take before its endpoint gets the lane of slow receivers, and
   * the attempt one of their workers.
   */
  webhookPromptSeconds: number
  /**
   * How long ago the last good run of a maintenance task is when the task is late: ten of its
   * periods.
   */
  taskBehindSeconds: number
  /** How long what the database has said to /readyz is the response to all who ask. */
  readinessKeptSeconds: number
  /** How long an instance that was killed still has the stream of X's Activity API. */
  activityLeaseSeconds: number
  /** X sends at least an empty line every 20 s: a stream that is silent for longer is dead. */
  activityIdleSeconds: number
  /** How long X is not asked again after it has refused its Activity API to the app. */
  activityRefusedSeconds: number
  /**
   * How long a connection stays whose client reads nothing of a response; at most twice as long.
   */
  unreadResponseSeconds: number
}

/** The values in production. */
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
  webhookPromptSeconds: 2,
  taskBehindSeconds: 600,
  readinessKeptSeconds: 1,
  activityLeaseSeconds: 30,
  activityIdleSeconds: 45,
  activityRefusedSeconds: 3_600,
  unreadResponseSeconds: 10,
})
