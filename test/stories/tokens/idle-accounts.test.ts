// A refresh token is valid for about half a year. The sweep refreshes an unused connection before
// that, as rarely as possible.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  momentIn,
  refreshFault,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

const DAY = 86_400
const IDLE = 151 * DAY

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

const rotationsOf = (account: ConnectedAccount) => account.grant().rotations

/** Makes the account unused since then. */
async function connectIdle(options?: Parameters<typeof connectAccount>[1]): Promise<ConnectedAccount> {
  const account = await connectAccount(world, options)
  await account.setTokens({ refreshIssuedAt: momentIn(world, -IDLE), accessExpiresAt: momentIn(world, -IDLE + 7200) })
  return account
}

test('refreshes a connection unused for more than a year every five months, and it works afterwards', async () => {
  const account = await connectAccount(world)
  world.advance(149 * DAY)
  await sweepNow(world)
  expect(rotationsOf(account)).toBe(0)
  for (const [rotations, days] of [
    [1, 2],
    [1, 149],
    [2, 2],
  ] as const) {
    world.advance(days * DAY)
    await sweepNow(world)
    expect(rotationsOf(account)).toBe(rotations)
  }
  expect(await account.tokens()).toMatchObject({ version: 3, state: 'ACTIVE', lastEvent: 'REFRESHED' })
  world.advance(149 * DAY)
  await account.person.signIn('mara-holt')
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  expect(account.grant()).toMatchObject({ live: true, rotations: 3, replays: 0 })
})

test('never refreshes a connection that is used now and then', async () => {
  const account = await connectAccount(world)
  world.advance(100 * DAY)
  await account.person.signIn('mara-holt')
  expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  world.advance(100 * DAY)
  await sweepNow(world)
  expect(rotationsOf(account)).toBe(1)
})

test('skips connections that no refresh can help, and reports what the sweep finds', async () => {
  const lost = await connectIdle()
  world.sandbox.control.revokeGrant(lost.username)
  expect((await lost.post()).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
  const disconnected = await connectIdle()
  await disconnected.disconnect()
  await connectIdle({ scopes: ['tweet.read', 'tweet.write', 'users.read'] })
  const revoked = await connectIdle()
  world.sandbox.control.revokeGrant(revoked.username)
  const inDoubt = await connectIdle()
  await inDoubt.setTokens({ state: 'UNCERTAIN', cause: 'RESPONSE_LOST', sentAt: momentIn(world, -IDLE) })

  const x = watchX(world)
  await sweepNow(world)
  expect(x.refreshes()).toBe(2)
  expect(await lost.show()).toMatchObject({ status: 'NEEDS_REAUTH' })
  expect(await disconnected.tokens()).toBeNull()
  expect(await revoked.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
  expect(await inDoubt.tokens()).toMatchObject({ state: 'ACTIVE', version: 2, lastEvent: 'RECOVERED' })
  await sweepNow(world)
  expect(x.refreshes()).toBe(2)
})

test('calls X for one connection only while X is down, and the others get their turn', async () => {
  const accounts = [await connectIdle(), await connectIdle(), await connectIdle(), await connectIdle()]
  world.sandbox.control.inject(refreshFault({ kind: 'problem', name: 'temporarily-unavailable', times: null }))
  const x = watchX(world)
  await sweepNow(world)
  // The sweep of the full minute may have run in between.
  expect(x.refreshes()).toBeGreaterThan(0)
  expect(x.refreshes()).toBeLessThan(accounts.length)
  for (const account of accounts) expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
  endFaults(world)
  world.advance(600)
  await sweepNow(world)
  expect(accounts.map(rotationsOf)).toEqual([1, 1, 1, 1])
})

test('connections that must wait do not block others', async () => {
  const waiting = await Promise.all(Array.from({ length: 20 }, () => connectIdle()))
  for (const account of waiting)
    await account.setTokens({ refreshIssuedAt: momentIn(world, -IDLE - DAY), nextTryAt: momentIn(world, 300) })
  const account = await connectIdle()
  await sweepNow(world)
  expect(rotationsOf(account)).toBe(1)
  expect(waiting.map(rotationsOf)).toEqual(Array(20).fill(0))
})
