// When a message that has not arrived is sent again.

/** How often a message is sent before it is given up. */
export const MAX_ATTEMPTS = 10

const FIRST_CEILING_SECONDS = 30
const GROWTH = 4
const LAST_CEILING_SECONDS = 16 * 3_600
// A receiver may ask for more patience than we have by ourselves, up to this.
const MAX_RETRY_AFTER_SECONDS = 86_400

/**
 * How long to wait after this many tries, in seconds: anything up to a ceiling that grows fourfold (full jitter), so that receivers are
 * not hit by all messages at once when they are back; and no less than the receiver asked for.
 * @param random from 0 up to 1.
 * @param retryAfterSeconds what the receiver asked for; null when it did not.
 */
export function retryDelaySeconds(attempts: number, random: number, retryAfterSeconds: number | null): number {
  const ceiling = Math.min(FIRST_CEILING_SECONDS * GROWTH ** (attempts - 1), LAST_CEILING_SECONDS)
  return Math.max(random * ceiling, Math.min(retryAfterSeconds ?? 0, MAX_RETRY_AFTER_SECONDS))
}

/** What a Retry-After header asks for (RFC 9110 section 10.2.3, seconds or a date), in seconds; null where it says nothing. */
export function parseRetryAfterSeconds(header: string | string[] | undefined, now: Date): number | null {
  if (typeof header !== 'string') return null
  if (/^\d{1,9}$/.test(header)) return Number(header)
  const moment = Date.parse(header)
  return Number.isNaN(moment) ? null : Math.max(0, (moment - now.getTime()) / 1000)
}
