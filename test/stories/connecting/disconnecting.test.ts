import { eq, type SQL, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { grantRevocations, OPERATOR_ID } from '../../../src/db/tables.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  queryRows,
  refreshFault,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { databaseKind } from '../../support/database.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
import { bearer, openInstance } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, impatient)
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

/** The revocations that X received, oldest first; of one token if given. */
function revoked(token?: string | null): Record<string, string>[] {
  return world.sandbox.control
    .received({ path: '/2/oauth2/revoke' })
    .map(({ body }) => body as Record<string, string>)
    .filter((revocation) => token === undefined || revocation.token === token)
}

function revocationsOf(account: ConnectedAccount) {
  return world.db().select().from(grantRevocations).where(eq(grantRevocations.accountId, account.id))
}

/**
 * What another instance of the gateway shows integrators of the account's user, whose link
 * visibility allows it.
 */
async function watchAsIntegrator({ person, userId }: ConnectedAccount) {
  await person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
  const input = { name: 'verifier', scopes: ['accounts:read'], expiresInDays: null }
  const { secret } = await createApiToken({ db: world.db(), clock: world.clock }, { userId: OPERATOR_ID }, input)
  const user = await world.db().query.users.findFirst({ where: (table, { eq }) => eq(table.id, userId) })
  const elsewhere = openInstance(world)
  return {
    accountIds: async () => {
      const variables = { githubId: String(user?.githubId) }
      const { data } = await elsewhere.ask(readOperation('linked-user'), bearer(secret), variables)
      return ((data?.linkedUser ?? { accounts: [] }) as { accounts: { id: string }[] }).accounts.map(({ id }) => id)
    },
    close: () => elsewhere.close(),
  }
}

/** Waits until X has confirmed all revocations of the account. */
function untilRevoked(account: ConnectedAccount): Promise<void> {
  return vi.waitFor(async () => expect(await revocationsOf(account)).toEqual([]), { timeout: 60_000, interval: 100 })
}

describe.concurrent('disconnecting', () => {
  test('deletes the tokens at once, keeps the row, and revokes the grant at X', async () => {
    const account = await connectAccount(world)
    const { refreshToken } = account.grant()
    await account.post()
    expect(await account.disconnect()).toMatchObject({ account: { status: 'DISCONNECTED' }, userErrors: [] })
    expect(await account.tokens()).toBeNull()
    expect(await account.show()).toMatchObject({
      status: 'DISCONNECTED',
      statusReason: 'DISCONNECTED_BY_USER',
      nextAction: null,
      accessTokenExpiresAt: null,
    })
    expect(await account.person.api('connected-accounts')).not.toMatchObject({
      connectedAccounts: expect.arrayContaining([expect.objectContaining({ id: account.id })]),
    })
    expect(await account.tweets()).toHaveLength(1)

    await untilRevoked(account)
    expect(revoked(refreshToken)).toEqual([{ token: refreshToken, token_type_hint: 'refresh_token' }])
    expect(account.grant()).toMatchObject({ live: false, ended: 'revoked-by-app' })
  })

  test('L-07 makes the account unusable before X is called', async () => {
    const account = await connectAccount(world)
    await account.disconnect()
    expect(await account.post()).toMatchObject({ tweet: null, userErrors: [{ code: 'ACCOUNT_DISCONNECTED' }] })
    expect(await account.tweets()).toEqual([])
  })

  test('without offline.access revokes by the access token', async () => {
    const account = await connectAccount(world, { scopes: ['tweet.read', 'tweet.write', 'users.read'] })
    const { accessToken } = account.grant()
    await account.disconnect()
    await untilRevoked(account)
    expect(revoked(accessToken)).toEqual([{ token: accessToken, token_type_hint: 'access_token' }])
    expect(account.grant()).toMatchObject({ ended: 'revoked-by-app' })
  })

  test('revokes by the access token too while the refresh token may be used up', async () => {
    const account = await connectAccount(world)
    const { accessToken, refreshToken } = account.grant()
    await account.setTokens({ state: 'UNCERTAIN', cause: 'RESPONSE_LOST', sentAt: new Date() })
    await account.disconnect()
    await untilRevoked(account)
    expect([revoked(accessToken), revoked(refreshToken)]).toMatchObject([[{}], [{}]])
  })

  test('changes nothing the second time', async () => {
    const account = await connectAccount(world)
    const { refreshToken } = account.grant()
    const first = await account.disconnect()
    await untilRevoked(account)
    expect(await account.disconnect()).toEqual(first)
    expect(await revocationsOf(account)).toEqual([])
    expect(revoked(refreshToken)).toHaveLength(1)
  })

  test('calls X once for 20 requests at the same moment', async () => {
    const account = await connectAccount(world)
    const { refreshToken } = account.grant()
    const responses = await Promise.all(Array.from({ length: 20 }, () => account.disconnect()))
    expect(responses.map(({ account }) => account?.status)).toEqual(Array(20).fill('DISCONNECTED'))
    await untilRevoked(account)
    expect(revoked(refreshToken)).toHaveLength(1)
  })

  test('works for an account whose grant X refuses', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.revokeGrant(account.username)
    await account.post()
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH' })
    expect(await account.disconnect()).toMatchObject({ account: { status: 'DISCONNECTED' }, userErrors: [] })
    expect(await account.tokens()).toBeNull()
    await untilRevoked(account)
  })

  test('works for an account whose tokens cannot be opened', async () => {
    const account = await connectAccount(world)
    await account.setTokens({ refreshTokenSealed: 'junk', accessTokenSealed: 'AQ' })
    expect(await account.disconnect()).toMatchObject({ account: { status: 'DISCONNECTED' }, userErrors: [] })
    expect(await account.tokens()).toBeNull()
  })

  test('revokes by the access token if the refresh token cannot be opened', async () => {
    const account = await connectAccount(world)
    const { accessToken } = account.grant()
    await account.setTokens({ refreshTokenSealed: 'junk' })
    await account.disconnect()
    await untilRevoked(account)
    expect(revoked(accessToken)).toEqual([{ token: accessToken, token_type_hint: 'access_token' }])
  })

  test("somebody else's account is not found, and nothing happens to it", async () => {
    const account = await connectAccount(world)
    const stranger = await world.signedIn('tomasz-k')
    const { refreshToken } = account.grant()
    for (const accountId of [
      account.id,
      account.id.toUpperCase(),
      account.providerAccountId,
      '',
      'x',
      '\u0000',
      '🙂',
      '1'.repeat(5000),
    ]) {
      expect(await stranger.api('disconnect-account', { input: { accountId } })).toMatchObject({
        disconnectAccount: {
          account: null,
          userErrors: [{ code: 'ACCOUNT_NOT_FOUND', field: ['input', 'accountId'], retryable: false }],
        },
      })
    }
    expect(await account.tokens()).not.toBeNull()
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
    expect(revoked(refreshToken)).toEqual([])
  })
})

