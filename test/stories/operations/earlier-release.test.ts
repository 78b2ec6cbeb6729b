// What the release before this one had given out, after its database was migrated.
import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { randomToken, sha256 } from '../../../src/crypto.ts'
import { queryRows } from '../../../src/db/client.ts'
import { type Browser, isSignedIn } from '../../support/browser.ts'
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
  })
})
afterAll(() => world.close())

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
  expect(new Set(await owners())).toEqual(new Set([maraId]))
  expect(await mara.api('delete-viewer', { input: { login: 'mara-holt' } })).toMatchObject({
    deleteViewer: { deletedUserId: maraId },
  })
  expect(await owners()).toEqual([])
})
