// A session over three months. The embedded database has the same clock, so this world has no other
// story.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { isSignedIn } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const DAY = 86_400_000

test('S-05 used every day it expires after 90 days, and unused after 30', async () => {
  vi.useFakeTimers({ toFake: ['Date'] })
  try {
    const signedInAt = Date.now()
    const [daily, shortly, long] = [await world.signedIn(), await world.signedIn(), await world.signedIn()]
    const daysIn: number[] = []
    for (let day = 1; day <= 100; day++) {
      vi.setSystemTime(signedInAt + day * DAY)
      if (await isSignedIn(daily)) daysIn.push(day)
      if (day === 29) expect(await isSignedIn(shortly)).toBe(true)
      if (day === 31) expect(await isSignedIn(long)).toBe(false)
    }
    expect(daysIn).toEqual(Array.from({ length: 89 }, (_, index) => index + 1))
  } finally {
    vi.useRealTimers()
  }
})
