import { describe, expect, test } from 'vitest'
import { MAX_ATTEMPTS, parseRetryAfterSeconds, retryDelaySeconds } from '../../src/webhooks/retry.ts'

const HOUR_SECONDS = 3_600
/** Returns the waits between all attempts with a constant random number. */
const waits = (random: number) =>
  Array.from({ length: MAX_ATTEMPTS - 1 }, (_, index) => retryDelaySeconds(index + 1, random, null))
const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each, 0)

describe('a delivery that fails', () => {
  test('is attempted ten times, over more than a day on average', () => {
    expect(waits(0.5)).toEqual([15, 60, 240, 960, 3_840, 15_360, 28_800, 28_800, 28_800])
    expect(waits(1)).toEqual([30, 120, 480, 1_920, 7_680, 30_720, 57_600, 57_600, 57_600])
    expect(sum(waits(0.5)) / HOUR_SECONDS).toBeCloseTo(29.7, 1)
    expect(sum(waits(1)) / HOUR_SECONDS).toBeCloseTo(59.4, 1)
  })

  test('is retried at a random moment up to the ceiling, so that the deliveries of an outage are spread', () => {
    expect(waits(0)).toEqual(Array(MAX_ATTEMPTS - 1).fill(0))
    const delays = Array.from({ length: 1_000 }, (_, index) => retryDelaySeconds(5, index / 1_000, null))
    const quarters = [0, 1, 2, 3].map(
      (quarter) => delays.filter((delay) => Math.floor(delay / 1_920) === quarter).length,
    )
    expect(quarters).toEqual([250, 250, 250, 250])
  })

  test('is not retried before the receiver’s Retry-After, of at most a day', () => {
    expect(retryDelaySeconds(1, 0.5, 120)).toBe(120)
    expect(retryDelaySeconds(6, 0.5, 120)).toBe(15_360)
    expect(retryDelaySeconds(1, 0.5, 0)).toBe(15)
    expect(retryDelaySeconds(1, 0.5, 10 ** 9)).toBe(86_400)
  })
})

test.each([
  ['120', 120],
  ['0', 0],
  ['Mon, 23 Nov 2026 18:00:00 GMT', 180],
  ['Mon, 23 Nov 2026 17:00:00 GMT', 0],
  ['soon', null],
  ['', null],
  [undefined, null],
  [['1', '2'], null],
])('Retry-After: %s', (header, seconds) => {
  expect(parseRetryAfterSeconds(header, new Date('2026-11-23T17:57:00Z'))).toBe(seconds)
})
