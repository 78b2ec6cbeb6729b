// Several orphaned token pairs of one account. At most one of them is valid at X.
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sealToken } from '../../../src/accounts/sealed-tokens.ts'
import { grantRevocations, orphanedTokens } from '../../../src/db/tables.ts'
import {
  ACCESS_TOKEN_SECONDS,
  type ConnectedAccount,
  connectAccount,
  momentIn,
  UNTIL_ENDED_SECONDS,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

type Pair = { accessToken: string; refreshToken: string }

/** A token pair that X issues to a holder that has lost its lease. */
async function refreshAtX(account: ConnectedAccount, refreshToken: string): Promise<Pair> {
  const { clientId, clientSecret } = world.config.x
  const response = await account.person.request(`${world.sandbox.url}/2/oauth2/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }).toString(),
  })
  const body = (await response.json()) as { access_token: string; refresh_token: string }
  return { accessToken: body.access_token, refreshToken: body.refresh_token }
}

async function seedOrphan(account: ConnectedAccount, pair: Pair, fencingToken: number): Promise<void> {
  const owner = { accountId: account.id, userId: account.userId }
  const { config } = world
  const seal = (column: 'accessTokenSealed' | 'refreshTokenSealed', token: string) =>
    sealToken({ config } as Parameters<typeof sealToken>[0], owner, column, token)
  await world
    .db()
    .insert(orphanedTokens)
    .values({
      ...owner,
      fromVersion: 1,
      fencingToken,
      accessTokenSealed: seal('accessTokenSealed', pair.accessToken),
      refreshTokenSealed: seal('refreshTokenSealed', pair.refreshToken),
      accessExpiresAt: momentIn(world, ACCESS_TOKEN_SECONDS),
      createdAt: momentIn(world, fencingToken),
    })
}

const orphansOf = (account: ConnectedAccount) =>
  world.db().select().from(orphanedTokens).where(eq(orphanedTokens.accountId, account.id))
const inDoubt = { state: 'UNCERTAIN', cause: 'RESPONSE_LOST' } as const

describe('of two orphaned token pairs', () => {
  test.each([
    ['first', [2, 1]],
    ['last', [1, 2]],
  ])('the newest is adopted, stored %s or not, and the grant stays valid', async (_which, order) => {
    world.sandbox.control.setRevocationEndsAccount(true)
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    const older = await refreshAtX(account, (await account.storedRefreshToken()) ?? '')
    const newer = await refreshAtX(account, older.refreshToken)
    for (const fencingToken of order) await seedOrphan(account, fencingToken === 2 ? newer : older, fencingToken)
    await account.setTokens(inDoubt)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    expect(await account.storedRefreshToken()).toBe(newer.refreshToken)
    expect(await orphansOf(account)).toMatchObject([{ fencingToken: 1, fromVersion: 2 }])
    // Once X has issued the next pair, the other one is useless.
    world.advance(UNTIL_ENDED_SECONDS)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    await sweepNow(world)
    expect(await orphansOf(account)).toEqual([])
    expect(await world.db().$count(grantRevocations)).toBe(0)
    expect(world.sandbox.control.countReceived({ path: '/2/oauth2/revoke' })).toBe(0)
    expect(account.grant().live).toBe(true)
    world.sandbox.control.setRevocationEndsAccount(false)
  })

  test('the other is tried if X refuses the newest, before the account needs its user', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    const good = await refreshAtX(account, (await account.storedRefreshToken()) ?? '')
    await seedOrphan(account, good, 1)
    await seedOrphan(account, { accessToken: 'of-an-ended-grant', refreshToken: 'of-an-ended-grant' }, 2)
    await account.setTokens(inDoubt)
    expect(await account.post()).toMatchObject({ userErrors: [{ code: 'ACCOUNT_NEEDS_REAUTH' }] })
    await sweepNow(world)
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    expect(await orphansOf(account)).toEqual([])
  })
})

test('one of an earlier version is deleted by the sweep', async () => {
  const account = await connectAccount(world)
  await seedOrphan(account, { accessToken: 'old', refreshToken: 'old' }, 1)
  await account.setTokens({ version: 2 })
  await sweepNow(world)
  expect(await orphansOf(account)).toEqual([])
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
})
