import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRetryAt } from '../../src/x/rate-limit-headers.ts'

const now = new Date('2026-11-23T12:00:00.000Z')
const inSeconds = (seconds: number) => String(now.getTime() / 1000 + seconds)
const date = (seconds: number) => new Date(now.getTime() + seconds * 1000).toUTCString()

test.each<[string, Record<string, string | string[] | undefined>, number | null]>([
  ['nothing', {}, null],
  ['a reset', { 'x-rate-limit-reset': inSeconds(600) }, 600],
  ['a reset beyond its window', { 'x-rate-limit-reset': inSeconds(3600) }, 900],
  ['a reset in the past', { 'x-rate-limit-reset': inSeconds(-5) }, null],
  ['a reset just now', { 'x-rate-limit-reset': inSeconds(0) }, null],
  ['a reset next week', { 'x-rate-limit-reset': inSeconds(7 * 86_400) }, null],
  ['a reset in milliseconds', { 'x-rate-limit-reset': String(now.getTime() + 600_000) }, null],
  ['a reset that is not a number', { 'x-rate-limit-reset': 'soon' }, null],
  ['a negative reset', { 'x-rate-limit-reset': '-1' }, null],
  ['an empty reset', { 'x-rate-limit-reset': '' }, null],
  ['two resets', { 'x-rate-limit-reset': [inSeconds(10), inSeconds(20)] }, null],
  ['Retry-After in seconds', { 'retry-after': '30' }, 30],
  ['Retry-After as a date', { 'retry-after': date(90) }, 90],
  ['Retry-After in the past', { 'retry-after': date(-90) }, null],
  ['Retry-After of zero', { 'retry-after': '0' }, null],
  ['Retry-After of a day', { 'retry-after': '86400' }, 900],
  ['Retry-After of a year', { 'retry-after': '31536000' }, null],
  ['Retry-After that is junk', { 'retry-after': 'x' }, null],
  ['Retry-After that is negative', { 'retry-after': '-30' }, null],
  ['the later of both', { 'retry-after': '30', 'x-rate-limit-reset': inSeconds(600) }, 600],
  ['the later of both, the other way round', { 'retry-after': '700', 'x-rate-limit-reset': inSeconds(600) }, 700],
  ['two values of which one is credible', { 'retry-after': '-1', 'x-rate-limit-reset': inSeconds(60) }, 60],
  [
    "the user's day used up",
    {
      'x-rate-limit-reset': inSeconds(600),
      'x-user-limit-24hour-remaining': '0',
      'x-user-limit-24hour-reset': inSeconds(40_000),
    },
    40_000,
  ],
  [
    "the app's day used up",
    { 'x-app-limit-24hour-remaining': '0', 'x-app-limit-24hour-reset': inSeconds(86_400) },
    86_400,
  ],
  [
    'days that are not used up',
    {
      'x-rate-limit-reset': inSeconds(600),
      'x-user-limit-24hour-remaining': '17',
      'x-user-limit-24hour-reset': inSeconds(40_000),
      'x-app-limit-24hour-remaining': '9000',
      'x-app-limit-24hour-reset': inSeconds(50_000),
    },
    600,
  ],
])('T-08 a refusal with %s', (_, headers, seconds) => {
  const retryAt = parseRetryAt(headers, now)
  expect(retryAt === null ? null : (retryAt.getTime() - now.getTime()) / 1000).toBe(seconds)
})

test('T-08 the time of the next call is never in the past, and at most a day ahead, whatever X sends', () => {
  const value = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.integer({ min: -100_000, max: 200_000 }).map(inSeconds),
    fc.integer({ min: -100_000, max: 200_000 }).map(date),
    fc.constant(undefined),
    fc.constant('0'),
  )
  const names = ['x-rate-limit-reset', 'retry-after']
  for (const day of ['x-user-limit-24hour', 'x-app-limit-24hour']) names.push(`${day}-remaining`, `${day}-reset`)
  const headers = fc.record(Object.fromEntries(names.map((name) => [name, value])))
  fc.assert(
    fc.property(headers, (headers) => {
      const retryAt = parseRetryAt(headers, now)
      if (retryAt === null) return
      expect(retryAt.getTime()).toBeGreaterThan(now.getTime())
      expect(retryAt.getTime()).toBeLessThanOrEqual(now.getTime() + 86_400_000)
    }),
  )
})
