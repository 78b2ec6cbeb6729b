// Unusual parameters of a provider's redirect, and the responses to them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectAttempts, sessions, signInAttempts } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const tokenPaths = { GITHUB: '/login/oauth/access_token', X: '/2/oauth2/token' }
const countTokenCalls = () =>
  Object.values(tokenPaths).map((path) => world.sandbox.control.countReceived({ method: 'POST', path }))

const RETURN_TO = '/settings'

type Trip = {
  person: Browser
  start(returnTo?: string): Promise<string>
  approve(url: string, decision?: 'approve' | 'deny'): Promise<string>
  parameter: string
}

async function tripOf(provider: 'GITHUB' | 'X'): Promise<Trip> {
  const person = provider === 'GITHUB' ? world.browser() : await world.signedIn()
  const path = provider === 'GITHUB' ? '/auth/github' : '/auth/x'
  return {
    person,
    start: async (returnTo = '') =>
      (await person.request(`${path}?${new URLSearchParams({ returnTo })}`)).headers.get('location') ?? '',
    approve: (url, decision) => person.consent(url, provider === 'GITHUB' ? 'mara-holt' : 'maraholt', decision),
    parameter: provider === 'GITHUB' ? 'signIn' : 'xConnect',
  }
}

describe.each(['GITHUB', 'X'] as const)('the callback of %s', (provider) => {
  test('O-10 responds with 303, uncached and without a referrer, and leaves no code in the URL', async () => {
    const { person, start, approve } = await tripOf(provider)
    const callback = await approve(await start())
    for (const visit of ['the first', 'the second']) {
      const response = await person.request(callback)
      expect([response.status, await response.text()], visit).toEqual([303, ''])
      expect(response.headers.get('referrer-policy')).toBe('no-referrer')
      expect(response.headers.get('cache-control')).toBe('no-store')
      const location = response.headers.get('location') ?? ''
      expect(new URL(location).origin).toBe(world.url)
      for (const name of ['state', 'code'])
        expect(location).not.toContain(new URL(callback).searchParams.get(name) ?? 'Bug: none')
    }
  })

  // The issuer of this provider, if it sends one; the rest is foreign to it.
  const own = () => (provider === 'GITHUB' ? `${world.sandbox.url}/login/oauth` : null)
  const foreign: [what: string, iss: () => string][] = [
    ['another host’s', () => 'https://evil.example/login/oauth'],
    ['the other provider’s', () => (provider === 'GITHUB' ? 'https://x.com' : `${world.sandbox.url}/login/oauth`)],
    ['the provider’s origin alone', () => world.sandbox.url],
    ['its own with a slash', () => `${world.sandbox.url}/login/oauth/`],
    ['its own in capitals', () => `${world.sandbox.url}/login/oauth`.toUpperCase()],
    ['an empty one', () => ''],
  ]
  const withIss = (callback: string, ...values: string[]) => {
    const url = new URL(callback)
    url.searchParams.delete('iss')
    for (const value of values) url.searchParams.append('iss', value)
    return url.href
  }
  const countedSince = (before: number[]) => countTokenCalls().map((count, index) => count - (before[index] ?? 0))

  test.each(foreign)('O-05 refuses an iss that is %s, before the code is exchanged', async (_what, iss) => {
    for (const decision of ['approve', 'deny'] as const) {
      const { person, start, approve, parameter } = await tripOf(provider)
      const url = await start(RETURN_TO)
      const callback = await approve(url, decision)
      const [before, signedIn] = [countTokenCalls(), await world.db().$count(sessions)]
      for (const visit of ['the first', 'the second']) {
        const { url: landed, code, outcome } = await person.finish(withIss(callback, iss()))
        expect([`${landed.origin}${landed.pathname}`, outcome, code], visit).toEqual([
          `${world.url}/settings`,
          'failed',
          'ISSUER_MISMATCH',
        ])
      }
      // The attempt has ended: the provider's own redirect cannot exchange the same code either.
      const { url: landed } = await person.finish(callback)
      expect(landed.searchParams.get(parameter)).toBe('failed')
      expect([countedSince(before), await world.db().$count(sessions)]).toEqual([[0, 0], signedIn])
    }
    expect(world.logs()).not.toContain('evil.example')
  })

  test('O-05 accepts its provider’s own iss, and a response without one', async () => {
    for (const values of own() === null ? [[]] : [[own() ?? ''], []]) {
      const { person, start, approve } = await tripOf(provider)
      const callback = withIss(await approve(await start()), ...values)
      const before = countTokenCalls()
      const { outcome } = await person.finish(callback)
      expect(outcome).toBe(provider === 'GITHUB' ? 'succeeded' : 'connected')
      expect(countedSince(before)).toEqual(provider === 'GITHUB' ? [1, 0] : [0, 1])
    }
  })

  test('O-05 refuses two of them in either order', async () => {
    for (const values of [
      [own() ?? 'x', 'https://evil.example'],
      ['https://evil.example', own() ?? 'x'],
    ]) {
      const { person, start, approve } = await tripOf(provider)
      const callback = withIss(await approve(await start()), ...values)
      const before = countTokenCalls()
      expect(await person.finish(callback)).toMatchObject({ outcome: 'failed', code: 'CALLBACK_INVALID' })
      expect(countedSince(before)).toEqual([0, 0])
    }
  })

  test('O-06 repeats nothing of a provider’s error, and ends the attempt', async () => {
    const hostile = ['<script>1</script>', 'https://evil.example', '"><img src=x onerror=1>', '\r\nSet-Cookie: a=b']
    for (const [index, text] of ['access_denied', ...hostile].entries()) {
      const { person, start, approve, parameter } = await tripOf(provider)
      const cookies = new Map(person.cookies)
      const url = await start()
      for (const [name, value] of person.cookies) cookies.set(name, value)
      const state = new URL(url).searchParams.get('state') ?? ''
      const [before, signedIn] = [countTokenCalls(), await world.db().$count(sessions)]
      const query = new URLSearchParams({
        error: text,
        error_description: hostile.join(),
        error_uri: hostile[1] ?? '',
        state,
      })
      const path = `/auth/${provider === 'GITHUB' ? 'github' : 'x'}/callback`
      const response = await person.request(`${path}?${query}`)
      const code = index === 0 ? 'ACCESS_DENIED' : 'CALLBACK_INVALID'
      const location = new URL(response.headers.get('location') ?? '')
      expect([response.status, await response.text(), location.origin, location.pathname]).toEqual([
        303,
        '',
        world.url,
        '/',
      ])
      location.searchParams.delete('attempt')
      expect(location.search).toBe(`?${parameter}=failed&code=${code}`)
      expect(response.headers.getSetCookie().join()).not.toMatch(/a=b|session=\w/)
      // A later approval comes too late.
      for (const [name, value] of cookies) person.cookies.set(name, value)
      expect(await person.finish(await approve(url))).toMatchObject({ outcome: 'failed', code })
      expect([countTokenCalls(), await world.db().$count(sessions)]).toEqual([before, signedIn])
    }
    const tables = [await world.db().select().from(connectAttempts), await world.db().select().from(signInAttempts)]
    const kept = JSON.stringify(tables)
    for (const text of [kept, world.logs()]) expect(text).not.toMatch(/evil\.example|script|onerror/)
  })
})

test('O-05 a GITHUB_URL in capitals is the same issuer', async () => {
  const { github } = world.config
  await world.restart({ github: { ...github, url: github.url.replace('localhost', 'LocalHost') } })
  expect(await world.browser().signIn('mara-holt')).toMatchObject({ outcome: 'succeeded' })
  await world.restart({ github })
})
