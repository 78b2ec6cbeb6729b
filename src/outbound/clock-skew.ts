import type { Log } from '../telemetry/log.ts'

const MAX_DIFFERENCE_SECONDS = 60
const WARN_AGAIN_AFTER_MILLISECONDS = 3_600_000

/**
 * Creates a check of the Date headers of providers' responses (RFC 9110 section 6.6.1). It warns,
 * at most hourly, when this machine's clock differs from theirs by more than a minute: the reset
 * times of their rate limits are then wrong by as much.
 * @param now this machine's clock, in milliseconds.
 */
export function createClockSkewWarning(
  log: Log,
  now: () => number = Date.now,
): (date: string | string[] | undefined) => void {
  let quietUntil = 0
  return (date) => {
    const theirs = typeof date === 'string' ? Date.parse(date) : Number.NaN
    const aheadSeconds = Math.round((now() - theirs) / 1000)
    if (Number.isNaN(theirs) || Math.abs(aheadSeconds) <= MAX_DIFFERENCE_SECONDS || now() < quietUntil) return
    quietUntil = now() + WARN_AGAIN_AFTER_MILLISECONDS
    log.warn({ aheadSeconds }, "This machine's clock differs from a provider's: synchronise it (NTP)")
  }
}
