// Requests without an action of the user: HEAD, with which links are checked, prefetches before a
// possible click, and what a page loads or embeds. At /auth/* they reveal nothing and change
// nothing.

import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sessions } from '../../../src/db/tables.ts'
import { errorExtensions } from '../../../src/http/error-response.ts'
import { type Browser, isSignedIn } from '../../support/browser.ts'
import { queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

function fetchMetadata(mode: string, destination: string, site = 'cross-site'): Record<string, string> {
  return { 'sec-fetch-mode': mode, 'sec-fetch-dest': destination, 'sec-fetch-site': site }
}

const speculations: [what: string, method: string, headers: Record<string, string>][] = [
  ['HEAD', 'HEAD', {}],
  ['HEAD for a page', 'HEAD', { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'none' }],
  ['Sec-Purpose', 'GET', { 'sec-purpose': 'prefetch' }],
  ['Sec-Purpose of a prerendering', 'GET', { 'sec-purpose': 'prefetch;prerender' }],
  ['Sec-Purpose with a space', 'GET', { 'sec-purpose': 'prefetch; prerender' }],
  ['Sec-Purpose by a proxy', 'GET', { 'sec-purpose': 'prefetch;anonymous-client-ip' }],
  ['Purpose', 'GET', { purpose: 'prefetch' }],
  ['Purpose in capitals', 'GET', { purpose: 'Prefetch' }],
  ['Purpose of a preview', 'GET', { purpose: 'preview' }],
  ['X-Purpose', 'GET', { 'x-purpose': 'preview' }],
  ['X-Moz', 'GET', { 'x-moz': 'prefetch' }],
  ['an image', 'GET', fetchMetadata('no-cors', 'image')],
  ['an image with CORS', 'GET', fetchMetadata('cors', 'image')],
  ['a script', 'GET', fetchMetadata('no-cors', 'script')],
  ['a stylesheet of the same site', 'GET', fetchMetadata('no-cors', 'style', 'same-site')],
  ['a call of fetch', 'GET', fetchMetadata('cors', 'empty')],
  ['a call of fetch without CORS', 'GET', fetchMetadata('no-cors', 'empty')],
  ['a call of fetch by our own page', 'GET', fetchMetadata('same-origin', 'empty', 'same-origin')],
  ['a frame', 'GET', fetchMetadata('navigate', 'iframe')],
  ['a frame of our own page', 'GET', fetchMetadata('navigate', 'iframe', 'same-origin')],
  ['an embedded object', 'GET', fetchMetadata('navigate', 'object')],
  ['a web socket', 'GET', fetchMetadata('websocket', 'empty')],
  ['Sec-Fetch-Dest alone', 'GET', { 'sec-fetch-dest': 'image' }],
  ['two of these headers', 'GET', { purpose: 'prefetch', 'sec-purpose': 'prefetch' }],
]

/** Returns the rows of every table, except the progress of background work. */
async function readTables(): Promise<{ budgets: string[]; others: unknown }> {
  const names = await queryRows(
    world,
    sql`select table_name as name from information_schema.tables where table_schema = 'public'
        and table_name not in ('event_horizons', 'maintenance_runs') order by 1`,
  )
  expect(names.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['connect_attempts', 'rate_limits', 'sessions', 'sign_in_attempts']),
  )
  const tables: [name: string, rows: string[]][] = []
  for (const name of names.map((row) => String(row.name))) {
    const rows = await queryRows(world, sql`select t::text as text from ${sql.identifier(name)} t`)
    tables.push([name, rows.map(({ text }) => String(text)).toSorted()])
  }
  const isBudgets = ([name]: [string, unknown]) => name === 'rate_limits'
  return { budgets: tables.find(isBudgets)?.[1] ?? [], others: tables.filter((table) => !isBudgets(table)) }
}

/**
 * Opens a signed-in browser whose session is due for renewal, with an approved sign-in and an
 * approved connect attempt.
 */
async function prepare() {
  const person = await world.signedIn()
  const start = await person.request('/auth/github')
  const signIn = await person.consent(start.headers.get('location') ?? '', 'mara-holt')
  const { authorizationUrl } = await person.startXConnect()
  const connect = await person.consent(authorizationUrl ?? '', 'maraholt')
  await world
    .db()
    .update(sessions)
    .set({ expiresAt: new Date(Date.now() + 86_400_000), lastUsedAt: new Date(Date.now() - 86_400_000) })
  return { person, signIn, connect }
}

const providersAsked = () => world.sandbox.control.received({}).length

