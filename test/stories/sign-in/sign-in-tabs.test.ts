// Several tabs of one browser sign in side by side: each finishes its own sign-in.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sessions } from '../../../src/db/tables.ts'
import { type Browser, cookieOf, isSignedIn } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

/** A tab that starts a sign-in, up to GitHub's consent page. */
async function openTab(browser: Browser): Promise<string> {
  return (await browser.request('/auth/github')).headers.get('location') ?? ''
}

const approve = (browser: Browser, consentUrl: string) => browser.consent(consentUrl, 'mara-holt')
const signInCookies = (browser: Browser) => [...browser.cookies.keys()].filter((name) => name.includes('sign_in'))

/** Every permutation of this many. */
function ordersOf(count: number): number[][] {
  if (count === 0) return [[]]
  return ordersOf(count - 1).flatMap((order) =>
    Array.from({ length: count }, (_, place) => order.toSpliced(place, 0, count - 1)),
  )
}

describe('two tabs that sign in are both signed in', () => {
  // Each step is the tab's next one: start, approve at GitHub, return.
  test.each(['A A A B B B', 'A A B B A B', 'A A B B B A', 'A B A B A B', 'A B B A B A', 'A B B B A A'])(
    '%s',
    async (order) => {
      const browser = world.browser()
      const places = new Map<string, string>()
      for (const tab of order.split(' ')) {
        const place = places.get(tab)
        if (place === undefined) places.set(tab, await openTab(browser))
        else if (place.startsWith(world.sandbox.url)) places.set(tab, await approve(browser, place))
        else {
          expect(await browser.finish(place), `tab ${tab}`).toMatchObject({ outcome: 'succeeded', code: null })
          expect(await isSignedIn(browser)).toBe(true)
        }
      }
      expect(signInCookies(browser)).toEqual([])
    },
  )

  test('that return at the same moment', async () => {
    const browser = world.browser()
    const callbacks = []
    for (const consentUrl of [await openTab(browser), await openTab(browser)])
      callbacks.push(await approve(browser, consentUrl))
    const arrivals = await Promise.all(callbacks.map((callback) => browser.finish(callback)))
    expect(arrivals.map(({ outcome }) => outcome)).toEqual(['succeeded', 'succeeded'])
    expect(await isSignedIn(browser)).toBe(true)
  })
})

test('five tabs that a browser opens at once are all signed in, in any order', async () => {
  for (const order of [...ordersOf(5).filter((_, index) => index % 29 === 0), 'at once'] as const) {
    const browser = world.browser()
    // None of the requests has a cookie yet.
    const consents = await Promise.all(Array.from({ length: 5 }, () => openTab(browser)))
    const callbacks = await Promise.all(consents.map((consentUrl) => approve(browser, consentUrl)))
    const finish = (index: number) => browser.finish(callbacks[index] ?? '')
    const outcomes: (string | null)[] = []
    if (order === 'at once') {
      for (const { outcome } of await Promise.all(callbacks.map((_, index) => finish(index)))) outcomes.push(outcome)
    } else {
      for (const index of order) {
        outcomes.push((await finish(index)).outcome)
        expect(await isSignedIn(browser)).toBe(true)
      }
    }
    expect(outcomes, String(order)).toEqual(Array(5).fill('succeeded'))
    expect(await isSignedIn(browser)).toBe(true)
  }
})

describe('a tab does not affect another', () => {
  test('when it is cancelled at GitHub', async () => {
    const browser = world.browser()
    const [first, second] = [await openTab(browser), await openTab(browser)]
    const denied = await browser.consent(second, 'mara-holt', 'deny')
    const approved = await approve(browser, first)
    expect(await browser.finish(denied)).toMatchObject({ outcome: 'failed', code: 'ACCESS_DENIED' })
    expect(await browser.finish(approved)).toMatchObject({ outcome: 'succeeded' })
  })

  test('when it returns with an unknown state, with none, or with two', async () => {
    const browser = world.browser()
    const callback = await approve(browser, await openTab(browser))
    const { state } = Object.fromEntries(new URL(callback).searchParams)
    for (const query of ['state=junk&code=x', 'code=x', '', `state=${state}&state=x&code=x`])
      expect(await browser.finish(`/auth/github/callback?${query}`)).toMatchObject({ outcome: 'failed' })
    expect(await browser.finish(callback)).toMatchObject({ outcome: 'succeeded' })
  })

  test('O-02 when another user’s callback is opened in it (login CSRF), which signs nobody in', async () => {
    const [attacker, victim] = [world.browser(), world.browser()]
    const planted = await attacker.consent(await openTab(attacker), 'tomasz-k')
    const callbacks = []
    for (let tab = 0; tab < 3; tab++) callbacks.push(await approve(victim, await openTab(victim)))
    const before = await world.db().$count(sessions)
    expect(await victim.finish(planted)).toMatchObject({ outcome: 'failed', code: 'ATTEMPT_UNKNOWN' })
    expect(await isSignedIn(victim)).toBe(false)
    expect(await world.db().$count(sessions)).toBe(before)
    for (const callback of callbacks) expect(await victim.finish(callback)).toMatchObject({ outcome: 'succeeded' })
  })
})

test('O-02 the cookie of one sign-in does not finish another', async () => {
  const browser = world.browser()
  const first = await openTab(browser)
  const [firstName = ''] = signInCookies(browser)
  const callback = await approve(browser, await openTab(browser))
  const [, secondName = ''] = signInCookies(browser)
  const stranger = world.browser()
  const value = browser.cookies.get(firstName) ?? ''
  for (const cookies of [
    [[firstName, value]],
    [[secondName, value]],
    [
      [firstName, browser.cookies.get(secondName) ?? ''],
      [secondName, value],
    ],
  ] as [string, string][][]) {
    stranger.cookies.clear()
    for (const [name, cookie] of cookies) stranger.cookies.set(name, cookie)
    expect(await stranger.finish(callback)).toMatchObject({ outcome: 'failed', code: 'ATTEMPT_UNKNOWN' })
    expect(await isSignedIn(stranger)).toBe(false)
  }
  expect(await browser.finish(callback)).toMatchObject({ outcome: 'succeeded' })
  expect(await browser.finish(await approve(browser, first))).toMatchObject({ outcome: 'succeeded' })
})

test('a browser that starts repeatedly keeps the cookies of its last ten sign-ins', async () => {
  const browser = world.browser()
  const consents: string[] = []
  for (let tab = 0; tab < 30; tab++) {
    consents.push(await openTab(browser))
    expect(signInCookies(browser).length).toBeLessThanOrEqual(10)
  }
  expect(cookieOf(browser).cookie.length).toBeLessThan(1_000)
  const finish = async (consentUrl: string) => browser.finish(await approve(browser, consentUrl))
  expect(await finish(consents[19] ?? '')).toMatchObject({ outcome: 'failed', code: 'ATTEMPT_UNKNOWN' })
  for (const consentUrl of consents.slice(20)) expect(await finish(consentUrl)).toMatchObject({ outcome: 'succeeded' })
})
