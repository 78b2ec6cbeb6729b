// What else a provider's redirect may bring along, and what a browser gets for it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectAttempts, sessions } from '../../src/db/tables.ts'
import type { Browser } from '../browser.ts'
import { startWorld, type World } from '../harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const tokenPaths = { GITHUB: '/login/oauth/access_token', X: '/2/oauth2/token' }
const countTokenCalls = () =>
  Object.values(tokenPaths).map((path) => world.sandbox.control.countReceived({ method: 'POST', path }))

type Trip = { person: Browser; start(): Promise<string>; approve(url: string): Promise<string>; parameter: string }

async function tripOf(provider: 'GITHUB' | 'X'): Promise<Trip> {
  const person = provider === 'GITHUB' ? world.browser() : await world.signedIn()
  const path = provider === 'GITHUB' ? '/auth/github' : '/auth/x'
  return {
    person,
    start: async () => (await person.request(path)).headers.get('location') ?? '',
    approve: (url) => person.consent(url, provider === 'GITHUB' ? 'mara-holt' : 'maraholt'),
    parameter: provider === 'GITHUB' ? 'signIn' : 'xConnect',
  }
}

describe.each(['GITHUB', 'X'] as const)('the callback of %s', (provider) => {
  test('O-10 answers 303, to be kept by nobody and told to nobody, and leaves no code in the address', async () => {
    const { person, start, approve } = await tripOf(provider)
    const callback = await approve(await start())
    for (const visit of ['the first', 'the second']) {
      const answer = await person.request(callback)
      expect([answer.status, await answer.text()], visit).toEqual([303, ''])
      expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
      expect(answer.headers.get('cache-control')).toBe('no-store')
      const location = answer.headers.get('location') ?? ''
      expect(new URL(location).origin).toBe(world.url)
      for (const name of ['state', 'code'])
        expect(location).not.toContain(new URL(callback).searchParams.get(name) ?? 'Bug: none')
    }
  })

  test('O-05 pays no heed to an iss: where the attempt began decides, and no other is asked', async () => {
    for (const iss of ['https://evil.example', 'https://github.com', 'https://x.com', '', 'x&iss=y']) {
      const { person, start, approve } = await tripOf(provider)
      const callback = await approve(await start())
      const before = countTokenCalls()
      const { outcome } = await person.finish(`${callback}&iss=${iss}`)
      expect(outcome).toBe(provider === 'GITHUB' ? 'succeeded' : 'connected')
      expect(countTokenCalls().map((count, index) => count - (before[index] ?? 0))).toEqual(
        provider === 'GITHUB' ? [1, 0] : [0, 1],
      )
    }
  })

  test('O-06 repeats nothing of what a provider says of an error, and the attempt is over', async () => {
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
      const answer = await person.request(`${path}?${query}`)
      const code = index === 0 ? 'ACCESS_DENIED' : 'CALLBACK_INVALID'
      const location = new URL(answer.headers.get('location') ?? '')
      expect([answer.status, await answer.text(), location.origin, location.pathname]).toEqual([
        303,
        '',
        world.url,
        '/',
      ])
      location.searchParams.delete('attempt')
      expect(location.search).toBe(`?${parameter}=failed&code=${code}`)
      expect(answer.headers.getSetCookie().join()).not.toMatch(/a=b|session=\w/)
      // Who approves all the same comes too late.
      for (const [name, value] of cookies) person.cookies.set(name, value)
      expect(await person.finish(await approve(url))).toMatchObject({ outcome: 'failed', code })
      expect([countTokenCalls(), await world.db().$count(sessions)]).toEqual([before, signedIn])
    }
    const kept = JSON.stringify(await world.db().select().from(connectAttempts))
    for (const text of [kept, world.logs()]) expect(text).not.toMatch(/evil\.example|script|onerror/)
  })
})
