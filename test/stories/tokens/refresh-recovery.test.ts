// The state that a killed or stalled process leaves behind, and how the next one takes over.
// Seeded, since a story cannot kill its process.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { connectedAccounts, events, grantRevocations, orphanedTokens } from '../../../src/db/tables.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  momentIn,
  refreshFault,
  spendAtX,
  UNTIL_DUE_SECONDS,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  // The calls have their long deadlines: a response that a busy machine discards would leave the
  // refresh token in doubt, and cost one more refresh.
  world = await startWorld({}, { waitForRefreshSeconds: 8 })
})
afterEach(() => {
  world.sandbox.control.setReplay('end-grant')
  endFaults(world)
})
afterAll(() => world.close())

/** The state after a process is killed between its lease and its commit. */
async function seedKilledHolder(account: ConnectedAccount, leaseEndsInSeconds: number): Promise<void> {
  await account.setTokens({
    leaseId: crypto.randomUUID(),
    leaseUntil: momentIn(world, leaseEndsInSeconds),
    sentAt: momentIn(world, leaseEndsInSeconds - 60),
    fencingToken: 1,
  })
}

function orphansOf(account: ConnectedAccount) {
  return world.db().select().from(orphanedTokens).where(eq(orphanedTokens.accountId, account.id))
}

describe('a refresh token whose lease holder was killed', () => {
  test('is not sent while the access token is valid, which stays in use', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_DUE_SECONDS)
    await seedKilledHolder(account, -30)
    const x = watchX(world)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect([x.refreshes(), x.posts()]).toEqual([0, 1])
  })

  test('is taken over ten seconds after the lease ends, and not before', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    // Expired, but not by ten seconds before the caller has waited its eight.
    await seedKilledHolder(account, 5)
    const x = watchX(world)
    expect(await account.post('Too early')).toMatchObject({
      tweet: { status: 'FAILED' },
      userErrors: [{ code: 'REFRESH_IN_PROGRESS', retryable: true }],
    })
    expect([x.refreshes(), x.posts()]).toEqual([0, 0])
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })

    world.advance(20)
    expect((await account.post('In time')).tweet).toMatchObject({ status: 'POSTED' })
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])
    expect(await account.tokens()).toMatchObject({
      state: 'ACTIVE',
      version: 2,
      fencingToken: 2,
      cause: null,
      leaseId: null,
    })
  })

  test('after X has responded, is lost and reported as lost, not revoked', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    await spendAtX(world, account)
    await seedKilledHolder(account, -11)
    expect((await account.post()).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
    expect(await account.show()).toMatchObject({
      status: 'NEEDS_REAUTH',
      statusReason: 'REFRESH_LOST',
      nextAction: 'RECONNECT',
    })
    expect(await account.tokens()).toMatchObject({ state: 'DEAD', cause: 'LEASE_EXPIRED' })
  })

  test('keeps its cause through a take-over that X defers', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    await spendAtX(world, account)
    await seedKilledHolder(account, -11)
    world.sandbox.control.inject(refreshFault({ kind: 'problem', name: 'temporarily-unavailable' }))
    expect((await account.post('First')).userErrors).toMatchObject([{ code: 'X_UNAVAILABLE' }])
    expect(await account.tokens()).toMatchObject({ state: 'UNCERTAIN', cause: 'LEASE_EXPIRED', leaseId: null })
    // Still: it may have been used.
    expect((await account.tokens())?.sentAt).not.toBeNull()
    world.advance(5)
    expect((await account.post('Second')).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
    expect(await account.show()).toMatchObject({ statusReason: 'REFRESH_LOST' })
  })

  test('is taken over by one of 20 callers', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    await seedKilledHolder(account, -11)
    const x = watchX(world)
    const responses = await Promise.all(Array.from({ length: 20 }, () => account.post()))
    expect(responses.map(({ tweet }) => tweet?.status)).toEqual(Array(20).fill('POSTED'))
    expect(x.refreshes()).toBe(1)
  })
})

describe('a token pair that arrives at a holder whose lease another has taken', () => {
  // The holder waits for X; meanwhile another process has taken the lease, and has been killed too.
  async function stallWhileTheLeasePassesOn(account: ConnectedAccount): Promise<void> {
    world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 700 }))
    const x = watchX(world)
    const posting = account.post('By the stalled holder')
    await vi.waitFor(() => expect(x.refreshes()).toBe(1), { timeout: 30_000 })
    await account.setTokens({
      leaseId: crypto.randomUUID(),
      leaseUntil: momentIn(world, -3),
      fencingToken: 2,
      cause: 'LEASE_EXPIRED',
    })
    await vi.waitFor(async () => expect(await orphansOf(account)).toHaveLength(1), { timeout: 10_000 })
    // From here on the lease has expired.
    world.advance(20)
    expect((await posting).tweet).toMatchObject({ status: 'POSTED' })
  }

  test('never overwrites; the next holder adopts it instead of calling X', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    const x = watchX(world)
    await stallWhileTheLeasePassesOn(account)
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])
    expect(await orphansOf(account)).toEqual([])
    expect(await account.tokens()).toMatchObject({
      state: 'ACTIVE',
      version: 2,
      fencingToken: 3,
      cause: null,
      leaseId: null,
    })
    expect(account.grant()).toMatchObject({ live: true, rotations: 1, replays: 0 })

    // The adopted refresh token is the valid one.
    world.advance(UNTIL_ENDED_SECONDS)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(account.grant()).toMatchObject({ live: true, rotations: 2, replays: 0 })
  })

  test('is revoked and deleted when the account is disconnected before it is adopted', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_DUE_SECONDS)
    world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 500 }))
    const x = watchX(world)
    const posting = account.post()
    await vi.waitFor(() => expect(x.refreshes()).toBe(1), { timeout: 30_000 })
    await account.setTokens({ leaseId: crypto.randomUUID(), leaseUntil: momentIn(world, 60), fencingToken: 2 })
    await posting
    await vi.waitFor(async () => expect(await orphansOf(account)).toHaveLength(1), { timeout: 30_000 })
    const orphaned = account.grant().refreshToken

    expect(await account.disconnect()).toMatchObject({ account: { status: 'DISCONNECTED' }, userErrors: [] })
    expect(await orphansOf(account)).toEqual([])
    await vi.waitFor(
      () =>
        expect(
          world.sandbox.control
            .received({ path: '/2/oauth2/revoke', acted: true })
            .map(({ body }) => (body as { token: string }).token),
        ).toContain(orphaned),
      { timeout: 15_000 },
    )
    await vi.waitFor(async () => expect(await world.db().select().from(grantRevocations)).toEqual([]), {
      timeout: 30_000,
    })
  })
})

