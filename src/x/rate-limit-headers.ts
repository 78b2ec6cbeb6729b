type Headers = Readonly<Record<string, string | string[] | undefined>>

const QUARTER_HOUR_MILLISECONDS = 15 * 60_000
const DAY_MILLISECONDS = 24 * 3_600_000
const LONGEST_PERIOD_MILLISECONDS = 32 * DAY_MILLISECONDS

// The app's first: while it is used up, whose turn it is does not matter.
const DAILY_LIMITS = ['x-app-limit-24hour', 'x-user-limit-24hour'] as const

/**
 * When X will take calls again, from the headers of a 429: the later of Retry-After (RFC 9110 section 10.2.3, seconds or a date)
 * and X's x-rate-limit-reset, or the reset of the 24-hour limit when that is the one used up. Null when they say nothing credible.
 */
export function parseRetryAt(headers: Headers, now: Date): Date | null {
  const daily = DAILY_LIMITS.find((name) => isUsedUp(headers, name))
  const moments =
    daily !== undefined
      ? [readReset(headers[`${daily}-reset`], now, DAY_MILLISECONDS)]
      : [
          readReset(headers['x-rate-limit-reset'], now, QUARTER_HOUR_MILLISECONDS),
          readRetryAfter(headers['retry-after'], now),
        ]
  const credible = moments.filter((moment) => moment !== null)
  return credible.length === 0 ? null : new Date(Math.max(...credible))
}

/**
 * When a cap of X ends, from the `reset_date` of its refusal: a day or a moment. Null when it says
 * nothing credible.
 */
export function parseResetDate(resetDate: string | null, now: Date): Date | null {
  const moment = resetDate !== null && /^\d{4}-\d\d-\d\d/.test(resetDate) ? Date.parse(resetDate) : Number.NaN
  const ahead = moment - now.getTime()
  // X bills by the month.
  return ahead > 0 && ahead <= LONGEST_PERIOD_MILLISECONDS ? new Date(moment) : null
}

/** True when the headers of a 429 say that the limit of our whole app is used up, and not one account's. */
export function isAppLimitUsedUp(headers: Headers): boolean {
  return isUsedUp(headers, 'x-app-limit-24hour')
}

function isUsedUp(headers: Headers, name: (typeof DAILY_LIMITS)[number]): boolean {
  return headers[`${name}-remaining`] === '0'
}

function readReset(value: string | string[] | undefined, now: Date, window: number): number | null {
  return typeof value === 'string' && /^\d{1,12}$/.test(value) ? within(Number(value) * 1000, now, window) : null
}

function readRetryAfter(value: string | string[] | undefined, now: Date): number | null {
  if (typeof value !== 'string') return null
  const moment = /^\d{1,6}$/.test(value) ? now.getTime() + Number(value) * 1000 : Date.parse(value)
  return Number.isNaN(moment) ? null : within(moment, now, QUARTER_HOUR_MILLISECONDS)
}

// Clocks differ, and a reset of last year or next week is an error of somebody's: one in the past or over 25 hours ahead says
// nothing, and no wait is longer than the window it is about.
function within(moment: number, now: Date, window: number): number | null {
  const ahead = moment - now.getTime()
  return ahead <= 0 || ahead > DAY_MILLISECONDS + 3_600_000 ? null : now.getTime() + Math.min(ahead, window)
}
