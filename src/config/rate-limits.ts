// How much of what one caller may have. RATE_LIMITS changes it.

/** So many points at once, coming back evenly over so many seconds. */
export type RateLimitPolicy = { points: number; seconds: number }

/** What is limited, and for whom. */
export const defaultRateLimits = Object.freeze({
  /** The API, for a person: over all sessions, so that signing in again gives no more. */
  user: { points: 600, seconds: 60 },
  /** The API, for an API token: each has its own, so that a bot that runs away stops neither its owner nor the other bots. */
  token: { points: 600, seconds: 60 },
  /** The API, for an address that nobody is signed in at. The console asks once a page. */
  address: { points: 60, seconds: 60 },
  /** Both legs of signing in and the callback of linking, for an address: thirty sign-ins, since a class or an office shares one. */
  'sign-in': { points: 60, seconds: 60 },
  /** Link attempts started by a person, each of which is a row for a day. */
  link: { points: 30, seconds: 600 },
  /** Tweets sent for a person: a program that runs away costs the operator money. X itself allows 100. */
  post: { points: 20, seconds: 900 },
} satisfies Record<string, RateLimitPolicy>)

/** The name of a policy. */
export type RateLimitName = keyof typeof defaultRateLimits

/** All policies in force; null when nothing is limited. */
export type RateLimits = Readonly<Record<RateLimitName, RateLimitPolicy>> | null

/** Larger numbers are mistakes, and would not fit into the columns. The longest window is eleven days. */
const MOST = { points: 999_999_999, seconds: 999_999 } as const

/** Reads `RATE_LIMITS`: `off`, or `name=points/seconds` for those that differ from the defaults. */
export function readRateLimits(text: string | null, problems: string[]): RateLimits {
  if (text === 'off') return null
  const limits: Record<RateLimitName, RateLimitPolicy> = { ...defaultRateLimits }
  for (const entry of (text ?? '').split(/[,\s]+/).filter((entry) => entry !== '')) {
    const { name, points, seconds } = /^(?<name>[a-z-]+)=(?<points>\d+)\/(?<seconds>\d+)$/.exec(entry)?.groups ?? {}
    if (name === undefined || !isName(name) || Number(points) < 1 || Number(seconds) < 1) {
      problems.push(
        `RATE_LIMITS: "${entry}" is not off, nor one of ${Object.keys(defaultRateLimits).join(', ')} with points and seconds, as in user=600/60.`,
      )
    } else if (Number(points) > MOST.points || Number(seconds) > MOST.seconds) {
      const unit = Number(points) > MOST.points ? 'points' : 'seconds'
      problems.push(`RATE_LIMITS: "${entry}" has too many ${unit}. Give ${MOST[unit].toLocaleString('en')} at most.`)
    } else {
      limits[name] = { points: Number(points), seconds: Number(seconds) }
    }
  }
  return Object.freeze(limits)
}

function isName(text: string): text is RateLimitName {
  return Object.hasOwn(defaultRateLimits, text)
}
