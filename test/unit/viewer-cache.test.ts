// What is kept of sessions and API tokens, and when it is dropped.
import { describe, expect, test, vi } from 'vitest'
import { type ChargeLookUp, createViewerCache } from '../../src/db/viewer-cache.ts'

const SECONDS = 1000

/** A cache that is open, and a clock of the process. */
function startCache() {
  let now = Date.parse('2026-11-27T10:00:00Z')
  const cache = createViewerCache({ now: () => new Date(now) })
  let charged = 0
  const charge: ChargeLookUp = (lookUp) => {
    charged += 1
    return lookUp()
  }
  cache.open()
  const start = now
  const viewer = (id: string, endsAfterSeconds = 3600) => ({
    user: { id },
    endsAt: new Date(start + endsAfterSeconds * SECONDS),
  })
  /** Returns how often this secret was looked up by `times` requests. */
  const countLookUps = async (
    hash: string,
    times: number,
    found: ReturnType<typeof viewer> | null = viewer('mara'),
  ) => {
    const lookUp = vi.fn(async () => found)
    for (let time = 0; time < times; time++) expect(await cache.find(hash, lookUp, charge)).toEqual(found)
    return lookUp.mock.calls.length
  }
  const move = (seconds: number) => {
    now += seconds * SECONDS
  }
  return { cache, viewer, charge, countLookUps, countCharged: () => charged, move }
}

test('S-13 a secret is looked up once, and again after ten seconds', async () => {
  const { countLookUps, move } = startCache()
  expect(await countLookUps('a', 3)).toBe(1)
  move(9)
  expect(await countLookUps('a', 3)).toBe(0)
  move(1)
  expect(await countLookUps('a', 3)).toBe(1)
})

test('a clock that is set back keeps nothing longer', async () => {
  const { countLookUps, move } = startCache()
  expect(await countLookUps('a', 1)).toBe(1)
  move(-1)
  expect(await countLookUps('a', 1)).toBe(1)
})

test('S-13 a session or token is not used past its end', async () => {
  const { countLookUps, viewer, move } = startCache()
  expect(await countLookUps('a', 2, viewer('mara', 3))).toBe(1)
  move(2)
  expect(await countLookUps('a', 1, viewer('mara', 3))).toBe(0)
  move(1)
  expect(await countLookUps('a', 1, null)).toBe(1)
})

describe('G-22 an unknown secret', () => {
  test('is looked up once in ten seconds, whether notifications arrive or not', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const { cache, countLookUps } = startCache()
    cache.close()
    expect(await countLookUps('a', 3, null)).toBe(1)
    vi.advanceTimersByTime(9_999)
    expect(await countLookUps('a', 3, null)).toBe(0)
    vi.advanceTimersByTime(1)
    // A database that was restored has it again.
    expect(await countLookUps('a', 1)).toBe(1)
    vi.useRealTimers()
  })

  test('is remembered among ten thousand others, and forgotten among more', async () => {
    const { countLookUps } = startCache()
    for (let number = 0; number < 10_000; number++) await countLookUps(`${number}`, 1, null)
    expect(await countLookUps('0', 1, null)).toBe(0)
    await countLookUps('10000', 1, null)
    expect(await countLookUps('0', 1, null)).toBe(1)
  })

  test('is charged for, and so is a known one at its first look-up alone', async () => {
    const { cache, countLookUps, countCharged, move } = startCache()
    await countLookUps('a', 1)
    expect(countCharged()).toBe(1)
    move(10)
    expect(await countLookUps('a', 1)).toBe(1)
    cache.addExisting('b')
    expect(await countLookUps('b', 1)).toBe(1)
    expect(countCharged()).toBe(1)
    move(10)
    expect(await countLookUps('a', 1, null)).toBe(1)
    await countLookUps('c', 1, null)
    expect(countCharged()).toBe(2)
  })

  test('is not remembered when its look-up fails', async () => {
    const { cache, charge, countLookUps } = startCache()
    const fail = () => Promise.reject(new Error('The database is away'))
    await expect(cache.find('a', fail, charge)).rejects.toThrow('away')
    expect(await countLookUps('a', 1)).toBe(1)
  })
})

test('a user is dropped with all sessions, and no other user', async () => {
  const { cache, countLookUps, viewer } = startCache()
  for (const hash of ['a', 'b']) await countLookUps(hash, 1)
  await countLookUps('c', 1, viewer('jonas'))
  cache.drop('mara')
  expect([await countLookUps('a', 1), await countLookUps('b', 1)]).toEqual([1, 1])
  expect(await countLookUps('c', 1, viewer('jonas'))).toBe(0)
})

test.each([
  ['the user is dropped', (cache: ReturnType<typeof createViewerCache>) => cache.drop('mara')],
  ['another user is dropped', (cache: ReturnType<typeof createViewerCache>) => cache.drop('jonas')],
  ['notifications can be missed', (cache: ReturnType<typeof createViewerCache>) => cache.close()],
  [
    'notifications could be missed for a moment',
    (cache: ReturnType<typeof createViewerCache>) => {
      cache.close()
      cache.open()
    },
  ],
])('S-13 what a look-up has found is not kept when %s while it runs', async (_what, change) => {
  const { cache, countLookUps, viewer, charge } = startCache()
  const found = Promise.withResolvers<ReturnType<typeof viewer>>()
  const running = cache.find('a', () => found.promise, charge)
  change(cache)
  found.resolve(viewer('mara'))
  expect(await running).not.toBeNull()
  expect(await countLookUps('a', 1)).toBe(1)
})

test('S-13 nothing is kept before notifications arrive, and nothing of before once they arrive again', async () => {
  const { cache, countLookUps } = startCache()
  await countLookUps('a', 1)
  cache.close()
  expect(await countLookUps('a', 3)).toBe(3)
  cache.open()
  expect(await countLookUps('a', 3)).toBe(1)
})

test('the number of those that are kept is bounded, and the last ones are kept', async () => {
  const { countLookUps } = startCache()
  for (let number = 0; number < 12_000; number++) await countLookUps(`${number}`, 1)
  expect(await countLookUps('0', 1)).toBe(1)
  let again = 0
  for (let number = 2_001; number < 12_000; number++) again += await countLookUps(`${number}`, 1)
  expect(again).toBe(0)
})
