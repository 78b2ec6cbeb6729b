import { createHash } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { sessions, userIdentities, userLogins, users } from '../../../src/db/tables.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { readEveryRow } from '../../support/dump.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { whileAttemptIsHeld } from '../../support/held-attempt.ts'
import { untilNoRows } from '../../support/user-deletion.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const TOKEN_PATH = '/login/oauth/access_token'
const SESSION = 'xconnect_session'
const countTokenCalls = () => world.sandbox.control.countReceived({ method: 'POST', path: TOKEN_PATH })
const viewerOf = async (person: Browser) => (await person.api('viewer')).viewer

/** Visits GET /auth/github, and returns GitHub's URL with its parameters. */
async function start(person: Browser): Promise<{ url: string; asked: URLSearchParams }> {
  const response = await person.request('/auth/github')
  expect(response.status).toBe(303)
  const url = response.headers.get('location') ?? ''
  return { url, asked: new URL(url).searchParams }
}

async function startAndApprove(person: Browser, login = 'mara-holt'): Promise<string> {
  return person.consent((await start(person)).url, login)
}

/** Visits a callback that must fail without a request to GitHub and without a session. */
async function expectRefusal(person: Browser, callbackUrl: string, code: string): Promise<void> {
  const [calls, signedIn] = [countTokenCalls(), await world.db().$count(sessions)]
  expect(await person.finish(callbackUrl)).toMatchObject({ outcome: 'failed', code })
  expect(person.cookies.has(SESSION)).toBe(false)
  expect(await viewerOf(person)).toBeNull()
  expect([countTokenCalls(), await world.db().$count(sessions)]).toEqual([calls, signedIn])
}

describe('the authorization request to GitHub', () => {
  test('O-01 O-12 has a new state and a new S256 challenge, and asks for no scope', async () => {
    const [first, second] = [await start(world.browser()), await start(world.browser())]
    for (const { url, asked } of [first, second]) {
      expect(url.startsWith(`${world.sandbox.url}/login/oauth/authorize?`)).toBe(true)
      expect(Object.fromEntries(asked)).toMatchObject({
        response_type: 'code',
        client_id: world.config.github.clientId,
        redirect_uri: `${world.url}/auth/github/callback`,
        code_challenge_method: 'S256',
      })
      expect(asked.get('code_challenge')).toMatch(/^[\w-]{43}$/)
      expect(asked.get('state')).toMatch(/^[\w-]{43}$/)
      expect(asked.get('scope') ?? '').toBe('')
    }
    expect(first.asked.get('code_challenge')).not.toBe(second.asked.get('code_challenge'))
    expect(first.asked.get('state')).not.toBe(second.asked.get('state'))
  })

  test('O-01 the verifier has 128 characters and matches the challenge; it is stored sealed until it is used', async () => {
    const person = world.browser()
    const { url, asked } = await start(person)
    const state = asked.get('state') ?? ''
    const findAttempt = () =>
      world.db().query.signInAttempts.findFirst({ where: (table, { eq }) => eq(table.stateHash, sha256(state)) })
    const before = await findAttempt()
    expect(await person.finish(await person.consent(url, 'mara-holt'))).toMatchObject({ outcome: 'succeeded' })
    const sent = world.sandbox.control.received({ path: TOKEN_PATH }).at(-1)
    const verifier = new Map(Object.entries(sent?.body ?? {})).get('code_verifier')
    expect(verifier).toMatch(/^[\w-]{128}$/)
    expect(createHash('sha256').update(verifier).digest('base64url')).toBe(asked.get('code_challenge'))
    expect(before?.verifierSealed).not.toContain(verifier)
    expect(JSON.stringify(before)).not.toContain(state)
    expect(await findAttempt()).toMatchObject({ status: 'SUCCEEDED', verifierSealed: null })
  })
})

