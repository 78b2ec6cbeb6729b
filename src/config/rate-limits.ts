// The rate limits of one caller. The variable RATE_LIMITS overrides single ones.

/**
 * A rate limit for GCRA: a caller may use up to `limit` at once, and gets all of it back evenly
 * over `windowSeconds`.
 */
export type RateLimitPolicy = { limit: number; windowSeconds: number }

/** The limits that apply where RATE_LIMITS does not name them. */
export const defaultRateLimits = Object.freeze({
  /**
   * API requests of a user in all sessions and with all API tokens: more tokens do not give more. One
   * bot in a loop leaves its owner's sessions what they may have.
   */
  total: { limit: 1200, windowSeconds: 60 },
  /** API requests of a user, over all sessions: a new sign-in does not reset the limit. */
  user: { limit: 600, windowSeconds: 60 },
  /** API requests of one API token: a bot in a loop affects neither its owner nor another bot. */
  token: { limit: 600, windowSeconds: 60 },
  /**
   * API requests without a session from one address, and its look-ups of unknown session cookies and
   * API tokens. The console sends one for each page.
   */
  address: { limit: 60, windowSeconds: 60 },
  /**
   * Requests to the sign-in routes and to the callback of X, for an address. A sign-in takes two,
   * and a class or an office shares one address.
   */
  'sign-in': { limit: 60, windowSeconds: 60 },
  /** Connect attempts that a user starts. Each is a row that is kept for a day. */
  connect: { limit: 30, windowSeconds: 600 },
  /**
   * Changes of a user that record an event or a row each, of those that nothing else bounds: API
   * tokens and webhook endpoints created, tests and replays of webhooks, visibility.
   */
  change: { limit: 60, windowSeconds: 600 },
  /** Tweets posted for a user. A runaway program costs the operator money. X itself allows 100. */
  post: { limit: 20, windowSeconds: 900 },
} satisfies Record<string, RateLimitPolicy>)

/** The name of a rate limit, as in RATE_LIMITS and in the column `rate_limits.name`. */
export type RateLimitName = keyof typeof defaultRateLimits

/** The limits in force; null with RATE_LIMITS=off. */
export type RateLimits = Readonly<Record<RateLimitName, RateLimitPolicy>> | null

// Larger numbers are mistakes and would overflow the columns. The longest window is eleven days.
const MAX = { limit: 999_999_999, seconds: 999_999 } as const

/**
 * Parses RATE_LIMITS: `off`, or `name=limit/seconds` for each limit that differs from the default.
 * @param problems receives a sentence for each entry that cannot be parsed.
 */
export function parseRateLimits(text: string | null, problems: string[]): RateLimits {
  if (text === 'off') return null
  const limits: Record<RateLimitName, RateLimitPolicy> = { ...defaultRateLimits }
  for (const entry of (text ?? '').split(/[,\s]+/).filter((entry) => entry !== '')) {
    const { name, limit, seconds } = /^(?<name>[a-z-]+)=(?<limit>\d+)\/(?<seconds>\d+)$/.exec(entry)?.groups ?? {}
    if (name === undefined || !isName(name) || Number(limit) < 1 || Number(seconds) < 1) {
      problems.push(
        `RATE_LIMITS: "${entry}" is neither off nor one of ${Object.keys(defaultRateLimits).join(', ')} with a limit and a window in seconds, as in user=600/60.`,
      )
    } else if (Number(limit) > MAX.limit) {
      problems.push(`RATE_LIMITS: the limit in "${entry}" is too large. The maximum is ${format(MAX.limit)}.`)
    } else if (Number(seconds) > MAX.seconds) {
      problems.push(`RATE_LIMITS: the window in "${entry}" is too long. The maximum is ${format(MAX.seconds)} seconds.`)
    } else {
      limits[name] = { limit: Number(limit), windowSeconds: Number(seconds) }
    }
  }
  return Object.freeze(limits)
}

function isName(text: string): text is RateLimitName {
  return Object.hasOwn(defaultRateLimits, text)
}

function format(number: number): string {
  return number.toLocaleString('en')
}