describe('while X is down, disconnecting', () => {
  test('L-07 succeeds for the user, and a job retries until X has confirmed', async () => {
    const path = '/2/oauth2/revoke'
    world.sandbox.control.inject({ kind: 'problem', name: 'temporarily-unavailable', match: { path } })
    world.sandbox.control.inject({ kind: 'hang', match: { path } })
    world.sandbox.control.inject({ kind: 'problem', name: 'unauthorized-client', match: { path } })
    const accounts = [await connectAccount(world), await connectAccount(world), await connectAccount(world)]
    for (const account of accounts) {
      expect(await account.disconnect()).toMatchObject({ account: { status: 'DISCONNECTED' }, userErrors: [] })
      expect(await account.tokens()).toBeNull()
    }
    await vi.waitFor(() => expect(world.sandbox.control.faults().map(({ hits }) => hits)).toEqual([1, 1, 1]), {
      timeout: 30_000,
    })
    expect(accounts.map((account) => account.grant().live)).toEqual([true, true, true])
    await Promise.all(accounts.map(untilRevoked))
    expect(accounts.map((account) => account.grant().ended)).toEqual(Array(3).fill('revoked-by-app'))
  })

  test('does not end the new grant when any user connects the account again', async () => {
    const account = await connectAccount(world)
    const calls = world.sandbox.control.countReceived({ path: '/2/oauth2/revoke' })
    world.sandbox.control.inject({
      kind: 'problem',
      name: 'temporarily-unavailable',
      match: { path: '/2/oauth2/revoke' },
    })
    await account.disconnect()
    await vi.waitFor(() => expect(world.sandbox.control.faults()[0]?.hits).toBe(1), { timeout: 30_000 })
    const other = await world.signedIn('yuki-ito')
    expect(await other.connect(account.username)).toMatchObject({ outcome: 'connected' })
    // X ended the old grant itself: there is nothing left to revoke, which the next try finds.
    await vi.waitFor(async () => expect(await revocationsOf(account)).toEqual([]), { timeout: 45_000 })
    expect(world.sandbox.control.countReceived({ path: '/2/oauth2/revoke' }) - calls).toBe(1)
    expect(account.grant()).toMatchObject({ live: true })
    expect(await account.show()).toMatchObject({ status: 'DISCONNECTED' })
  })
})