describe('the identity of a user', () => {
  test('L-02 is the same after a new login, with the new name and picture', async () => {
    const before = await viewerOf(await world.signedIn('tomasz-k'))
    world.sandbox.control.renameGithubPerson('tomasz-k', 'tomasz-renamed')
    const after = await viewerOf(await world.signedIn('tomasz-renamed'))
    expect(after).toMatchObject({ id: before?.id, login: 'tomasz-renamed' })
  })

  test('L-02 is another for a new owner of the login', async () => {
    const before = await viewerOf(await world.signedIn('yuki-ito'))
    world.sandbox.control.renameGithubPerson('yuki-ito', 'yuki-gone')
    const githubId = world.sandbox.control.addGithubPerson('yuki-ito')
    const after = await viewerOf(await world.signedIn('yuki-ito'))
    expect(after?.id).not.toBe(before?.id)
    const rows = await world.db().select({ id: users.id, githubId: users.githubId }).from(users)
    expect(rows).toContainEqual({ id: after?.id, githubId })
    expect(rows.find(({ id }) => id === before?.id)?.githubId).toBe(190_288_735)
  })

  test('is one for many first sign-ins at once, and a deletion meanwhile leaves none or a new one', async () => {
    const githubId = world.sandbox.control.addGithubPerson('nadia-first')
    const signInAll = (count: number) =>
      Promise.all(Array.from({ length: count }, async () => viewerOf(await world.signedIn('nadia-first'))))
    const ids = new Set((await signInAll(12)).map((viewer) => viewer?.id))
    expect(ids.size).toBe(1)
    const identities = () => world.db().select().from(userIdentities).where(eq(userIdentities.githubId, githubId))
    const logins = () => world.db().select().from(userLogins).where(eq(userLogins.login, 'nadia-first'))
    expect(await identities()).toEqual([{ githubId, userId: [...ids][0] }])

    const leaving = await world.signedIn('nadia-first')
    const deleted = leaving.api('delete-viewer', { input: { login: 'nadia-first' } })
    await Promise.allSettled([deleted, ...Array.from({ length: 6 }, () => world.signedIn('nadia-first'))])
    expect(await deleted).toMatchObject({ deleteViewer: { deletedUserId: [...ids][0] } })
    await untilNoRows(world, String([...ids][0]))
    const left = await world.db().select().from(users).where(eq(users.githubId, githubId))
    expect(await identities()).toEqual(left.map(({ id }) => ({ githubId, userId: id })))
    expect(await logins()).toEqual(left.map(({ id }) => ({ login: 'nadia-first', userId: id })))
    expect(left.map(({ id }) => id)).not.toContain([...ids][0])
  })

  test('L-03 is another with the same verified e-mail address, which is stored nowhere', async () => {
    const email = 'shared.by-two@example.com'
    const ids = []
    for (const login of ['mara-holt', 'tomasz-renamed']) {
      const match = { path: '/user' }
      world.sandbox.control.inject({ kind: 'response', body: { email, email_verified: true }, match })
      ids.push((await viewerOf(await world.signedIn(login)))?.id)
    }
    expect(world.sandbox.control.faults().map(({ hits }) => hits)).toEqual([1, 1])
    world.sandbox.control.clearFaults()
    expect(new Set(ids).size).toBe(2)
    expect(ids).not.toContain(undefined)
    expect(await readEveryRow(world)).not.toContain(email)
  })
})

describe('the session', () => {
  test('S-03 is new at each sign-in, and the old one ends', async () => {
    const person = await world.signedIn()
    const old = person.cookies.get(SESSION) ?? ''
    await person.signIn('mara-holt')
    expect(person.cookies.get(SESSION)).not.toBe(old)
    expect(await viewerOf(person)).toMatchObject({ login: 'mara-holt' })
    const thief = world.browser()
    thief.cookies.set(SESSION, old)
    expect(await viewerOf(thief)).toBeNull()
    expect(await world.db().$count(sessions, eqId(old))).toBe(0)
  })

  test('S-03 is never a planted one', async () => {
    const planted = 'A'.repeat(43)
    const victim = world.browser()
    victim.cookies.set(SESSION, planted)
    await victim.signIn('mara-holt')
    expect(victim.cookies.get(SESSION)).not.toBe(planted)
    const attacker = world.browser()
    attacker.cookies.set(SESSION, planted)
    expect(await viewerOf(attacker)).toBeNull()
    expect(await world.db().$count(sessions, eqId(planted))).toBe(0)
  })

  test('S-03 is new even if an attacker planted a valid session of their own', async () => {
    const attacker = await world.signedIn('tomasz-renamed')
    const planted = attacker.cookies.get(SESSION) ?? ''
    const victim = world.browser()
    victim.cookies.set(SESSION, planted)
    await victim.signIn('mara-holt')
    expect(victim.cookies.get(SESSION)).not.toBe(planted)
    expect(await viewerOf(attacker)).toBeNull()
    expect(await viewerOf(victim)).toMatchObject({ login: 'mara-holt' })
  })

  test('is the new one even if the old one was due for renewal at that moment', async () => {
    const person = await world.signedIn()
    const old = person.cookies.get(SESSION) ?? ''
    const callback = await startAndApprove(person)
    await world
      .db()
      .update(sessions)
      .set({ expiresAt: inDays(10) })
      .where(eqId(old))
    await person.finish(callback)
    expect(person.cookies.get(SESSION)).not.toBe(old)
    expect(await viewerOf(person)).toMatchObject({ login: 'mara-holt' })
  })
})

