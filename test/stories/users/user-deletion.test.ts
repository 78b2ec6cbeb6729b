import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import {
  connectAccount,
  endFaults,
  refreshFault,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { countRows, untilNoRows } from '../../support/user-deletion.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

async function deleteViewer(person: Browser, login: string) {
  const { deleteViewer } = await person.api('delete-viewer', { input: { login } })
  return deleteViewer
}

const started = {
  id: expect.any(String),
  status: 'DELETING',
  requestedAt: expect.any(String),
  finishedAt: null,
}

test('L-09 deleting the viewer leaves no row, and no grant at X', async () => {
  const account = await connectAccount(world)
  const { person, userId } = account
  const second = await connectAccount(world, { person })
  const former = await connectAccount(world, { person })
  await account.post('With a key', { idempotencyKey: 'a key' })
  await former.post()
  await former.disconnect()
  await person.api('start-x-connect', { input: {} })
  const { secret } = await createApiToken(
    { db: world.db(), clock: world.clock },
    { userId },
    { name: 'a bot', scopes: ['tweets:read'], expiresInDays: null },
  )
  // Each kind of row exists before the deletion.
  expect(Object.keys(await countRows(world, userId))).toEqual(
    expect.arrayContaining([
      'users',
      'sessions',
      'sign_in_attempts',
      'user_identities',
      'user_logins',
      'connect_attempts',
      'connected_accounts',
      'tweets',
      'idempotency_keys',
      'api_tokens',
      'events',
    ]),
  )
  const { cookie } = cookieOf(person)

  // GitHub's logins are case-insensitive.
  const deleted = await deleteViewer(person, 'Mara-Holt')
  expect(deleted).toEqual({ deletedUserId: userId, deletion: started, userErrors: [] })
  expect(person.cookies.has('xconnect_session')).toBe(false)
  const ask = (headers: Record<string, string>) =>
    world.browser().request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query: '{ viewer { login } }' }),
    })
  expect(await (await ask({ cookie })).json()).toEqual({ data: { viewer: null } })
  expect((await ask({ authorization: `Bearer ${secret}` })).status).toBe(401)
  await untilNoRows(world, userId)
  expect([account, second, former].map((each) => each.grant().ended)).toEqual(Array(3).fill('revoked-by-app'))

  // After the next sign-in it is a new user.
  const { viewer } = await (await world.signedIn()).query<{ viewer: { id: string } }>('{ viewer { id } }')
  expect(viewer.id).not.toBe(userId)
})

test('with another login deletes nothing', async () => {
  const account = await connectAccount(world)
  for (const login of ['tomasz-k', '', ' mara-holt', '\u0000']) {
    expect(await deleteViewer(account.person, login)).toMatchObject({
      deletedUserId: null,
      userErrors: [{ code: 'LOGIN_MISMATCH', field: ['input', 'login'], retryable: false }],
    })
  }
  expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
})

test('wins over a running refresh, whose tokens are revoked', async () => {
  const account = await connectAccount(world, { person: await world.signedIn('tomasz-k') })
  world.advance(UNTIL_ENDED_SECONDS)
  const leaving = await world.signedIn('tomasz-k')
  world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 1_000 }))
  const x = watchX(world)
  const posting = account.post().catch(() => null)
  await vi.waitFor(() => expect(account.grant().rotations).toBe(1), { timeout: 30_000 })
  expect(await deleteViewer(leaving, 'tomasz-k')).toMatchObject({ deletedUserId: account.userId })
  await posting
  expect(x.posts()).toBe(0)
  await untilNoRows(world, account.userId)
  expect(account.grant()).toMatchObject({ live: false, ended: 'revoked-by-app' })
})

test('wins over a connect that is being finished: nothing is connected, and the grant is revoked', async () => {
  const person = await world.signedIn('yuki-ito')
  const { viewer } = await person.query<{ viewer: { id: string } }>('{ viewer { id } }')
  const username = 'late_link'
  world.sandbox.control.addAccount(username)
  const profile = { path: '/2/users/me' }
  world.sandbox.control.inject({ kind: 'delay', milliseconds: 1_000, match: profile })
  const asked = world.sandbox.control.countReceived(profile)
  const connecting = person.connect(username)
  await vi.waitFor(() => expect(world.sandbox.control.countReceived(profile)).toBe(asked + 1), { timeout: 30_000 })
  expect(await deleteViewer(person, 'yuki-ito')).toMatchObject({ deletedUserId: viewer.id })
  expect(await connecting).toMatchObject({ outcome: 'failed', code: 'SESSION_MISSING' })
  await untilNoRows(world, viewer.id)
  expect(world.sandbox.control.grants(username).at(-1)).toMatchObject({ live: false })
})

test('10 times at the same moment deletes once; the others succeed or are UNAUTHENTICATED', async () => {
  const account = await connectAccount(world, { person: await world.signedIn('yuki-ito') })
  const responses = await Promise.allSettled(Array.from({ length: 10 }, () => deleteViewer(account.person, 'yuki-ito')))
  for (const result of responses) {
    if (result.status === 'fulfilled')
      expect(result.value).toMatchObject({ deletedUserId: account.userId, userErrors: [] })
    else expect(result.reason).toMatchObject({ response: { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] } })
  }
  expect(responses.some(({ status }) => status === 'fulfilled')).toBe(true)
  await untilNoRows(world, account.userId)
})

test.each([
  ['a sign-in', 'sessions', () => signInTill(world.browser())],
  ['a link that is being started', 'connect_attempts', async () => ({ by: await world.signedIn(), url: '/auth/x' })],
])('in the middle of %s responds as signed out', async (_what, table, prepare) => {
  const { by, url } = await prepare()
  await world.db().execute(sql`
    create function leave() returns trigger language plpgsql as
    $$ begin delete from users where id = new.user_id; return new; end $$
  `)
  await world
    .db()
    .execute(sql`create trigger leave before insert on ${sql.identifier(table)} for each row execute function leave()`)
  try {
    const result = await by.request(url)
    expect([result.status, await result.json()]).toMatchObject([
      401,
      { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] },
    ])
  } finally {
    await world.db().execute(sql`drop function leave cascade`)
  }
})

/** Signs in up to the last step. */
async function signInTill(by: Browser) {
  const start = await by.request('/auth/github')
  return { by, url: await by.consent(start.headers.get('location') ?? '', 'mara-holt') }
}