async function expectNothing(person: Browser, target: string, method: string, headers: Record<string, string>) {
  const [before, asked, cookies] = [await readTables(), providersAsked(), new Map(person.cookies)]
  const response = await person.request(target, { method, headers })
  const seen = `${method} ${new URL(target, world.url).pathname} ${JSON.stringify(headers)}`
  expect(response.status, seen).toBeGreaterThanOrEqual(400)
  expect(response.status, seen).toBeLessThan(500)
  expect([response.headers.get('cache-control'), response.headers.get('location')], seen).toEqual(['no-store', null])
  expect([response.headers.getSetCookie(), person.cookies], seen).toEqual([[], cookies])
  const after = await readTables()
  expect(after.others, seen).toEqual(before.others)
  // The sweep deletes the rows of rate limits that are full again. Nothing was consumed.
  expect(before.budgets, seen).toEqual(expect.arrayContaining(after.budgets))
  expect(providersAsked(), seen).toBe(asked)
  return response
}

test.each(speculations)(
  'C-03 %s changes nothing at /auth/*, and the flow can still be finished',
  async (_what, method, headers) => {
    const { person, signIn, connect } = await prepare()
    for (const target of [
      '/auth/github',
      '/auth/github?returnTo=/settings',
      signIn,
      '/auth/x',
      '/auth/x?expectedUsername=maraholt',
      connect,
      '/auth/github/callback?error=access_denied&state=x',
      '/auth/sign-out',
      '/auth/nowhere',
    ]) {
      await expectNothing(person, target, method, headers)
      await expectNothing(world.browser(), target, method, headers)
    }
    expect(await person.finish(connect)).toMatchObject({ outcome: 'connected' })
    expect(await person.finish(signIn)).toMatchObject({ outcome: 'succeeded' })
  },
)

test('C-03 a prefetch that is sent as the POST of a form neither signs out nor revokes a token', async () => {
  const { person } = await prepare()
  for (const target of ['/auth/sign-out', '/auth/token/revoke'])
    await expectNothing(person, target, 'POST', { 'sec-purpose': 'prefetch' })
  expect(await isSignedIn(person)).toBe(true)
})

test('HEAD gets the list of allowed methods, and a prefetch the reason of the refusal', async () => {
  const browser = world.browser()
  for (const [path, allow] of [
    ['/auth/github', 'GET'],
    ['/auth/x/callback', 'GET'],
    ['/auth/sign-out', 'POST'],
  ]) {
    const response = await browser.request(path ?? '', { method: 'HEAD' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow])
  }
  expect((await browser.request('/auth/nowhere', { method: 'HEAD' })).status).toBe(404)
  const response = await browser.request('/auth/github', { headers: { 'sec-purpose': 'prefetch' } })
  expect([response.status, await response.json()]).toEqual([
    403,
    { errors: [{ message: expect.stringMatching(/cannot be prefetched/), extensions: errorExtensions('FORBIDDEN') }] },
  ])
})

// Node's fetch, with which the other tests send their requests, has a Sec-Fetch-Mode of its own.
test('C-03 of what says how it was sent, a navigation of a window starts a sign-in, and nothing else', async () => {
  const instance = openInstance(world)
  const statusOf = async (headers: Record<string, string>) =>
    (await instance.request('/auth/github', { headers })).status
  for (const site of ['none', 'same-origin', 'cross-site'])
    expect(await statusOf({ ...fetchMetadata('navigate', 'document', site), 'sec-fetch-user': '?1' })).toBe(303)
  // Passed on by a service worker of this origin, and forwarded by a server with Node's fetch.
  expect(await statusOf(fetchMetadata('navigate', 'empty', 'same-origin'))).toBe(303)
  expect(await statusOf(fetchMetadata('cors', 'document'))).toBe(303)
  for (const [mode, destination] of [
    ['no-cors', 'document'],
    ['same-origin', 'document'],
    ['cors', 'empty'],
    ['navigate', 'iframe'],
    ['navigate', 'frame'],
    ['navigate', 'embed'],
  ] as const)
    expect([mode, destination, await statusOf(fetchMetadata(mode, destination))]).toEqual([mode, destination, 403])
  expect(await statusOf({ 'sec-fetch-mode': 'no-cors' })).toBe(403)
  expect(await statusOf({ 'sec-fetch-mode': 'navigate' })).toBe(303)
  await instance.close()
})

test('a Purpose other than prefetch is an ordinary request', async () => {
  for (const headers of [{ purpose: 'navigation' }, { 'sec-purpose': '' }, { 'x-moz': 'microsummary' }]) {
    const response = await world.browser().request('/auth/github', { headers })
    expect([response.status, response.headers.get('location')?.startsWith(world.sandbox.url)]).toEqual([303, true])
  }
  // Other pages may be prefetched.
  expect((await world.browser().request('/', { headers: { 'sec-purpose': 'prefetch' } })).status).toBe(200)
})
