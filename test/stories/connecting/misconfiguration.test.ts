// The operator has mistyped the client secret: the operator is told, and no user loses a
// connection.
import { ne } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import packageJson from '../../../package.json' with { type: 'json' }
import { connectedAccounts } from '../../../src/db/tables.ts'
import { type ConnectedAccount, connectAccount, UNTIL_DUE_SECONDS, watchX } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

const ACCOUNTS = 20
const { version } = packageJson

let world: World
let accounts: ConnectedAccount[]
beforeAll(async () => {
  world = await startWorld()
  const person = await world.signedIn()
  accounts = await Promise.all(Array.from({ length: ACCOUNTS }, () => connectAccount(world, { person })))
  world.advance(UNTIL_DUE_SECONDS)
  world.sandbox.control.rotateClientSecret('another-secret')
})
afterAll(() => world.close())

const postWithAll = () => Promise.all(accounts.map((account) => account.post()))

async function readReadiness(): Promise<unknown> {
  const response = await world.browser().request('/readyz')
  expect(response.status).toBe(200)
  return response.json()
}

async function tokenHealths(): Promise<unknown[]> {
  const response = await accounts[0]?.person.api<{ connectedAccounts: { tokenHealth: unknown }[] }>(
    'connected-accounts',
  )
  return response?.connectedAccounts.map(({ tokenHealth }) => tokenHealth) ?? []
}

const nobodyIsDisconnected = async () =>
  expect(await world.db().select().from(connectedAccounts).where(ne(connectedAccounts.status, 'ACTIVE'))).toEqual([])

test('while the access tokens are valid, posting works, and the operator is told', async () => {
  expect(await readReadiness()).toEqual({ status: 'ready', version, revocations: 'OFF', problems: [] })
  const x = watchX(world)
  expect((await postWithAll()).map(({ tweet }) => tweet?.status)).toEqual(Array(ACCOUNTS).fill('POSTED'))
  expect([x.refreshes(), x.posts()]).toEqual([ACCOUNTS, ACCOUNTS])
  await nobodyIsDisconnected()
  expect(await readReadiness()).toEqual({
    status: 'ready',
    version,
    revocations: 'OFF',
    problems: [
      {
        code: 'X_CREDENTIALS_REJECTED',
        since: expect.any(String),
        detail: expect.stringContaining('X_CLIENT_SECRET'),
      },
    ],
  })
  const lines = world.logs().split('\n')
  expect(lines.filter((line) => /"level":"error".*X_CREDENTIALS_REJECTED.*X_CLIENT_SECRET/.test(line))).toHaveLength(
    ACCOUNTS,
  )
  expect(await tokenHealths()).toEqual(
    Array(ACCOUNTS).fill({
      lastEvent: 'X_CREDENTIALS_REJECTED',
      lastEventAt: expect.any(String),
      nextTryAt: expect.any(String),
    }),
  )
})

test('once they have expired, posts are refused with the right reason, and no account needs its user', async () => {
  world.advance(300)
  const x = watchX(world)
  const refused = { tweet: { status: 'FAILED' }, userErrors: [{ code: 'X_CREDENTIALS_REJECTED', retryable: true }] }
  expect(await postWithAll()).toMatchObject(Array(ACCOUNTS).fill(refused))
  // The second post does not call X, and has the same reason.
  const asked = x.refreshes()
  await accounts[0]?.setTokens({ nextTryAt: new Date(world.sandbox.control.now() + 60_000) })
  expect(await accounts[0]?.post()).toMatchObject(refused)
  expect([x.refreshes(), x.posts()]).toEqual([asked, 0])
  await nobodyIsDisconnected()
})

test('refuses to connect, and says that the operator must act', async () => {
  const person = await world.signedIn('tomasz-k')
  expect(await person.connect('tomasz_k')).toMatchObject({ outcome: 'failed', code: 'X_CREDENTIALS_REJECTED' })
})

test('with the right secret all accounts recover without help, and no problem is left', async () => {
  world.sandbox.control.rotateClientSecret(world.config.x.clientSecret)
  world.advance(60)
  expect((await postWithAll()).map(({ tweet }) => tweet?.status)).toEqual(Array(ACCOUNTS).fill('POSTED'))
  await nobodyIsDisconnected()
  expect(await readReadiness()).toEqual({ status: 'ready', version, revocations: 'OFF', problems: [] })
  expect(await tokenHealths()).toMatchObject(Array(ACCOUNTS).fill({ lastEvent: 'REFRESHED', nextTryAt: null }))
  expect(accounts.map((account) => account.grant())).toMatchObject(
    Array(ACCOUNTS).fill({ live: true, rotations: 1, replays: 0 }),
  )
})
