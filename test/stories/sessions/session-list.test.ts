// The list of a user's sessions, and how the user ends them.
import { and, eq, ne } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { events, sessions } from '../../../src/db/tables.ts'
import { type Browser, cookieOf, isSignedIn, sessionTokenOf, type UserError } from '../../support/browser.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { isSessionOf } from '../../support/session-row.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
beforeEach(async () => {
  await world.db().delete(sessions)
})
afterAll(() => world.close())

const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36'
const FIREFOX = 'Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0'
const HOUR = 3_600
const DAY = 24 * HOUR

type Session = {
  id: string
  device: string | null
  createdAt: string
  lastUsedAt: string
  expiresAt: string
  current: boolean
}

async function signIn(userAgent: string, login = 'mara-holt'): Promise<Browser> {
  const person = world.browser(userAgent)
  await person.signIn(login)
  return person
}

const list = async (person: Browser) => (await person.api<{ sessions: Session[] }>('sessions')).sessions
const devices = async (person: Browser) => (await list(person)).map(({ device }) => device)
const idOf = async (person: Browser) => (await list(person)).find(({ current }) => current)?.id ?? ''

async function revoke(person: Browser, id: string) {
  const response = await person.api<{ revokeSession: { session: Partial<Session> | null; userErrors: UserError[] } }>(
    'revoke-session',
    { input: { sessionId: id } },
  )
  return response.revokeSession
}

const revokeOthers = async (person: Browser) =>
  (await person.api<{ revokeOtherSessions: { revokedCount: number } }>('revoke-other-sessions')).revokeOtherSessions

describe('S-07 the list of one’s sessions', () => {
  test('has each browser with its name and time: the current one, then the last used, and no other user’s', async () => {
    const first = await signIn(CHROME)
    const second = await signIn(FIREFOX)
    const third = await signIn('curl/8.15.0')
    await signIn(CHROME, 'yuki-ito')
    for (const [person, hours] of [
      [second, 2],
      [third, 5],
    ] as const)
      await world
        .db()
        .update(sessions)
        .set({ lastUsedAt: new Date(Date.now() - hours * HOUR * 1000) })
        .where(isSessionOf(person))
    const listed = await list(first)
    expect(listed.map(({ device, current }) => [device, current])).toEqual([
      ['Chrome on Linux', true],
      ['Firefox on Android', false],
      [null, false],
    ])
    for (const { createdAt, expiresAt } of listed)
      expect(Math.abs(Date.parse(expiresAt) - Date.parse(createdAt) - 30 * DAY * 1000)).toBeLessThan(1_000)
    expect((await list(second)).map(({ current }) => current)).toEqual([true, false, false])
  })

  test('contains nothing that could authenticate', async () => {
    const person = await signIn(CHROME)
    const token = sessionTokenOf(person)
    const response = JSON.stringify(await list(person))
    expect(response).not.toContain(token)
    expect(response).not.toContain(sha256(token))
    const thief = world.browser()
    for (const value of [
      await idOf(person),
      sha256(await idOf(person)),
      Buffer.from(await idOf(person))
        .toString('base64url')
        .slice(0, 43),
    ]) {
      thief.cookies.set('xconnect_session', value)
      expect(await isSignedIn(thief)).toBe(false)
    }
  })

  test('leaves out expired sessions, and shows the absolute end', async () => {
    const person = await signIn(CHROME)
    const ago = (days: number) => new Date(Date.now() - days * DAY * 1000)
    const [idle, old, late] = [await signIn(FIREFOX), await signIn(FIREFOX), await signIn('late')]
    await world
      .db()
      .update(sessions)
      .set({ expiresAt: ago(0.01) })
      .where(isSessionOf(idle))
    await world
      .db()
      .update(sessions)
      .set({ createdAt: ago(90.01) })
      .where(isSessionOf(old))
    await world
      .db()
      .update(sessions)
      .set({ createdAt: ago(80) })
      .where(isSessionOf(late))
    const listed = await list(person)
    expect(listed).toHaveLength(2)
    expect(Date.parse(listed[1]?.expiresAt ?? '') - Date.parse(listed[1]?.createdAt ?? '')).toBe(90 * DAY * 1000)
  })

  test('is limited to the fifty most important', async () => {
    const person = await signIn(CHROME)
    const [row] = await world.db().select().from(sessions)
    if (row === undefined) throw new Error('There is no session')
    await world
      .db()
      .update(sessions)
      .set({ lastUsedAt: new Date(0) })
    await world
      .db()
      .insert(sessions)
      .values(
        Array.from({ length: 60 }, (_, age) => ({
          ...row,
          id: sha256(String(age)),
          publicId: crypto.randomUUID(),
          device: `Number ${age}`,
          lastUsedAt: new Date(Date.now() - age * 1000),
        })),
      )
    const listed = await devices(person)
    expect(listed).toHaveLength(50)
    expect([listed[0], listed[1], listed[49]]).toEqual(['Chrome on Linux', 'Number 0', 'Number 48'])
    expect(await revokeOthers(person)).toEqual({ revokedCount: 60, userErrors: [] })
  })

  test('K-14 has fifty at most: a further sign-in ends the one that was used least recently', async () => {
    const person = await signIn(CHROME)
    const oldest = await signIn(FIREFOX)
    const [row] = await world.db().select().from(sessions).where(isSessionOf(oldest))
    if (row === undefined) throw new Error('There is no session')
    const others = Array.from({ length: 48 }, (_, age) => ({
      ...row,
      id: sha256(`other ${age}`),
      publicId: crypto.randomUUID(),
    }))
    await world.db().insert(sessions).values(others)
    await world
      .db()
      .update(sessions)
      .set({ lastUsedAt: new Date(Date.now() - HOUR * 1000) })
      .where(isSessionOf(oldest))
    await signIn(CHROME)
    expect(await isSignedIn(oldest)).toBe(false)
    expect(await isSignedIn(person)).toBe(true)
    expect(await list(person)).toHaveLength(50)
    const ended = await world
      .db()
      .select({ reason: events.reason })
      .from(events)
      .where(and(eq(events.userId, row.userId), eq(events.type, 'session.ended'), eq(events.reason, 'LIMIT_REACHED')))
    expect(ended).toHaveLength(1)
  })

  test('shows the last use, also of a browser that returns after more than an hour', async () => {
    const person = await signIn(CHROME)
    const lastUse = async () => Date.parse((await list(person))[0]?.lastUsedAt ?? '')
    const atFirst = await lastUse()
    await world
      .db()
      .update(sessions)
      .set({ lastUsedAt: new Date(atFirst - 0.9 * HOUR * 1000) })
    expect(await lastUse()).toBe(atFirst - 0.9 * HOUR * 1000)
    await world
      .db()
      .update(sessions)
      .set({ lastUsedAt: new Date(atFirst - 1.1 * HOUR * 1000) })
    // The gateway looks the session up again.
    world.advance(10)
    expect(await isSignedIn(person)).toBe(true)
    expect(await lastUse()).toBeGreaterThanOrEqual(atFirst)
  })
})

