import { expect, test } from 'vitest'
import { withTimeout } from '../../src/process/with-timeout.ts'

const never = new Promise<never>(() => {})

test('returns the result of work that finishes in time, and throws its error', async () => {
  expect(await withTimeout(60, Promise.resolve('done'), () => 'late')).toBe('done')
  await expect(withTimeout(60, Promise.reject(new Error('failed')), () => 'late')).rejects.toThrow('failed')
})

test('returns or throws what the caller decides when work takes too long', async () => {
  expect(await withTimeout(0.01, never, () => 'late')).toBe('late')
  const fail = () => {
    throw new Error('too late')
  }
  await expect(withTimeout(0.01, never, fail)).rejects.toThrow('too late')
})

test('leaves no timer behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  await withTimeout(3_600, Promise.resolve(), () => {})
  await withTimeout(3_600, Promise.reject(new Error('failed')), () => {}).catch(() => {})
  expect(timers()).toBe(before)
})

test('drops the error of work that fails after its time', async () => {
  const { promise: work, reject } = Promise.withResolvers<never>()
  expect(await withTimeout(0.01, work, () => 'late')).toBe('late')
  reject(new Error('too late'))
  await new Promise((resolve) => setImmediate(resolve))
})
