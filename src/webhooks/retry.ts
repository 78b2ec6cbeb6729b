// The retry schedule of deliveries: exponential backoff with full jitter.

/** The number of attempts after which a delivery is dead. */
export const MAX_ATTEMPTS = 10

const FIRST_CEILING_SECONDS = 30
const GROWTH = 4
const LAST_CEILING_SECONDS = 16 * 3_600
// A receiver's Retry-After may exceed the schedule's own delays up to this.
const MAX_RETRY_AFTER_SECONDS = 86_400

/**
 * The delay in seconds after this many attempts: random up to a ceiling that grows fourfold, so
 * that a receiver that has recovered does not get all messages at once, and at least what the
 * receiver asked for.
 * @param random from 0 (included) to 1 (excluded).
 * @param retryAfterSeconds the receiver's Retry-After; null when it sent none.
 */
export function retryDelaySeconds(attempts: number, random: number, retryAfterSeconds: number | null): number {
  const ceiling = Math.min(FIRST_CEILING_SECONDS * GROWTH ** (attempts - 1), LAST_CEILING_SECONDS)
  return Math.max(random * ceiling, Math.min(retryAfterSeconds ?? 0, MAX_RETRY_AFTER_SECONDS))
}

/**
 * Parses a Retry-After header, a number of seconds or a date (RFC 9110 section 10.2.3), into
 * seconds; null when it is neither.
 */
export function parseRetryAfterSeconds(header: string | string[] | undefined, now: Date): number | null {
  if (typeof header !== 'string') return null
  if (/^\d{1,9}$/.test(header)) return Number(header)
  const moment = Date.parse(header)
  return Number.isNaN(moment) ? null : Math.max(0, (moment - now.getTime()) / 1000)
}
