import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectAttempts, signInAttempts } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { expectSafeReturn, hostileReturns } from '../../support/return-to-corpus.ts'

const FRONT_END = 'https://app.example'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld({ ALLOWED_ORIGINS: FRONT_END })
  person = await world.signedIn()
})
afterAll(() => world.close())

/** Where a denied connect redirects to; null if the returnTo was refused and not stored. */
async function landAfterX(returnTo: string): Promise<string | null> {
  const before = await world.db().$count(connectAttempts)
  const { authorizationUrl, userErrors } = await person.startXConnect({ returnTo })
  if (authorizationUrl === null) {
    expect(userErrors).toMatchObject([{ code: 'RETURN_TO_NOT_ALLOWED', field: ['input', 'returnTo'] }])
    expect(await world.db().$count(connectAttempts)).toBe(before)
    return null
  }
  const state = new URL(authorizationUrl).searchParams.get('state')
  const response = await person.request(`/auth/x/callback?error=access_denied&state=${state}`)
  expect([response.status, response.headers.getSetCookie()]).toEqual([303, []])
  return response.headers.get('location')
}

/** The same for a sign-in. */
async function landAfterGithub(returnTo: string): Promise<string | null> {
  const browser = world.browser()
  const start = await browser.request(`/auth/github?${new URLSearchParams({ returnTo })}`)
  const location = start.headers.get('location') ?? ''
  if (location === `${world.url}/?signIn=failed&code=RETURN_TO_NOT_ALLOWED`) return null
  const callback = await browser.consent(location, 'mara-holt')
  return (await browser.request(callback)).headers.get('location')
}

describe('redirects to a local path and to a URL of a listed origin, with the outcome added', () => {
  test.each([
    ['/settings', () => `${world.url}/settings?xConnect=failed&code=ACCESS_DENIED`],
    ['settings?tab=x#links', () => `${world.url}/settings?tab=x&xConnect=failed&code=ACCESS_DENIED`],
    [`${FRONT_END}/done?a=1`, () => `${FRONT_END}/done?a=1&xConnect=failed&code=ACCESS_DENIED`],
    [`${FRONT_END}/done?code=mine&xConnect=connected`, () => `${FRONT_END}/done?code=ACCESS_DENIED&xConnect=failed`],
  ])('%s', async (returnTo, expected) => {
    const location = await landAfterX(returnTo)
    expect(location?.replace(/&attempt=[0-9a-f-]{36}/, '').replace(/#.*/, '')).toBe(expected())
  })

  test('after a sign-in too', async () => {
    expect(await landAfterGithub(`${FRONT_END}/done`)).toBe(`${FRONT_END}/done?signIn=succeeded`)
    expect(await landAfterGithub('/settings')).toBe(`${world.url}/settings?signIn=succeeded`)
    expect(await landAfterGithub('')).toBe(`${world.url}/?signIn=succeeded`)
  })

  test('but not in a browser without that attempt', async () => {
    const { authorizationUrl } = await person.startXConnect({ returnTo: `${FRONT_END}/done` })
    const callback = await person.consent(authorizationUrl ?? '', 'maraholt')
    expect((await world.browser().finish(callback)).url.href).toBe(`${world.url}/?xConnect=failed&code=SESSION_MISSING`)
  })
})

test.each([
  ['of 2,000 characters is taken', 2_000, true],
  ['of one more is refused: it has to fit into a header', 2_001, false],
])('a returnTo %s', async (_what, length, isTaken) => {
  const location = await landAfterX(`/${'a'.repeat(length - world.url.length - 1)}`)
  expect(location !== null).toBe(isTaken)
})

test('refuses a returnTo with half a character instead of changing it', async () => {
  expect(await landAfterX('/a\ud800b')).toBeNull()
  expect(await landAfterX('/a\ufffdb')).not.toBeNull()
})

test('O-08 never redirects to anything else, in hundreds of spellings', async () => {
  const spellings = hostileReturns(world.url, FRONT_END)
  expect(spellings.length).toBeGreaterThan(300)
  let refused = 0
  for (const [index, returnTo] of spellings.entries()) {
    // A sign-in takes several requests: every thirteenth spelling is enough there, since the check
    // is the same.
    for (const land of index % 13 === 0 ? [landAfterX, landAfterGithub] : [landAfterX]) {
      const location = await land(returnTo)
      if (location === null) refused += 1
      else expectSafeReturn(location, returnTo, world.url, FRONT_END)
    }
  }
  expect(refused).toBeGreaterThan(250)
}, 600_000)

test('O-08 a repeated returnTo leads nowhere else either', async () => {
  for (const query of [
    'returnTo=/&returnTo=//evil.example',
    'returnTo=//evil.example&returnTo=/',
    'returnTo[]=//evil.example',
  ]) {
    for (const path of ['/auth/github', '/auth/x'])
      expect((await person.request(`${path}?${query}`)).status, query).toBe(303)
    const rows = await world
      .db()
      .select({ returnTo: connectAttempts.returnTo })
      .from(connectAttempts)
      .unionAll(world.db().select({ returnTo: signInAttempts.returnTo }).from(signInAttempts))
    for (const { returnTo } of rows) if (returnTo !== null) expectSafeReturn(returnTo, query, world.url, FRONT_END)
  }
})
