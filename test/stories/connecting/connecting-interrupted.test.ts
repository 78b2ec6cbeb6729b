// X has issued tokens, which ended the account's earlier ones, and cannot say which account they
// belong to. The new tokens must not be lost.
import { randomBytes } from 'node:crypto'
import { and, eq, inArray, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { resealAll } from '../../../src/accounts/reseal.ts'
import { sealedKeyId } from '../../../src/crypto.ts'
import { connectAttempts, connectedAccounts, grantRevocations, xBlocks } from '../../../src/db/tables.ts'
import { connectAccount, queryRows } from '../../support/connected-account.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
import { wakeJobs } from '../../support/sweep.ts'
import { atMe, waitingAttempts } from '../../support/waiting-attempt.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, impatient)
})
afterEach(async () => {
  world.sandbox.control.clearFaults()
  await world.db().delete(xBlocks)
})
afterAll(() => world.close())

const { countMe, eventTypesOf, expectConnected, reconnect, untilSettled } = waitingAttempts(() => world)

describe('tokens that wait for their account', () => {
  test('are not used before X has confirmed it, and the account is not given up meanwhile', async () => {
    const account = await connectAccount(world)
    const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable' }))
    // The stored tokens are invalid at X.
    expect(await account.post()).toMatchObject({ tweet: { status: 'FAILED' }, userErrors: [{ code: 'X_UNAVAILABLE' }] })
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
    world.sandbox.control.clearFaults()
    await expectConnected(account, arrival)
    expect(await eventTypesOf(account)).not.toContain('account.needs_reauth')
  })

  test('are refused and revoked when X names another account, whose user is told', async () => {
    const [wanted, other] = [
      await connectAccount(world),
      await connectAccount(world, { person: await world.signedIn('tomasz-k') }),
    ]
    const { authorizationUrl } = await wanted.person.startXConnect({ reconnectAccountId: wanted.id })
    const callback = await wanted.person.consent(authorizationUrl ?? '', other.username)
    world.sandbox.control.inject(atMe({ kind: 'problem', name: 'service-unavailable' }))
    const arrival = await wanted.person.finish(callback)
    expect(arrival).toMatchObject({ outcome: 'waiting' })
    world.sandbox.control.clearFaults()
    const { status, error, account } = await untilSettled(wanted.person, arrival.attempt)
    expect([status, error?.code, account]).toEqual(['FAILED', 'WRONG_ACCOUNT', null])
    for (const name of [wanted.username, other.username]) expect(error?.message).toContain(`@${name}`)
    expect(await other.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
    expect(await wanted.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    await expect
      .poll(() => other.person && world.sandbox.control.grants(other.username).at(-1)?.ended, { timeout: 15_000 })
      .toBe('revoked-by-app')
  })

  test('are revoked when their user disconnects the account meanwhile', async () => {
    const account = await connectAccount(world)
    const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable' }))
    await account.disconnect()
    world.sandbox.control.clearFaults()
    expect(await untilSettled(account.person, arrival.attempt)).toMatchObject({
      status: 'FAILED',
      error: { code: 'ACCOUNT_DISCONNECTED' },
    })
    expect(await account.show()).toMatchObject({ status: 'DISCONNECTED' })
    await expect
      .poll(() => world.sandbox.control.grants(account.username).filter(({ live }) => live), { timeout: 15_000 })
      .toEqual([])
  })

  test('are revoked when their user is deleted', async () => {
    world.sandbox.control.addGithubPerson('leaver')
    const account = await connectAccount(world, { person: await world.signedIn('leaver') })
    await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable' }))
    expect(account.grant().live).toBe(true)
    await account.person.api('delete-viewer', { input: { login: 'leaver' } })
    await expect
      .poll(() => world.sandbox.control.grants(account.username).filter(({ live }) => live), { timeout: 15_000 })
      .toEqual([])
    expect(await world.db().$count(connectAttempts, eq(connectAttempts.userId, account.userId))).toBe(0)
  })

  test('give way to a later approval, and never replace it', async () => {
    const account = await connectAccount(world)
    const first = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable' }))
    world.sandbox.control.clearFaults()
    expect(await account.person.connect(account.username)).toMatchObject({ outcome: 'connected' })
    const stored = await account.storedRefreshToken()
    expect(await untilSettled(account.person, first.attempt)).toMatchObject({
      status: 'FAILED',
      error: { code: 'X_UNAVAILABLE' },
    })
    expect(await account.storedRefreshToken()).toBe(stored)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    expect(account.grant().live).toBe(true)
  })

  test('are sealed, bound to their attempt, and in no log', async () => {
    const account = await connectAccount(world)
    const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable' }))
    const { accessToken, refreshToken } = account.grant()
    const rows = JSON.stringify(
      await queryRows(world, sql`select * from connect_attempts where id = ${arrival.attempt}`),
    )
    for (const text of [rows, world.logs()])
      for (const secret of [accessToken, refreshToken]) expect(text).not.toContain(secret)
  })
})

test('connects once when its job runs twice at the same time', async () => {
  const account = await connectAccount(world)
  const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable' }))
  world.sandbox.control.clearFaults()
  world.advance(301)
  const calls = countMe()
  const job = sql`insert into pgboss.job (name, data) values ('finish-connect', ${JSON.stringify({ userId: account.userId, id: arrival.attempt })}::jsonb) returning id`
  const ids: unknown[] = []
  for (let round = 0; round < 4; round++) ids.push((await queryRows(world, job))[0]?.id)
  await wakeJobs(world)
  await expect
    .poll(
      async () =>
        (
          await queryRows(
            world,
            sql`select state from pgboss.job where name = 'finish-connect' and state <> 'completed'`,
          )
        ).length,
      { timeout: 20_000 },
    )
    .toBe(0)
  expect(ids).toHaveLength(4)
  expect(countMe() - calls).toBe(1)
  expect(await eventTypesOf(account)).toEqual(['account.connected', 'account.reconnected'])
  const open = and(eq(connectedAccounts.id, account.id), inArray(connectedAccounts.status, ['ACTIVE']))
  expect(await world.db().$count(connectedAccounts, open)).toBe(1)
})

test('reseals waiting tokens under a new key, so that they open without the old one', async () => {
  // An attempt whose user has not returned needs the first key for ten minutes more. One that waits
  // for X would take the only call after the end of the limit.
  await world
    .db()
    .delete(connectAttempts)
    .where(inArray(connectAttempts.status, ['PENDING', 'WAITING']))
  const account = await connectAccount(world)
  const reset = String(Math.ceil(world.sandbox.control.now() / 1000) + 40_000)
  const headers = { 'x-app-limit-24hour-remaining': '0', 'x-app-limit-24hour-reset': reset }
  const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'too-many-requests', headers }))
  world.sandbox.control.clearFaults()
  const [k1] = world.config.encryptionKeys
  const k2 = { id: 'second', secret: randomBytes(32) }
  await world.restart({ encryptionKeys: [k2, k1] })
  expect(await resealAll(world.db(), [k2, k1])).toMatchObject({ waiting: 0, unreadable: 0, retired: ['test'] })
  const [row] = await world
    .db()
    .select({ sealed: connectAttempts.tokensSealed })
    .from(connectAttempts)
    .where(eq(connectAttempts.id, arrival.attempt ?? ''))
  expect(sealedKeyId(row?.sealed ?? '')).toBe('second')
  await world.restart({ encryptionKeys: [k2] })
  await expectConnected(account, arrival, 40_010)
})

