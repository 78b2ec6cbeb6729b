// What the release before this one had given out, after its database was migrated.
import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { randomToken, sha256 } from '../../../src/crypto.ts'
import { queryRows } from '../../../src/db/client.ts'
import { OPERATOR_ID } from '../../../src/db/tables.ts'
import { type Browser, isSignedIn } from '../../support/browser.ts'
import { createEarlierSecret } from '../../support/earlier-secret.ts'
import { insertJsonRow, type JsonRow, readJsonRows, restartAfterMigration } from '../../support/earlier-tables.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

const RELEASED = 20

let world: World
/** A browser with a session, and a connection and a sign-in that are under way. */
let mara: Browser
let maraId: string
let connectCallback: string
let newcomer: Browser
const tokens = { mara: createEarlierSecret(), operator: createEarlierSecret(), revoked: createEarlierSecret() }
let signInCallback: string

beforeAll(async () => {
  world = await startWorld()
  mara = await world.signedIn()
  world.sandbox.control.addAccount('maraholt_earlier')
  const { authorizationUrl } = await mara.startXConnect()
  newcomer = world.browser()
  const start = await newcomer.request('/auth/github')
  signInCallback = await newcomer.consent(start.headers.get('location') ?? '', 'tomasz-k')

  const read = (table: string) => readJsonRows(world.db(), table)
  const [user] = (await read('users')).filter(({ login }) => login === 'mara-holt')
  const [session] = await read('sessions')
  const [connect] = await read('connect_attempts')
  const signIns = (await read('sign_in_attempts')).filter(({ status }) => status === 'PENDING')
  if (!user || !session || !connect) throw new Error('The gateway has written no rows')
  maraId = String(user.id)
  // The form of both before they named their user.
  const sessionToken = randomToken()
  mara.cookies.set('xconnect_session', sessionToken)
  const state = randomToken()
  const consentUrl = new URL(authorizationUrl ?? '')
  consentUrl.searchParams.set('state', state)
  connectCallback = await mara.consent(consentUrl.href, 'maraholt_earlier')
  const attempts: JsonRow[] = [
    {
      ...connect,
      kind: 'X_CONNECT',
      session_id: sha256(sessionToken),
      state_hash: sha256(state),
    },
    ...signIns.map((attempt) => ({ ...attempt, kind: 'GITHUB_SIGN_IN', scopes: [], tries: 0 })),
  ]
  await restartAfterMigration(world, RELEASED, async (db) => {
    await insertJsonRow(db, 'users', user)
    await insertJsonRow(db, 'sessions', { ...session, id: sha256(sessionToken) })
    for (const attempt of attempts) await insertJsonRow(db, 'connect_attempts', attempt)
    for (const [name, secret] of Object.entries(tokens)) await insertJsonRow(db, 'api_tokens', tokenRow(name, secret))
  })
})
afterAll(() => world.close())

function tokenRow(name: string, secret: string): JsonRow {
  return {
    id: randomUUID(),
    secret_hash: sha256(secret),
    prefix: secret.slice(0, 8),
    last_four: secret.slice(-4),
    name,
    user_id: name === 'operator' ? null : maraId,
    scopes: ['accounts:read'],
    created_at: new Date(Date.now() - 60_000),
    expires_at: new Date(Date.now() + 600_000),
    revoked_at: name === 'revoked' ? new Date() : null,
  }
}

const askWith = async (secret: string, query: string) => {
  const response = await world.browser().request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
    body: JSON.stringify({ query }),
  })
  return { status: response.status, data: new Map(Object.entries(Object(await response.json()))).get('data') }
}

test('API tokens of users and of the operator go on, and are revoked when they leak', async () => {
  expect(await askWith(tokens.mara, '{ viewer { login } }')).toEqual({
    status: 200,
    data: { viewer: { login: 'mara-holt' } },
  })
  const asOperator = '{ linkedUsers(first: 1) { edges { node { id } } } }'
  expect(await askWith(tokens.operator, asOperator)).toEqual({ status: 200, data: { linkedUsers: { edges: [] } } })
  for (const secret of [tokens.revoked, createEarlierSecret()])
    expect((await askWith(secret, '{ viewer { login } }')).status).toBe(401)
  expect(await queryRows(world.db(), sql`select name, user_id from api_tokens order by name`)).toEqual([
    { name: 'mara', user_id: maraId },
    { name: 'operator', user_id: OPERATOR_ID },
    { name: 'revoked', user_id: maraId },
  ])
  await world.browser().request('/auth/token/revoke', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ token: tokens.mara }).toString(),
  })
  expect((await askWith(tokens.mara, '{ viewer { login } }')).status).toBe(401)
})

test('a person who signs in is the same user, by id and by login', async () => {
  const again = await world.signedIn()
  expect(await again.query('{ viewer { id } }')).toEqual({ viewer: { id: maraId } })
  const lookUps = sql`select i.user_id, l.login from user_identities i join user_logins l using (user_id)
    where i.user_id = ${maraId}`
  expect(await queryRows(world.db(), lookUps)).toEqual([{ user_id: maraId, login: 'mara-holt' }])
})

test('a session goes on', async () => {
  expect(await mara.query('{ viewer { id login } }')).toEqual({ viewer: { id: maraId, login: 'mara-holt' } })
  const other = world.browser()
  other.cookies.set('xconnect_session', randomToken())
  expect(await isSignedIn(other)).toBe(false)
})

test('a connection that was under way is finished', async () => {
  expect(await mara.finish(connectCallback)).toMatchObject({ outcome: 'connected' })
  // A repeated callback finds the outcome.
  expect(await mara.finish(connectCallback)).toMatchObject({ outcome: 'connected' })
})

test('a sign-in that was under way is finished, in its browser', async () => {
  expect(await world.browser().finish(signInCallback)).toMatchObject({ outcome: 'failed', code: 'ATTEMPT_UNKNOWN' })
  expect(await newcomer.finish(signInCallback)).toMatchObject({ outcome: 'succeeded' })
  expect(await newcomer.query('{ viewer { login } }')).toEqual({ viewer: { login: 'tomasz-k' } })
})

test('the users of these secrets are forgotten once the secrets have ended, and with the user', async () => {
  const owners = async () =>
    (await queryRows(world.db(), sql`select user_id from secret_owners`)).map(({ user_id }) => user_id)
  await world.db().execute(sql`insert into secret_owners values ('ended', ${randomUUID()}, now() - interval '1 hour')`)
  await sweepNow(world)
  expect(new Set(await owners())).toEqual(new Set([maraId, OPERATOR_ID]))
  expect(await mara.api('delete-viewer', { input: { login: 'mara-holt' } })).toMatchObject({
    deleteViewer: { deletedUserId: maraId },
  })
  await vi.waitFor(async () => expect(await owners()).toEqual([OPERATOR_ID]), { timeout: 60_000 })
})