describe('O-02 refuses a callback without asking GitHub and without a session', () => {
  test('in a browser that started nothing, and the right browser can still finish', async () => {
    const person = world.browser()
    const callback = await startAndApprove(person)
    await expectRefusal(world.browser(), callback, 'ATTEMPT_UNKNOWN')
    expect(await person.finish(callback)).toMatchObject({ outcome: 'succeeded' })
  })

  test('in a browser that started another sign-in (login CSRF)', async () => {
    const [attacker, victim] = [world.browser(), world.browser()]
    const callback = await startAndApprove(attacker, 'tomasz-renamed')
    await start(victim)
    await expectRefusal(victim, callback, 'ATTEMPT_UNKNOWN')
  })

  test.each([
    ['no state', (url: URL) => url.searchParams.delete('state')],
    ['an empty state', (url: URL) => url.searchParams.set('state', '')],
    [
      'one character of the state changed',
      (url: URL) => url.searchParams.set('state', flipped(url.searchParams.get('state'))),
    ],
    ['a state and NUL', (url: URL) => url.searchParams.set('state', `${url.searchParams.get('state')}\0`)],
  ])('with %s', async (_what, change) => {
    const person = world.browser()
    const url = new URL(await startAndApprove(person))
    change(url)
    await expectRefusal(person, url.href, 'ATTEMPT_UNKNOWN')
  })

  test('O-07 with two parameters of one name', async () => {
    for (const name of ['state', 'code', 'error']) {
      const person = world.browser()
      const url = new URL(await startAndApprove(person))
      for (const value of ['a', 'b'].slice(url.searchParams.has(name) ? 1 : 0)) url.searchParams.append(name, value)
      await expectRefusal(person, url.href, 'CALLBACK_INVALID')
    }
  })

  test('with neither code nor error', async () => {
    const person = world.browser()
    const url = new URL(await startAndApprove(person))
    url.searchParams.delete('code')
    await expectRefusal(person, url.href, 'CALLBACK_INVALID')
  })

  test('eleven minutes later', async () => {
    const person = world.browser()
    const callback = await startAndApprove(person)
    world.advance(660)
    await expectRefusal(person, callback, 'ATTEMPT_EXPIRED')
  })

  test('O-06 after a denial, which ends the attempt; GitHub’s message is not repeated', async () => {
    const person = world.browser()
    const { url } = await start(person)
    const cookies = new Map(person.cookies)
    const denied = new URL(await person.consent(url, 'mara-holt', 'deny'))
    denied.searchParams.set('error_description', '<script>alert(1)</script>')
    await expectRefusal(person, denied.href, 'ACCESS_DENIED')
    for (const [name, value] of cookies) person.cookies.set(name, value)
    const response = await person.request(denied.href)
    expect(response.headers.get('location')).toBe(`${world.url}/?signIn=failed&code=ACCESS_DENIED`)
    expect(await response.text()).not.toContain('script')
  })

  test('a second time, even with the first browser’s cookies, once the time for a reload is over', async () => {
    const person = world.browser()
    const callback = await startAndApprove(person)
    const cookies = new Map(person.cookies)
    await person.finish(callback)
    world.advance(11)
    const replaying = world.browser()
    for (const [name, value] of cookies) replaying.cookies.set(name, value)
    await expectRefusal(replaying, callback, 'ATTEMPT_ALREADY_USED')
  })
})

test('O-03 of 50 identical callbacks at once, one signs in and GitHub receives one token call', async () => {
  const person = world.browser()
  const callback = await startAndApprove(person)
  const { cookie } = cookieOf(person)
  const [calls, before] = [countTokenCalls(), await world.db().$count(sessions)]
  const responses = await whileAttemptIsHeld(world, callback, () =>
    Promise.all(Array.from({ length: 50 }, () => person.request(callback, { headers: { cookie } }))),
  )
  const outcomes = responses.map((response) => new URL(response.headers.get('location') ?? '').search)
  const cookies = responses.flatMap((response) =>
    response.headers.getSetCookie().filter((text) => text.startsWith(SESSION)),
  )
  // One session: whichever response the browser keeps, it is signed in.
  expect(cookies).toHaveLength(outcomes.filter((outcome) => outcome === '?signIn=succeeded').length)
  expect(new Set(cookies).size).toBe(1)
  expect(new Set(outcomes)).toEqual(new Set(['?signIn=succeeded']))
  expect(countTokenCalls()).toBe(calls + 1)
  expect(await world.db().$count(sessions)).toBe(before + 1)
  const state = new URL(callback).searchParams.get('state') ?? ''
  const attempt = await world
    .db()
    .query.signInAttempts.findFirst({ where: (table, { eq }) => eq(table.stateHash, sha256(state)) })
  expect(attempt).toMatchObject({ status: 'SUCCEEDED', errorCode: null })
})

const eqId = (token: string) => eq(sessions.id, sha256(token))
const inDays = (days: number) => new Date(Date.now() + days * 86_400_000)

function flipped(text: string | null): string {
  return `${text?.startsWith('A') ? 'B' : 'A'}${text?.slice(1)}`
}
