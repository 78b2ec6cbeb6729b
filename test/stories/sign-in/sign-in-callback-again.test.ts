// The callback of a sign-in arrives more than once: by Back, by a reload, or twice at the same
// moment. It belongs to the same attempt and gets its outcome.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { sessions, signInAttempts } from '../../../src/db/tables.ts'
import { type Browser, cookieOf, isSignedIn, sessionTokenOf } from '../../support/browser.ts'
import { endFaults } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { tokenExchanges, tokenPaths } from '../../support/token-exchange.ts'

const FRONT_END = 'https://app.example'
const RETURN_TO = `${FRONT_END}/done`

let world: World
beforeAll(async () => {
  world = await startWorld({ ALLOWED_ORIGINS: FRONT_END })
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

const { countExchanges, slowDown, untilExchanging } = tokenExchanges(() => world)

/** Starts a sign-in in this browser, up to the callback URL. */
async function startSignIn(browser: Browser, decision: 'approve' | 'deny' = 'approve', login = 'mara-holt') {
  const start = await browser.request(`/auth/github?${new URLSearchParams({ returnTo: RETURN_TO })}`)
  return browser.consent(start.headers.get('location') ?? '', login, decision)
}

/** Returns the session cookie that a response sets; null if it sets none. */
function sessionCookieIn(response: { headers: { getSetCookie(): string[] } }): string | null {
  const cookie = response.headers.getSetCookie().find((header) => header.startsWith('xconnect_session='))
  return cookie?.split(';')[0]?.split('=')[1] ?? null
}

describe('the callback of a sign-in that succeeded', () => {
  test('arrives again by Back: the user is still signed in, and is redirected to the requested page', async () => {
    const browser = world.browser()
    const callback = await startSignIn(browser)
    expect((await browser.finish(callback)).url.href).toBe(`${RETURN_TO}?signIn=succeeded`)
    const [token, rows, exchanges] = [
      sessionTokenOf(browser),
      await world.db().$count(sessions),
      countExchanges('GITHUB'),
    ]
    for (let visit = 0; visit < 3; visit++) {
      const response = await browser.request(callback)
      expect(response.headers.get('location')).toBe(`${RETURN_TO}?signIn=succeeded`)
      expect(response.headers.getSetCookie()).toEqual([])
    }
    // By Back, GitHub's page gives another code.
    const url = new URL(callback)
    url.searchParams.set('code', 'another')
    expect(await browser.finish(url.href)).toMatchObject({ outcome: 'succeeded' })
    expect(sessionTokenOf(browser)).toBe(token)
    expect(await isSignedIn(browser)).toBe(true)
    expect([await world.db().$count(sessions), countExchanges('GITHUB')]).toEqual([rows, exchanges])
  })

  test('arrives again in a later session of the same user', async () => {
    const browser = world.browser()
    const callback = await startSignIn(browser)
    await browser.finish(callback)
    await browser.signIn('mara-holt')
    const token = sessionTokenOf(browser)
    expect(await browser.finish(callback)).toMatchObject({ outcome: 'succeeded' })
    expect(sessionTokenOf(browser)).toBe(token)
    expect(await isSignedIn(browser)).toBe(true)
  })

  test('does not sign in again after a sign-out', async () => {
    const browser = world.browser()
    const callback = await startSignIn(browser)
    const cookies = new Map(browser.cookies)
    await browser.finish(callback)
    await browser.api('sign-out')
    const rows = await world.db().$count(sessions)
    for (const [name, value] of [['x', 'y'], ...cookies] as [string, string][]) {
      browser.cookies.set(name, value)
      expect(await browser.finish(callback)).toMatchObject({ outcome: 'failed' })
      expect(await isSignedIn(browser)).toBe(false)
    }
    expect(await world.db().$count(sessions)).toBe(rows)
  })

  test.each(['this instance', 'another instance'])(
    'arrives at %s during the first: it waits, and either response signs the browser in',
    async (where) => {
      const browser = world.browser()
      const callback = await startSignIn(browser)
      const { cookie } = cookieOf(browser)
      const [rows, exchanges] = [await world.db().$count(sessions), countExchanges('GITHUB')]
      const instance = openInstance(world)
      const visit = async () => {
        const { pathname, search } = new URL(callback)
        const response =
          where === 'this instance'
            ? await browser.request(callback, { headers: { cookie } })
            : await instance.request(`${pathname}${search}`, { headers: { cookie } })
        return { location: response.headers.get('location'), token: sessionCookieIn(response) }
      }
      slowDown('GITHUB')
      const first = browser.request(callback, { headers: { cookie } })
      await untilExchanging('GITHUB', exchanges)
      const others = await Promise.all([visit(), visit(), visit()])
      const token = sessionCookieIn(await first)
      expect(token).toMatch(/^[0-9a-f-]{36}\.[\w-]{43}$/)
      for (const other of others) expect(other).toEqual({ location: `${RETURN_TO}?signIn=succeeded`, token })
      expect([await world.db().$count(sessions), countExchanges('GITHUB')]).toEqual([rows + 1, exchanges + 1])
      // Whichever response the browser keeps.
      const kept = world.browser()
      kept.cookies.set('xconnect_session', others[0]?.token ?? '')
      expect(await isSignedIn(kept)).toBe(true)
      await instance.close()
    },
  )

  test('arrives during the first, in a browser whose session it replaces', async () => {
    const browser = await world.signedIn()
    const callback = await startSignIn(browser)
    const [{ cookie }, exchanges] = [cookieOf(browser), countExchanges('GITHUB')]
    slowDown('GITHUB')
    // A reload: the browser drops the first response.
    const first = fetchUnkept(callback, cookie)
    await untilExchanging('GITHUB', exchanges)
    expect(await browser.finish(callback)).toMatchObject({ outcome: 'succeeded' })
    await first
    expect(await isSignedIn(browser)).toBe(true)
  })

  test('S-03 gives no session to a browser with another code, as with a cookie planted in the victim’s browser', async () => {
    const attacker = world.browser()
    const start = await attacker.request('/auth/github')
    const authorizationUrl = start.headers.get('location') ?? ''
    const victim = world.browser()
    for (const [name, value] of attacker.cookies) victim.cookies.set(name, value)
    const callback = await victim.consent(authorizationUrl, 'mara-holt')
    const exchanges = countExchanges('GITHUB')
    slowDown('GITHUB')
    const finishing = victim.finish(callback)
    await untilExchanging('GITHUB', exchanges)
    const { state } = Object.fromEntries(new URL(callback).searchParams)
    for (const query of [`state=${state}&code=guessed`, `state=${state}`, `state=${state}&error=access_denied`]) {
      expect(await attacker.finish(`/auth/github/callback?${query}`)).toMatchObject({ outcome: 'failed' })
      expect(sessionTokenOf(attacker)).toBe('')
    }
    expect(await finishing).toMatchObject({ outcome: 'succeeded' })
  })
})

describe('the callback of a sign-in that failed', () => {
  test('arrives again and gets the first reason and destination', async () => {
    const denied = world.browser()
    const callback = await startSignIn(denied, 'deny')
    for (let visit = 0; visit < 3; visit++)
      expect((await denied.finish(callback)).url.href).toBe(`${RETURN_TO}?signIn=failed&code=ACCESS_DENIED`)

    const unlucky = world.browser()
    const approved = await startSignIn(unlucky)
    const exchanges = countExchanges('GITHUB')
    world.sandbox.control.inject({ kind: 'status', status: 503, match: { path: tokenPaths.GITHUB } })
    for (let visit = 0; visit < 3; visit++)
      expect((await unlucky.finish(approved)).url.href).toBe(`${RETURN_TO}?signIn=failed&code=GITHUB_UNAVAILABLE`)
    expect(countExchanges('GITHUB')).toBe(exchanges + 1)
    expect(await isSignedIn(unlucky)).toBe(false)
  })

  test('arrives during the first: both get the reason', async () => {
    const browser = world.browser()
    const callback = await startSignIn(browser)
    const exchanges = countExchanges('GITHUB')
    slowDown('GITHUB')
    world.sandbox.control.inject({
      kind: 'malformed',
      body: '{"error":"bad_verification_code"}',
      match: { path: tokenPaths.GITHUB },
    })
    const first = browser.finish(callback)
    await untilExchanging('GITHUB', exchanges)
    const arrivals = [await browser.finish(callback), await first]
    for (const { url } of arrivals) expect(url.href).toBe(`${RETURN_TO}?signIn=failed&code=CODE_REJECTED`)
    expect(countExchanges('GITHUB')).toBe(exchanges + 1)
  })
})

describe('a signed-in user sees no failed sign-in', () => {
  test('from a tab left alone for eleven minutes while another tab signed in', async () => {
    const browser = world.browser()
    const late = await startSignIn(browser)
    const alone = world.browser()
    const lateAlone = await startSignIn(alone)
    await browser.signIn('mara-holt')
    world.advance(660)
    expect((await browser.finish(late)).url.href).toBe(`${RETURN_TO}?signIn=succeeded`)
    expect(await isSignedIn(browser)).toBe(true)
    // Without a session it did fail, and the requested page gets the failure.
    expect((await alone.finish(lateAlone)).url.href).toBe(`${RETURN_TO}?signIn=failed&code=ATTEMPT_EXPIRED`)
  })

  test('but does when they wanted to sign in again and are not recent', async () => {
    const browser = await world.signedIn()
    const late = await startSignIn(browser)
    world.advance(660)
    expect((await browser.finish(late)).url.href).toBe(`${RETURN_TO}?signIn=failed&code=ATTEMPT_EXPIRED`)
  })

  test('from a callback of another user or of a forgotten attempt: the console opens', async () => {
    const [person, attacker] = [await world.signedIn(), world.browser()]
    const foreign = await startSignIn(attacker, 'approve', 'tomasz-k')
    const token = sessionTokenOf(person)
    for (const callback of [foreign, '/auth/github/callback?state=forgotten&code=x', '/auth/github/callback']) {
      const response = await person.request(callback)
      expect([response.status, response.headers.get('location')]).toEqual([303, `${world.url}/`])
      expect(response.headers.getSetCookie()).toEqual([])
    }
    expect(sessionTokenOf(person)).toBe(token)
    expect(await isSignedIn(person)).toBe(true)
    expect(await attacker.finish(foreign)).toMatchObject({ outcome: 'succeeded' })
  })
})

test('does not wait for a process that has died', async () => {
  const browser = world.browser()
  const callback = await startSignIn(browser)
  const stateHash = sha256(new URL(callback).searchParams.get('state') ?? '')
  await world
    .db()
    .update(signInAttempts)
    .set({ takenAt: new Date(world.sandbox.control.now() - 1_000_000), verifierSealed: null })
    .where(eq(signInAttempts.stateHash, stateHash))
  expect(await browser.finish(callback)).toMatchObject({ outcome: 'failed', code: 'GITHUB_UNAVAILABLE' })
})

/** Visits a callback with these cookies, and drops the response. */
async function fetchUnkept(url: string, cookie: string): Promise<void> {
  const browser = world.browser()
  await browser.request(url, { headers: { cookie } })
}
