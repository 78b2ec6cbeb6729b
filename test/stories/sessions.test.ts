import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sha256 } from '../../src/crypto.ts'
import { sessions, users } from '../../src/db/tables.ts'
import type { Browser } from '../browser.ts'
import { startWorld, type World } from '../harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const SESSION = 'xconnect_session'
const DAY = 86_400_000
const tokenOf = (person: Browser) => person.cookies.get(SESSION) ?? ''
const viewerOf = async (person: Browser) => (await person.api<{ viewer: { login: string } | null }>('viewer')).viewer
const rowOf = (token: string) =>
  world.db().query.sessions.findFirst({ where: (table, { eq }) => eq(table.id, sha256(token)) })

/** A signed-in browser whose session began and will end so many days from now. */
async function signedInSince(days: { began: number; ends: number }): Promise<Browser> {
  const person = await world.signedIn()
  await world
    .db()
    .update(sessions)
    .set({ createdAt: new Date(Date.now() + days.began * DAY), expiresAt: new Date(Date.now() + days.ends * DAY) })
    .where(eq(sessions.id, sha256(tokenOf(person))))
  return person
}

async function setCookieOf(person: Browser): Promise<string[]> {
  const answer = await person.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"query":"{ viewer { id } }"}',
  })
  expect(answer.status).toBe(200)
  return answer.headers.getSetCookie()
}

describe('the cookie and the row', () => {
  test('the table holds SHA-256 of the token, and the token nowhere', async () => {
    const person = await world.signedIn()
    const token = tokenOf(person)
    expect(token).toMatch(/^[\w-]{43}$/)
    expect(await rowOf(token)).toMatchObject({ id: sha256(token) })
    const everything = await Promise.all([world.db().select().from(sessions), world.db().select().from(users)])
    expect(JSON.stringify(everything)).not.toContain(token)
    expect(world.logs()).not.toContain(token)
  })

  test('the hash that the table holds opens nothing', async () => {
    const { id } = (await rowOf(tokenOf(await world.signedIn()))) ?? { id: '' }
    const thief = world.browser()
    for (const value of [id, Buffer.from(id, 'hex').toString('base64url'), id.slice(0, 43)]) {
      thief.cookies.set(SESSION, value)
      expect(await viewerOf(thief)).toBeNull()
    }
  })

  test('over http the cookies are HttpOnly, SameSite=Lax and for the whole site', async () => {
    const person = world.browser()
    const start = await person.request('/auth/github')
    expect(start.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^xconnect_sign_in=[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/),
    ])
    const finish = await person.request(await person.consent(start.headers.get('location') ?? '', 'mara-holt'))
    expect(finish.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^xconnect_sign_in=; Max-Age=0; Path=\/$/),
      expect.stringMatching(/^xconnect_session=[\w-]{43}; HttpOnly; Max-Age=2592000; Path=\/; SameSite=Lax$/),
    ])
  })
})

describe('how long a session lives', () => {
  test('it is renewed, row and cookie, once half of its 30 days are over, and not before', async () => {
    const young = await signedInSince({ began: -14, ends: 16 })
    expect(await setCookieOf(young)).toEqual([])
    const person = await signedInSince({ began: -16, ends: 14 })
    expect(await setCookieOf(person)).toEqual([expect.stringContaining(`${SESSION}=${tokenOf(person)}; `)])
    const row = await rowOf(tokenOf(person))
    expect(row?.expiresAt.getTime()).toBeGreaterThan(Date.now() + 29 * DAY)
    expect(await setCookieOf(person)).toEqual([])
  })

  test('left alone for 30 days it is over', async () => {
    const person = await signedInSince({ began: -30.1, ends: -0.1 })
    expect(await viewerOf(person)).toBeNull()
    expect(await rowOf(tokenOf(person))).toBeUndefined()
  })

  test('90 days after the sign-in it is over, however often it was used', async () => {
    const person = await signedInSince({ began: -89.9, ends: 20 })
    expect(await viewerOf(person)).not.toBeNull()
    const late = await signedInSince({ began: -90.1, ends: 20 })
    expect(await viewerOf(late)).toBeNull()
    expect(await rowOf(tokenOf(late))).toBeUndefined()
  })

  test('the 90 days do not slide', async () => {
    const person = await signedInSince({ began: -85, ends: 5 })
    expect(await setCookieOf(person)).toHaveLength(1)
    world.advance((6 * DAY) / 1000)
    expect(await viewerOf(person)).toBeNull()
  })
})