test('waiting tokens that were altered in the database end their attempt, and the connection is checked', async () => {
  const account = await connectAccount(world)
  const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable' }))
  world.sandbox.control.clearFaults()
  const id = arrival.attempt ?? ''
  const altered = sql`${connectAttempts.tokensSealed} || 'AAAA'`
  await world.db().update(connectAttempts).set({ tokensSealed: altered }).where(eq(connectAttempts.id, id))
  expect(await untilSettled(account.person, id)).toMatchObject({ status: 'FAILED', error: { code: 'X_UNAVAILABLE' } })
  const [row] = await world.db().select().from(connectAttempts).where(eq(connectAttempts.id, id))
  expect([row?.tokensSealed, row?.nextTryAt]).toEqual([null, null])
  // The approval has ended the stored tokens.
  await expect.poll(async () => (await account.show()).status, { timeout: 20_000 }).toBe('NEEDS_REAUTH')
})

test('a pending revocation of a disconnected account does not end tokens that may belong to the same account', async () => {
  const { control } = world.sandbox
  control.setRevocationEndsAccount(true)
  try {
    const account = await connectAccount(world)
    control.inject({ kind: 'problem', name: 'service-unavailable', times: null, match: { path: '/2/oauth2/revoke' } })
    await account.disconnect()
    const [revocation] = await world.db().select().from(grantRevocations)
    // Connected again without an expected account.
    const { authorizationUrl } = await account.person.startXConnect()
    const callback = await account.person.consent(authorizationUrl ?? '', account.username)
    control.inject(atMe({ kind: 'problem', name: 'service-unavailable' }))
    const arrival = await account.person.finish(callback)
    expect(arrival).toMatchObject({ outcome: 'waiting' })
    // X accepts revocations again, and the callback was a while ago.
    control.clearFaults()
    control.inject(atMe({ kind: 'problem', name: 'service-unavailable' }))
    world.advance(125)
    const data = JSON.stringify({ userId: account.userId, id: revocation?.id })
    const queued = sql`select id from pgboss.job
      where name = 'revoke-grant' and state = 'created' and data = ${data}::jsonb and start_after > now()`
    const before = await queryRows(world, queued)
    const [job] = await queryRows(
      world,
      sql`insert into pgboss.job (name, data) values ('revoke-grant', ${data}::jsonb) returning id`,
    )
    await wakeJobs(world)
    // A finished job leaves no row.
    const state = sql`select state from pgboss.job where id = ${job?.id}`
    await expect.poll(() => queryRows(world, state), { timeout: 20_000 }).toEqual([])
    // The sweep checks again each minute: tokens may wait for days, and jobs must not accumulate.
    expect(before).toEqual(expect.arrayContaining(await queryRows(world, queued)))
    expect(account.grant().live).toBe(true)
    control.clearFaults()
    await expectConnected(account, arrival)
  } finally {
    control.setRevocationEndsAccount(false)
  }
})