describe('during a refresh', () => {
  test('L-06 disconnecting wins, the new token is revoked too, and integrators lose the account at once at every instance', async () => {
    const account = await connectAccount(world)
    const earlier = account.grant()
    const seen = await watchAsIntegrator(account)
    expect(await seen.accountIds()).toContain(account.id)
    world.advance(UNTIL_ENDED_SECONDS)
    world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 500 }))
    const x = watchX(world)
    const posting = account.post()
    await vi.waitFor(() => expect(account.grant().rotations).toBe(1), { timeout: 30_000 })
    const later = account.grant()
    expect(await account.disconnect()).toMatchObject({ account: { status: 'DISCONNECTED' }, userErrors: [] })
    expect(await seen.accountIds()).not.toContain(account.id)
    await seen.close()
    expect(await posting).toMatchObject({
      tweet: { status: 'FAILED', xTweetId: null },
      userErrors: [{ code: 'ACCOUNT_DISCONNECTED' }],
    })
    expect(x.posts()).toBe(0)
    await untilRevoked(account)
    expect(await account.tokens()).toBeNull()
    expect(revoked(earlier.refreshToken)).toHaveLength(1)
    expect(revoked(later.refreshToken)).toHaveLength(1)
    expect(later.refreshToken).not.toBe(earlier.refreshToken)
    expect(await account.show()).toMatchObject({ status: 'DISCONNECTED' })
  })

  test('L-06 that X has not processed yet, disconnecting wins', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    world.sandbox.control.inject(refreshFault({ kind: 'delay', milliseconds: 500 }))
    const x = watchX(world)
    const posting = account.post()
    await vi.waitFor(() => expect(x.refreshes()).toBe(1), { timeout: 30_000 })
    expect(await account.disconnect()).toMatchObject({ account: { status: 'DISCONNECTED' }, userErrors: [] })
    expect((await posting).userErrors).toMatchObject([{ code: 'ACCOUNT_DISCONNECTED' }])
    await untilRevoked(account)
    expect(await account.tokens()).toBeNull()
    // X may receive the revocation or the refresh first.
    expect(account.grant().live).toBe(false)
    expect(await account.show()).toMatchObject({ status: 'DISCONNECTED', statusReason: 'DISCONNECTED_BY_USER' })
  })

  test('L-06 connecting again wins, and the orphaned tokens are revoked, never stored', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 3_000 }))
    const x = watchX(world)
    const posting = account.post()
    await vi.waitFor(() => expect(x.refreshes()).toBe(1), { timeout: 30_000 })
    expect(await account.person.connect(account.username)).toMatchObject({ outcome: 'connected' })
    expect((await posting).tweet).toMatchObject({ status: 'POSTED' })
    await untilRevoked(account)
    expect(world.sandbox.control.grants(account.username).map(({ ended }) => ended)).toEqual(['superseded', null])
    expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', version: 2, leaseId: null })
    // The stored tokens are those of the new grant.
    world.advance(UNTIL_ENDED_SECONDS)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(account.grant()).toMatchObject({ live: true, rotations: 1, replays: 0 })
  })
})

test('a disconnected account that is connected again is the same account, with its tweets', async () => {
  const account = await connectAccount(world)
  const { tweet } = await account.post()
  await account.disconnect()
  await untilRevoked(account)
  expect(await account.person.connect(account.username)).toMatchObject({ outcome: 'connected' })
  expect(await account.show()).toMatchObject({ id: account.id, status: 'ACTIVE', statusReason: null })
  expect((await account.tweets()).map(({ id }) => id)).toEqual([tweet?.id])
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
})

test.each([
  ['unlinking', false],
  ['unlinking a second time', true],
])('%s waits for a connection that is being stored, without a deadlock', async (_, again) => {
  const account = await connectAccount(world)
  if (again) await account.disconnect()
  const execute = (statement: SQL) => world.db().execute(statement)
  await execute(
    sql`create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(1); return null; end $$`,
  )
  // Each statement, including one that finds nothing to update.
  await execute(sql`create trigger dawdle after update on connected_accounts execute function dawdle()`)
  try {
    const connecting = account.person.connect(account.username)
    const dawdling = sql`select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`
    // PGlite has one connection: there no transaction sees another.
    if (databaseKind() === 'postgres')
      await vi.waitFor(async () => expect(await queryRows(world, dawdling)).toHaveLength(1), {
        timeout: 30_000,
        interval: 10,
      })
    const [connected, disconnected] = await Promise.all([connecting, account.disconnect()])
    expect(connected).toMatchObject({ outcome: 'connected' })
    expect(disconnected).toMatchObject({ userErrors: [] })
    // In either order, an account without tokens is not connected, and tokens without an account
    // are not kept.
    expect((await account.tokens()) === null).toBe((await account.show()).status === 'DISCONNECTED')
  } finally {
    await execute(sql`drop function dawdle cascade`)
  }
})
