import { describe, expect, test } from 'vitest'
import { createRateLimitBuckets } from '../../src/process/rate-limit-buckets.ts'

describe('the buckets that a process knows', () => {
  test('are bounded in number: those that were not used for longest are dropped', () => {
    const buckets = createRateLimitBuckets(() => new Date())
    const first = buckets.open('address', '192.0.2.1')
    first.fullAt = 7
    for (let number = 0; number < 9_999; number++) buckets.open('address', `client ${number}`)
    expect(buckets.list()).toHaveLength(10_000)
    expect(buckets.open('address', '192.0.2.1')).toBe(first)
    for (let number = 0; number < 30_000; number++) {
      buckets.open('address', `another client ${number}`)
      if (number % 5_000 === 0) expect(buckets.open('address', '192.0.2.1')).toBe(first)
    }
    expect(buckets.list()).toHaveLength(10_000)
    for (let number = 0; number < 10_000; number++) buckets.open('address', `a third client ${number}`)
    expect(buckets.open('address', '192.0.2.1').fullAt).toBe(0)
  })

  test('are separate for each limit and subject, whatever the subject is called', () => {
    const buckets = createRateLimitBuckets(() => new Date())
    const names = [
      ['user', 'a'],
      ['token', 'a'],
      ['user', 'b'],
      ['user', '__proto__'],
      ['user', 'constructor'],
    ] as const
    expect(new Set(names.map(([name, subject]) => buckets.open(name, subject))).size).toBe(names.length)
    expect(buckets.list().map(({ subject }) => subject)[0]).toBe('constructor')
  })
})

describe('their time', () => {
  const createTime = () => {
    const clock = { wall: 1_000_000, monotonic: 5 }
    const { nowSeconds } = createRateLimitBuckets(() => new Date(clock.wall), {
      monotonicMilliseconds: () => clock.monotonic,
    })
    return { clock, nowSeconds }
  }

  test('goes with the clock', () => {
    const { clock, nowSeconds } = createTime()
    const before = nowSeconds()
    clock.wall += 2_000
    clock.monotonic += 2_000
    expect(nowSeconds() - before).toBe(2)
  })

  test('goes on while the clock is set back, and jumps when it is set forward', () => {
    const { clock, nowSeconds } = createTime()
    const before = nowSeconds()
    clock.wall -= 3_600_000
    clock.monotonic += 1_000
    expect(nowSeconds() - before).toBe(1)
    clock.wall += 7_200_000
    expect(nowSeconds() - before).toBe(3_600)
  })
})
