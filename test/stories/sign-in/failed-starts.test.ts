// An OAuth flow that is refused before the redirect to the provider: the redirect and the log line.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Browser } from '../../support/browser.ts'
import { startWorld, type World } from '../../support/harness.ts'

const FRONT_END = 'https://app.example'
const RETURN_TO = `${FRONT_END}/settings?tab=x`

/** A world with these limits beside generous ones. */
async function open(limits: string): Promise<World> {
  return startWorld({ ALLOWED_ORIGINS: FRONT_END, RATE_LIMITS: limits })
}

/**
 * Returns the redirect of a response, and the log lines about failed OAuth flows that it caused.
 */
async function visit(world: World, browser: Browser, target: string) {
  const before = world.logs().length
  const response = await browser.request(target)
  expect([response.status, await response.text()]).toEqual([303, ''])
  const lines = world
    .logs()
    .slice(before)
    .split('\n')
    .filter((line) => /"msg":"A (sign-in|connection) failed/.test(line))
    .map((line): { errorCode: string; attemptId: string | null; msg: string } => JSON.parse(line))
  return { location: response.headers.get('location'), lines }
}

const starting = (path: string, parameters: Record<string, string>) => `${path}?${new URLSearchParams(parameters)}`

describe('a refused start redirects with its code to the page that it came from', () => {
  let world: World
  beforeAll(async () => {
    world = await open('sign-in=100/3600,connect=3/3600')
  })
  afterAll(() => world.close())

  const expectRefused = async (browser: Browser, parameters: Record<string, string>, code: string) => {
    const begun = (extra: Record<string, string>) => starting('/auth/x', { ...parameters, ...extra })
    const places: [asked: Record<string, string>, landing: string][] = [
      [{ returnTo: RETURN_TO }, `${RETURN_TO}&xConnect=failed&code=${code}`],
      [{ returnTo: '/settings' }, `${world.url}/settings?xConnect=failed&code=${code}`],
      [{}, `${world.url}/?xConnect=failed&code=${code}`],
    ]
    for (const [asked, landing] of places) {
      const { location, lines } = await visit(world, browser, begun(asked))
      expect(location).toBe(landing)
      expect(lines).toMatchObject([{ msg: 'A connection failed', errorCode: code, attemptId: null }])
    }
    // Unlisted pages are no targets, whatever else is wrong.
    for (const returnTo of ['https://evil.example/', '//evil.example', '/auth/sign-out', `${FRONT_END}@evil.example`]) {
      const { location, lines } = await visit(world, browser, begun({ returnTo }))
      expect(location).toMatch(new RegExp(`^${world.url}/\\?xConnect=failed&code=[A-Z_]+$`))
      expect(lines).toHaveLength(1)
    }
  }

  test('without a session', async () => {
    await expectRefused(world.browser(), {}, 'UNAUTHENTICATED')
  })

  test.each<[string, Record<string, string>, string]>([
    ['unknown scopes', { scopes: 'tweet.read everything' }, 'BAD_USER_INPUT'],
    ['an invalid username', { expectedUsername: 'not a name' }, 'BAD_USER_INPUT'],
    ['an account that is not the viewer’s', { reconnectAccountId: crypto.randomUUID() }, 'ACCOUNT_NOT_FOUND'],
  ])('for %s', async (_what, parameters, code) => {
    await expectRefused(await world.signedIn(), parameters, code)
  })

  test('if the user has started too many', async () => {
    const person = await world.signedIn('tomasz-k')
    for (let start = 0; start < 3; start++) {
      const { location, lines } = await visit(world, person, starting('/auth/x', { returnTo: RETURN_TO }))
      expect([location?.startsWith(world.sandbox.url), lines]).toEqual([true, []])
    }
    await expectRefused(person, {}, 'RATE_LIMITED')
  })
})

describe('an address without remaining limit', () => {
  let world: World
  // One request each 400 seconds.
  afterEach(() => world.close())

  test('is redirected to the returnTo of its sign-in', async () => {
    world = await open('sign-in=1/400')
    const browser = world.browser()
    await browser.request('/auth/github')
    for (const [returnTo, landing] of [
      [RETURN_TO, `${RETURN_TO}&signIn=failed&code=RATE_LIMITED`],
      ['/settings', `${world.url}/settings?signIn=failed&code=RATE_LIMITED`],
      ['//evil.example', `${world.url}/?signIn=failed&code=RATE_LIMITED`],
    ] as const) {
      const { location, lines } = await visit(world, browser, starting('/auth/github', { returnTo }))
      expect(location).toBe(landing)
      expect(lines).toMatchObject([{ msg: 'A sign-in failed', errorCode: 'RATE_LIMITED' }])
    }
  })

  test('is redirected from its own callbacks, and may repeat them', async () => {
    world = await open('sign-in=3/1200')
    const person = await world.signedIn()
    const connecting = await person.startXConnect({ returnTo: RETURN_TO })
    const connect = await person.consent(connecting.authorizationUrl ?? '', 'maraholt')
    const browser = world.browser()
    const start = await browser.request(starting('/auth/github', { returnTo: RETURN_TO }))
    const signIn = await browser.consent(start.headers.get('location') ?? '', 'tomasz-k')

    const attempt = connecting.connectAttempt?.id ?? 'Bug: none'
    const own: [Browser, callback: string, landing: string][] = [
      [browser, signIn, `${RETURN_TO}&signIn=failed&code=RATE_LIMITED`],
      [person, connect, `${RETURN_TO}&xConnect=failed&code=RATE_LIMITED&attempt=${attempt}`],
    ]
    for (const [visitor, callback, landing] of own) {
      const { location, lines } = await visit(world, visitor, callback)
      expect(location).toBe(landing)
      expect(lines).toMatchObject([{ errorCode: 'RATE_LIMITED', attemptId: expect.any(String) }])
    }
    // No other browser learns anything of an attempt, not even its returnTo.
    const foreign: [Browser, callback: string, parameter: string][] = [
      [world.browser(), signIn, 'signIn'],
      [person, signIn, 'signIn'],
      [world.browser(), connect, 'xConnect'],
      [browser, connect, 'xConnect'],
      [browser, '/auth/github/callback?state=unknown&code=x', 'signIn'],
      [person, '/auth/x/callback', 'xConnect'],
      [browser, signIn.replace('/auth/github/', '/auth/x/'), 'xConnect'],
    ]
    for (const [visitor, callback, parameter] of foreign) {
      const { location, lines } = await visit(world, visitor, callback)
      expect(location).toBe(`${world.url}/?${parameter}=failed&code=RATE_LIMITED`)
      expect(lines).toHaveLength(1)
    }
    // The refusal has ended nothing.
    world.advance(400)
    expect((await browser.finish(signIn)).url.href).toBe(`${RETURN_TO}&signIn=succeeded`)
  })
})