describe('S-07 revoking', () => {
  test('ends a session at once at every instance, with its stream, and no other', async () => {
    const [person, lost] = [await signIn(CHROME), await signIn(FIREFOX)]
    const elsewhere = openInstance(world)
    const stream = await openStream(world.url, cookieOf(lost))
    const whoIs = async (browser: Browser) => (await elsewhere.ask('{ viewer { login } }', cookieOf(browser))).data
    expect(await whoIs(lost)).toEqual({ viewer: { login: 'mara-holt' } })
    const id = await idOf(lost)
    expect(await revoke(person, id)).toEqual({ session: { id, current: false }, userErrors: [] })
    expect(await whoIs(lost)).toEqual({ viewer: null })
    expect(await isSignedIn(lost)).toBe(false)
    expect((await stream.ended).codes).toEqual(['UNAUTHENTICATED'])
    expect(await whoIs(person)).toEqual({ viewer: { login: 'mara-holt' } })
    expect(await devices(person)).toEqual(['Chrome on Linux'])
    await elsewhere.close()
  })

  test('all others keeps the current one and those of other users', async () => {
    const person = await signIn(CHROME)
    const others = [await signIn(FIREFOX), await signIn(FIREFOX), await signIn(CHROME)]
    const stranger = await signIn(CHROME, 'yuki-ito')
    expect(await revokeOthers(person)).toEqual({ revokedCount: 3, userErrors: [] })
    expect(await Promise.all(others.map(isSignedIn))).toEqual([false, false, false])
    expect(await Promise.all([person, stranger].map(isSignedIn))).toEqual([true, true])
    expect(await revokeOthers(person)).toEqual({ revokedCount: 0, userErrors: [] })
  })

  test('the current one signs it out and deletes its cookie', async () => {
    const person = await signIn(CHROME)
    const token = sessionTokenOf(person)
    expect((await revoke(person, await idOf(person))).session).toMatchObject({ current: true })
    expect(person.cookies.has('xconnect_session')).toBe(false)
    person.cookies.set('xconnect_session', token)
    expect(await isSignedIn(person)).toBe(false)
  })

  test('is limited to one’s own, and responds to another’s and an expired one as to an unknown id', async () => {
    const [person, stranger] = [await signIn(CHROME), await signIn(CHROME, 'yuki-ito')]
    const ended = await signIn(FIREFOX)
    const endedId = await idOf(ended)
    await revoke(person, endedId)
    const responses = []
    for (const id of [await idOf(stranger), endedId, '0b5c3d4e-0000-4000-8000-000000000000', 'x', '', '\u0000'])
      responses.push(await revoke(person, id))
    expect(responses[0]).toMatchObject({
      session: null,
      userErrors: [{ code: 'SESSION_NOT_FOUND', field: ['input', 'sessionId'], retryable: false }],
    })
    expect(new Set(responses.map((response) => JSON.stringify(response))).size).toBe(1)
    expect(await isSignedIn(stranger)).toBe(true)
  })

  test('is recorded in an event, once each', async () => {
    const person = await signIn(CHROME, 'tomasz-k')
    const [mine] = await world.db().select().from(sessions).where(isSessionOf(person))
    await world
      .db()
      .delete(events)
      .where(eq(events.userId, mine?.userId ?? ''))
    const lost = await idOf(await signIn(FIREFOX, 'tomasz-k'))
    await Promise.all(Array.from({ length: 10 }, () => revoke(person, lost)))
    await signIn(FIREFOX, 'tomasz-k')
    await revokeOthers(person)
    const told = await world
      .db()
      .select({ type: events.type, reason: events.reason })
      .from(events)
      .where(and(eq(events.userId, mine?.userId ?? ''), ne(events.type, 'session.started')))
    expect(told).toEqual([
      { type: 'session.ended', reason: 'REVOKED' },
      { type: 'session.ended', reason: 'REVOKED' },
    ])
  })
})
