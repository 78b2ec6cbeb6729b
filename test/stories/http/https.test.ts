import { afterAll, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../../support/harness.ts'

// As behind a proxy that terminates TLS.
const ORIGIN = 'https://gateway.example'

let world: World
beforeAll(async () => {
  world = await startWorld({ PUBLIC_URL: ORIGIN })
  world.sandbox.control.registerRedirectUri(`${ORIGIN}/auth/github/callback`)
})
afterAll(() => world.close())

test('S-02 the cookies are Secure, and bound to the host by their names', async () => {
  const person = world.browser()
  const start = await person.request('/auth/github')
  const callback = await person.consent(start.headers.get('location') ?? '', 'mara-holt')
  expect(callback.startsWith(`${ORIGIN}/auth/github/callback?`)).toBe(true)
  const finish = await person.request(callback.replace(ORIGIN, world.url))
  expect(finish.headers.get('location')).toBe(`${ORIGIN}/?signIn=succeeded`)
  const cookies = [start, finish].flatMap(({ headers }) => headers.getSetCookie())
  const names = cookies.map((cookie) => cookie.split('=')[0])
  expect(names).toEqual([
    expect.stringMatching(/^__Host-xconnect_sign_in_[0-9a-f]{16}$/),
    names[0],
    '__Host-xconnect_session',
  ])
  for (const cookie of cookies) {
    expect(cookie).toMatch(/; Secure(;|$)/)
    expect(cookie).toMatch(/; Path=\/(;|$)/)
    expect(cookie).not.toMatch(/domain/i)
    // A header that deletes a cookie needs no such attributes.
    if (cookie.includes('=;')) continue
    expect(cookie).toMatch(/; HttpOnly(;|$)/)
    expect(cookie).toMatch(/; SameSite=Lax(;|$)/)
  }
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
  // A sibling subdomain can set a cookie with the plain name, so that name is not read.
  const victim = world.browser()
  victim.cookies.set('xconnect_session', person.cookies.get('__Host-xconnect_session') ?? '')
  expect(await victim.api('viewer')).toEqual({ viewer: null })
})

test('C-06 the response has HSTS', async () => {
  for (const path of ['/', '/healthz', '/auth/github', '/nowhere']) {
    const { headers } = await world.browser().request(path)
    expect(headers.get('strict-transport-security'), path).toContain('max-age=31536000')
  }
})

test('an http page of the same host is cross-site', async () => {
  const send = (origin: string) =>
    world
      .browser()
      .request('/auth/sign-out', { method: 'POST', headers: { origin } })
      .then(({ status }) => status)
  expect(await Promise.all([ORIGIN, ORIGIN.replace('https', 'http'), `${ORIGIN}:8443`].map(send))).toEqual([
    303, 403, 403,
  ])
})
