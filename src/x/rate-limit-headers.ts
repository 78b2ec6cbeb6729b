type Headers = Readonly<Record<string, string | string[] | undefined>>

const QUARTER_HOUR_MILLISECONDS = 15 * 60_000
const DAY_MILLISECONDS = 24 * 3_600_000
const LONGEST_PERIOD_MILLISECONDS = 32 * DAY_MILLISECONDS

// The app's limit first: while it is used up, those of the users do not matter.
const DAILY_LIMITS = ['x-app-limit-24hour', 'x-user-limit-24hour'] as const

/**
 * Returns when X will accept calls again, from the headers of a 429: the later of Retry-After (RFC
 * 9110 section 10.2.3, seconds or a date) and X's x-rate-limit-reset, or the reset of the 24-hour
 * limit when that is the one used up. Null when there is no plausible value.
 */
export function parseRetryAt(headers: Headers, now: Date): Date | null {
  const daily = DAILY_LIMITS.find((name) => isUsedUp(headers, name))
  const moments =
    daily !== undefined
      ? [parseReset(headers[`${daily}-reset`], now, DAY_MILLISECONDS)]
      : [
          parseReset(headers['x-rate-limit-reset'], now, QUARTER_HOUR_MILLISECONDS),
          parseRetryAfter(headers['retry-after'], now),
        ]
  const plausible = moments.filter((moment) => moment !== null)
  return plausible.length === 0 ? null : new Date(Math.max(...plausible))
}

/**
 * Returns when a usage cap of X ends, from the `reset_date` of the refusal, a date or a timestamp.
 * Null when there is no plausible value.
 */
export function parseResetDate(resetDate: string | null, now: Date): Date | null {
  const moment = resetDate !== null && /^\d{4}-\d\d-\d\d/.test(resetDate) ? Date.parse(resetDate) : Number.NaN
  const ahead = moment - now.getTime()
  // X bills by the month.
  return ahead > 0 && ahead <= LONGEST_PERIOD_MILLISECONDS ? new Date(moment) : null
}

/** Returns true when the headers of a 429 show that the limit of the whole app is used up. */
export function isAppLimitUsedUp(headers: Headers): boolean {
  return isUsedUp(headers, 'x-app-limit-24hour')
}

function isUsedUp(headers: Headers, name: (typeof DAILY_LIMITS)[number]): boolean {
  return headers[`${name}-remaining`] === '0'
}

function parseReset(value: string | string[] | undefined, now: Date, window: number): number | null {
  return typeof value === 'string' && /^\d{1,12}$/.test(value) ? within(Number(value) * 1000, now, window) : null
}

function parseRetryAfter(value: string | string[] | undefined, now: Date): number | null {
  if (typeof value !== 'string') return null
  const moment = /^\d{1,6}$/.test(value) ? now.getTime() + Number(value) * 1000 : Date.parse(value)
  return Number.isNaN(moment) ? null : within(moment, now, QUARTER_HOUR_MILLISECONDS)
}

// Because of clock skew and faulty values, a time in the past or more than 25 hours ahead is
// ignored, and no wait is longer than its window.
function within(moment: number, now: Date, window: number): number | null {
  const ahead = moment - now.getTime()
  return ahead <= 0 || ahead > DAY_MILLISECONDS + 3_600_000 ? null : now.getTime() + Math.min(ahead, window)
}
