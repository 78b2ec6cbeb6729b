import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../../src/crypto.ts'
import { sessions } from '../../../src/db/tables.ts'
import { type Browser, sessionTokenOf } from '../../support/browser.ts'
import { databaseKind } from '../../support/database.ts'
import { readEveryFile, readEveryRow } from '../../support/dump.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const SESSION = 'xconnect_session'
const DAY = 86_400_000
const viewerOf = async (person: Browser) =>
  (await person.api<{ viewer: { id: string; login: string } | null }>('viewer')).viewer
const rowOf = (token: string) =>
  world.db().query.sessions.findFirst({ where: (table, { eq }) => eq(table.id, sha256(token)) })

/** A signed-in browser whose session began and will expire this many days from now. */
async function signedInSince(days: { began: number; ends: number }): Promise<Browser> {
  const person = await world.signedIn()
  await world
    .db()
    .update(sessions)
    .set({ createdAt: new Date(Date.now() + days.began * DAY), expiresAt: new Date(Date.now() + days.ends * DAY) })
    .where(eq(sessions.id, sha256(sessionTokenOf(person))))
  return person
}

async function setCookieOf(person: Browser): Promise<string[]> {
  const response = await person.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"query":"{ viewer { id } }"}',
  })
  expect(response.status).toBe(200)
  return response.headers.getSetCookie()
}

describe('the cookie and the row', () => {
  test('S-01 the table has SHA-256 of the token, which has 256 random bits and is in no row, no file and no log', async () => {
    const people = await Promise.all(Array.from({ length: 20 }, () => world.signedIn()))
    const tokens = people.map(sessionTokenOf)
    const user = (await viewerOf(people[0] ?? world.browser()))?.id
    const secrets = tokens.map((token) => token.slice(`${user}.`.length))
    expect(new Set(secrets.map((secret) => secret.slice(0, 8))).size).toBe(20)
    await Promise.all(people.map(viewerOf))
    const stored = await readEveryRow(world)
    for (const token of tokens) {
      expect(token.startsWith(`${user}.`)).toBe(true)
      expect(stored).toContain(sha256(token))
    }
    for (const secret of secrets) {
      expect(secret).toMatch(/^[\w-]{43}$/)
      expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
    }
    await world.restart()
    const files = readEveryFile(world.config.dataDir)
    // The embedded database has its files there; a search in another place would find nothing.
    if (databaseKind() === 'pglite') expect(files.includes(sha256(tokens[0] ?? ''))).toBe(true)
    expect(secrets.filter((secret) => stored.includes(secret) || files.includes(secret))).toEqual([])
    expect(secrets.filter((secret) => world.logs().includes(secret))).toEqual([])
    expect(await viewerOf(people[0] ?? world.browser())).toMatchObject({ login: 'mara-holt' })
  })

  test('S-01 the stored hash authenticates nobody', async () => {
    const { id } = (await rowOf(sessionTokenOf(await world.signedIn()))) ?? { id: '' }
    const thief = world.browser()
    for (const value of [id, Buffer.from(id, 'hex').toString('base64url'), id.slice(0, 43)]) {
      thief.cookies.set(SESSION, value)
      expect(await viewerOf(thief)).toBeNull()
    }
  })

  test('S-02 over HTTP the cookies are HttpOnly, SameSite=Lax and for the whole site', async () => {
    const person = world.browser()
    const start = await person.request('/auth/github')
    expect(start.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^xconnect_sign_in_[0-9a-f]{16}=[\w-]{43}; Max-Age=4200; Path=\/; HttpOnly; SameSite=Lax$/),
    ])
    const finish = await person.request(await person.consent(start.headers.get('location') ?? '', 'mara-holt'))
    expect(finish.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^xconnect_sign_in_[0-9a-f]{16}=; Max-Age=0; Path=\/$/),
      expect.stringMatching(
        /^xconnect_session=[0-9a-f-]{36}\.[\w-]{43}; HttpOnly; Max-Age=2592000; Path=\/; SameSite=Lax$/,
      ),
    ])
  })
})

describe('how long a session lives', () => {
  test('renews row and cookie after half of its 30 days, and not before', async () => {
    const young = await signedInSince({ began: -14, ends: 16 })
    expect(await setCookieOf(young)).toEqual([])
    const person = await signedInSince({ began: -16, ends: 14 })
    expect(await setCookieOf(person)).toEqual([expect.stringContaining(`${SESSION}=${sessionTokenOf(person)}; `)])
    const row = await rowOf(sessionTokenOf(person))
    expect(row?.expiresAt.getTime()).toBeGreaterThan(Date.now() + 29 * DAY)
    expect(await setCookieOf(person)).toEqual([])
  })

  test('S-05 expires after 30 days without use', async () => {
    const person = await signedInSince({ began: -30.1, ends: -0.1 })
    expect(await viewerOf(person)).toBeNull()
    expect(await rowOf(sessionTokenOf(person))).toBeUndefined()
  })

  test('S-05 expires 90 days after the sign-in, however often it was used', async () => {
    const person = await signedInSince({ began: -89.9, ends: 20 })
    expect(await viewerOf(person)).not.toBeNull()
    const late = await signedInSince({ began: -90.1, ends: 20 })
    expect(await viewerOf(late)).toBeNull()
    expect(await rowOf(sessionTokenOf(late))).toBeUndefined()
  })

  test('S-05 the 90 days do not slide', async () => {
    const person = await signedInSince({ began: -85, ends: 5 })
    expect(await setCookieOf(person)).toHaveLength(1)
    world.advance((6 * DAY) / 1000)
    expect(await viewerOf(person)).toBeNull()
  })
})

describe('S-04 signing out', () => {
  test.each([
    [
      'by the mutation',
      async (person: Browser) => {
        expect(await person.api('sign-out')).toEqual({ signOut: { signedOut: true, userErrors: [] } })
      },
    ],
    [
      'by the route',
      async (person: Browser) => {
        const response = await person.request('/auth/sign-out', { method: 'POST' })
        expect([response.status, response.headers.get('location')]).toEqual([303, '/'])
        expect(response.headers.getSetCookie()).toEqual([`${SESSION}=; HttpOnly; Max-Age=0; Path=/; SameSite=Lax`])
      },
    ],
  ])('%s ends the session in the database: its cookie becomes invalid', async (_how, signOut) => {
    const [person, elsewhere] = [await world.signedIn(), await world.signedIn()]
    const token = sessionTokenOf(person)
    await signOut(person)
    expect(person.cookies.has(SESSION)).toBe(false)
    expect(await rowOf(token)).toBeUndefined()
    person.cookies.set(SESSION, token)
    expect(await viewerOf(person)).toBeNull()
    // Of one browser alone.
    expect(await viewerOf(elsewhere)).not.toBeNull()
  })

  test('leaves no cookie if the session was due for renewal', async () => {
    for (const signOut of [
      (person: Browser) => person.api('sign-out'),
      (person: Browser) => person.request('/auth/sign-out', { method: 'POST' }),
    ]) {
      const person = await signedInSince({ began: -20, ends: 10 })
      await signOut(person)
      expect(person.cookies.size).toBe(0)
    }
  })

  test('without a session succeeds by the route, and is UNAUTHENTICATED by the mutation', async () => {
    const nobody = world.browser()
    expect((await nobody.request('/auth/sign-out', { method: 'POST' })).status).toBe(303)
    await expect(nobody.api('sign-out')).rejects.toThrow('Sign in first')
  })
})
