import type { Log } from '../telemetry/log.ts'

const MAX_DIFFERENCE_SECONDS = 60
const WARN_AGAIN_AFTER_MILLISECONDS = 3_600_000

/**
 * Makes a watch over the Date headers of providers' answers (RFC 9110 section 6.6.1): warns, at most hourly, when this machine's clock
 * differs from theirs. What they say of reset times is then off by as much.
 * @param now milliseconds of this machine's clock.
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