describe('a token pair that arrives after its account was given up', () => {
  // The holder waits for X; meanwhile another process has taken over, sent the same token, and been
  // refused.
  async function giveUpWhileTheHolderWaits(account: ConnectedAccount, more: { scopes?: string[] } = {}): Promise<void> {
    world.advance(UNTIL_ENDED_SECONDS)
    world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 700 }))
    const x = watchX(world)
    const posting = account.post('By the stalled holder')
    await vi.waitFor(() => expect(x.refreshes()).toBe(1), { timeout: 30_000 })
    await account.setTokens({ state: 'DEAD', leaseId: null, leaseUntil: null, fencingToken: 2, cause: 'LEASE_EXPIRED' })
    await world
      .db()
      .update(connectedAccounts)
      .set({ status: 'NEEDS_REAUTH', statusReason: 'REFRESH_LOST', ...more })
      .where(eq(connectedAccounts.id, account.id))
    expect((await posting).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
  }

  test.each([
    ['ACTIVE', null, {}],
    ['LIMITED', 'SCOPES_NOT_GRANTED', { scopes: ['tweet.read', 'users.read', 'offline.access'] }],
  ])('restores it to %s without its user, once X has accepted it', async (status, statusReason, more) => {
    const account = await connectAccount(world)
    await giveUpWhileTheHolderWaits(account, more)
    expect(await orphansOf(account)).toHaveLength(1)
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH' })
    await sweepNow(world)
    expect(await account.show()).toMatchObject({ status, statusReason })
    expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', version: 3, cause: null, lastEvent: 'RECOVERED' })
    expect(await orphansOf(account)).toEqual([])
    expect(account.grant()).toMatchObject({ live: true, rotations: 2, replays: 0 })
    const told = await world.db().select().from(events).where(eq(events.accountId, account.id))
    expect(told.filter(({ type }) => type === 'account.recovered')).toMatchObject([{ reason: statusReason }])
  })

  test('is tried once, and the account stays given up, if X has ended the whole grant', async () => {
    const account = await connectAccount(world)
    await giveUpWhileTheHolderWaits(account)
    world.sandbox.control.revokeGrant(account.username)
    const x = watchX(world)
    await sweepNow(world)
    await sweepNow(world)
    expect(x.refreshes()).toBe(1)
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'REFRESH_LOST' })
    expect(await account.tokens()).toMatchObject({ state: 'DEAD', cause: 'ORPHAN_ADOPTED', leaseId: null })
    expect(await orphansOf(account)).toEqual([])
  })

  test('is tried again after X was down, and the account stays given up until then', async () => {
    const account = await connectAccount(world)
    await giveUpWhileTheHolderWaits(account)
    world.sandbox.control.inject(refreshFault({ kind: 'problem', name: 'temporarily-unavailable' }))
    await sweepNow(world)
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'REFRESH_LOST' })
    world.advance(5)
    await sweepNow(world)
    expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  })
})

describe('in doubt', () => {
  test('a refresh token is not probed while the access token is valid, in either mode of X', async () => {
    for (const mode of ['end-grant', 'invalid-request'] as const) {
      world.sandbox.control.setReplay(mode)
      const account = await connectAccount(world)
      await account.setTokens({ state: 'UNCERTAIN', cause: 'RESPONSE_LOST', sentAt: momentIn(world, -600) })
      world.advance(UNTIL_DUE_SECONDS)
      const x = watchX(world)
      expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
      expect(x.refreshes()).toBe(0)
    }
  })

  test('a refresh token is probed at once when X rejects the access token', async () => {
    const account = await connectAccount(world)
    await account.setTokens({ state: 'UNCERTAIN', cause: 'RESPONSE_LOST', sentAt: momentIn(world, -600) })
    world.sandbox.control.expireAccessToken(account.username)
    const x = watchX(world)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect([x.refreshes(), x.posts()]).toEqual([1, 2])
    expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', cause: null, sentAt: null })
  })

  test('an account that X refuses is lost for good, and connecting it again restores it', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_DUE_SECONDS)
    world.sandbox.control.inject(refreshFault({ kind: 'dropAfter' }))
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(account.grant()).toMatchObject({ live: true, replays: 0 })
    world.advance(300)
    expect((await account.post()).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
    expect(account.grant()).toMatchObject({ live: false, ended: 'replay', replays: 1 })
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'REFRESH_LOST' })

    const { outcome } = await account.person.connect(account.username)
    expect(outcome).toBe('connected')
    expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', cause: null, sentAt: null, leaseId: null })
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  })
})