describe('signing out', () => {
  test.each([
    [
      'by the mutation',
      async (person: Browser) => {
        expect(await person.api('sign-out')).toEqual({ signOut: { signedOut: true } })
      },
    ],
    [
      'by the route',
      async (person: Browser) => {
        const answer = await person.request('/auth/sign-out', { method: 'POST' })
        expect([answer.status, answer.headers.get('location')]).toEqual([303, '/'])
        expect(answer.headers.getSetCookie()).toEqual([`${SESSION}=; HttpOnly; Max-Age=0; Path=/; SameSite=Lax`])
      },
    ],
  ])('%s ends the session in the database: its cookie is worth nothing any more', async (_how, signOut) => {
    const [person, elsewhere] = [await world.signedIn(), await world.signedIn()]
    const token = tokenOf(person)
    await signOut(person)
    expect(person.cookies.has(SESSION)).toBe(false)
    expect(await rowOf(token)).toBeUndefined()
    person.cookies.set(SESSION, token)
    expect(await viewerOf(person)).toBeNull()
    // Of one browser only.
    expect(await viewerOf(elsewhere)).not.toBeNull()
  })

  test('leaves no cookie behind where the session was due for renewal', async () => {
    for (const signOut of [
      (person: Browser) => person.api('sign-out'),
      (person: Browser) => person.request('/auth/sign-out', { method: 'POST' }),
    ]) {
      const person = await signedInSince({ began: -20, ends: 10 })
      await signOut(person)
      expect(person.cookies.size).toBe(0)
    }
  })

  test('without a session is no error by the route, and UNAUTHENTICATED by the mutation', async () => {
    const nobody = world.browser()
    expect((await nobody.request('/auth/sign-out', { method: 'POST' })).status).toBe(303)
    await expect(nobody.api('sign-out')).rejects.toThrow('Sign in first')
  })
})

describe('a cookie that is junk', () => {
  const token = 'A'.repeat(43)
  const values = [
    ...[
      '',
      '=',
      ';',
      '%',
      '%00',
      '%zz',
      '%E0%A4%A',
      'null',
      'undefined',
      '[object Object]',
      '{}',
      '"',
      `"${token}"`,
      `"${token}`,
    ],
    ...[
      `${token}A`,
      token.slice(1),
      `${token.slice(1)}.`,
      `${token.slice(2)}%00`,
      `${token} `,
      ` ${token}`,
      `${token}\t`,
      token,
    ],
    ...[
      "' or 1=1 --",
      '../../etc/passwd',
      '<script>',
      '💥'.repeat(10),
      'é'.repeat(43),
      'ÿ'.repeat(43),
      'x'.repeat(4096),
    ],
    ...Array.from({ length: 40 }, (_, index) => String.fromCharCode(33 + index * 2).repeat(43)),
  ]
  const headers = values.flatMap((value) => [
    `${SESSION}=${value}`,
    `xconnect_sign_in=${value}`,
    `${SESSION}=${value}; ${SESSION}=${value}x; xconnect_sign_in`,
  ])

  test('is nobody, is never our fault, and never reaches the database as text: two hundred of them', async () => {
    expect(headers.length).toBeGreaterThan(190)
    const person = world.browser()
    for (const header of headers) {
      const cookie = Buffer.from(header, 'utf8').toString('latin1')
      const answer = await person.request('/graphql', {
        method: 'POST',
        headers: { 'content-type': 'application/json', cookie },
        body: '{"query":"{ viewer { id } }"}',
      })
      expect([answer.status, await answer.json()], header).toEqual([200, { data: { viewer: null } }])
      const callback = await person.request('/auth/github/callback?state=x&code=x', { headers: { cookie } })
      expect(callback.status, header).toBe(303)
    }
    expect(world.logs()).not.toMatch(/"level":"error"/)
  })

  test('beside a good one, the first that can be a token counts', async () => {
    const person = await world.signedIn()
    const good = `${SESSION}=${tokenOf(person)}`
    const ask = async (cookie: string) => (await person.request('/', { headers: { cookie } })).status
    for (const cookie of [`${good}; ${SESSION}=junk`, `a=b; ${good}`, `${good};${good}`])
      expect(await ask(cookie)).toBeLessThan(500)
  })

  test('too large for any header is refused as such', async () => {
    const answer = await world
      .browser()
      .request('/healthz', { headers: { cookie: `${SESSION}=${'x'.repeat(16_384)}` } })
    expect(answer.status).toBe(431)
  })
})
