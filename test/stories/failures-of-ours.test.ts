import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Browser } from '../browser.ts'
import { startWorld, type World } from '../harness.ts'

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld()
  person = await world.signedIn()
})
afterAll(() => world.close())

/** A database in which a table is not where it should be. */
async function withoutTable(table: string, work: () => Promise<void>): Promise<void> {
  const rename = (from: string, to: string) =>
    world.db().execute(sql`alter table ${sql.identifier(from)} rename to ${sql.identifier(to)}`)
  await rename(table, 'mislaid')
  try {
    await work()
  } finally {
    await rename('mislaid', table)
  }
}

// Of the database, of the code, of a driver.
const INNARDS =
  /mislaid|relation|connect_attempts|connected_accounts|select|insert|query|node_modules|\.ts\b|at \w+ \(|drizzle|postgres|42P01/i

test('what breaks in a resolver is told as INTERNAL with the request’s id, by which the log tells the rest', async () => {
  await withoutTable('connected_accounts', async () => {
    const answer = await person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'story-12345' },
      body: '{"query":"{ viewer { login } connectedAccounts { id } }"}',
    })
    const text = await answer.text()
    expect(answer.status).toBe(200)
    expect(JSON.parse(text)).toEqual({
      data: null,
      errors: [
        {
          message: 'Something broke on our side. Try again; if it persists, report the request id.',
          path: ['connectedAccounts'],
          locations: [{ line: 1, column: 20 }],
          extensions: { code: 'INTERNAL', requestId: 'story-12345' },
        },
      ],
    })
    expect(text.replaceAll('connectedAccounts', '')).not.toMatch(INNARDS)
  })
  const line = world
    .logs()
    .split('\n')
    .find((entry) => entry.includes('story-12345') && entry.includes('"level":"error"'))
  expect(line).toContain('42P01')
})

test('what breaks in a mutation is no userError', async () => {
  await withoutTable('connect_attempts', async () => {
    await expect(person.startXConnect()).rejects.toThrow('Something broke on our side')
  })
})

test.each(['/auth/github', '/auth/x', '/auth/x/callback?state=x&code=y', '/auth/github/callback?state=x&code=y'])(
  'what breaks in %s is a 500 that tells nothing but the request’s id',
  async (path) => {
    await withoutTable('connect_attempts', async () => {
      const answer = await person.request(path)
      const text = await answer.text()
      expect(answer.status).toBe(500)
      expect(JSON.parse(text)).toEqual({
        error: 'Something broke on our side.',
        requestId: answer.headers.get('x-request-id'),
      })
      expect(text).not.toMatch(INNARDS)
      expect([answer.headers.get('cache-control'), answer.headers.get('x-content-type-options')]).toEqual([
        'no-store',
        'nosniff',
      ])
    })
  },
)

test('a session that cannot be looked up is no signed-out answer, and costs nobody the session', async () => {
  await withoutTable('sessions', async () => {
    const answer = await person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"query":"{viewer{id}}"}',
    })
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([500, []])
    expect(await answer.text()).not.toMatch(INNARDS)
    expect((await person.request('/healthz')).status).toBe(200)
  })
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
})
