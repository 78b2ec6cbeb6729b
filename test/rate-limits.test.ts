import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAppLimitUsedUp, readRetryAt } from '../src/x/rate-limits.ts'

const now = new Date('2026-03-01T12:00:00Z')
const epoch = (seconds: number) => String(now.getTime() / 1000 + seconds)
const QUARTER = 900
const HOUR = 3_600
const DAY = 86_400

/** Seconds from now, or null. */
function wait(headers: Record<string, string | string[]>): number | null {
  const moment = readRetryAt(headers, now)
  return moment === null ? null : (moment.getTime() - now.getTime()) / 1000
}
const daily = (whose: 'user' | 'app', remaining: number, seconds: number) => ({
  [`x-${whose}-limit-24hour-remaining`]: String(remaining),
  [`x-${whose}-limit-24hour-reset`]: epoch(seconds),
})

describe('when X takes calls again', () => {
  test.each<[title: string, headers: Record<string, string | string[]>, seconds: number | null]>([
    ['no headers', {}, null],
    ['the reset of the window', { 'x-rate-limit-reset': epoch(600) }, 600],
    ['Retry-After in seconds', { 'retry-after': '42' }, 42],
    ['Retry-After as a date', { 'retry-after': 'Sun, 01 Mar 2026 12:01:30 GMT' }, 90],
    ['both: the later, by Retry-After', { 'x-rate-limit-reset': epoch(100), 'retry-after': '200' }, 200],
    ['both: the later, by the reset', { 'x-rate-limit-reset': epoch(200), 'retry-after': '100' }, 200],
    ['no wait is longer than the window', { 'x-rate-limit-reset': epoch(HOUR) }, QUARTER],
    ['not even one by Retry-After', { 'retry-after': String(5 * HOUR) }, QUARTER],
    ['a reset of now', { 'x-rate-limit-reset': epoch(0) }, null],
    ['a reset of last year', { 'x-rate-limit-reset': epoch(-365 * DAY) }, null],
    ['a reset of next week', { 'x-rate-limit-reset': epoch(7 * DAY) }, null],
    ['a reset in milliseconds', { 'x-rate-limit-reset': String(now.getTime() + 60_000) }, null],
    ['words', { 'x-rate-limit-reset': 'soon', 'retry-after': 'later' }, null],
    ['a fraction', { 'x-rate-limit-reset': `${epoch(60)}.5`, 'retry-after': '-5' }, null],
    ['headers that came twice', { 'x-rate-limit-reset': [epoch(60), epoch(70)], 'retry-after': ['1', '2'] }, null],
    ["the account's day", { ...daily('user', 0, 20 * HOUR), 'x-rate-limit-reset': epoch(60) }, 20 * HOUR],
    ["the app's day", { ...daily('app', 0, 10 * HOUR), 'x-rate-limit-reset': epoch(60) }, 10 * HOUR],
    ["both days: the app's", { ...daily('app', 0, 2 * HOUR), ...daily('user', 0, 20 * HOUR) }, 2 * HOUR],
    ['days with something left', { ...daily('app', 7, 60), ...daily('user', 1, 70), 'retry-after': '30' }, 30],
    ['a day that is nearly two', { ...daily('user', 0, 24 * HOUR + 1800) }, DAY],
  ])('%s', (_, headers, seconds) => expect(wait(headers)).toBe(seconds))

  test('is in the future and at most a day away, or unknown, whatever the headers say', () => {
    const name = fc.constantFrom(
      'x-rate-limit-reset',
      'retry-after',
      ...['user', 'app'].flatMap((whose) => [`x-${whose}-limit-24hour-remaining`, `x-${whose}-limit-24hour-reset`]),
    )
    const value = fc.oneof(
      fc.integer({ min: -DAY * 3, max: DAY * 3 }).map(epoch),
      fc.integer({ min: -10, max: DAY * 3 }).map(String),
      fc.string(),
      fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
    )
    fc.assert(
      fc.property(fc.dictionary(name, value), (headers) => {
        const seconds = wait(headers)
        if (seconds === null) return
        expect(seconds).toBeGreaterThan(0)
        expect(seconds).toBeLessThanOrEqual(DAY)
      }),
      { numRuns: 2_000 },
    )
  })
})

test.each([
  ['the app', daily('app', 0, HOUR), true],
  ['both', { ...daily('app', 0, HOUR), ...daily('user', 0, HOUR) }, true],
  ['the account', { ...daily('app', 5, HOUR), ...daily('user', 0, HOUR) }, false],
  ['the window', { 'x-rate-limit-remaining': '0' }, false],
])('a limit that is used up concerns %s', (_, headers, app) => expect(isAppLimitUsedUp(headers)).toBe(app))
