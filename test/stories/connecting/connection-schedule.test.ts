// Posting, disconnecting and connecting again during a refresh: in any order of arrival, the stored
// tokens are those of X, and lost ones are revoked there.
import { setTimeout as wait } from 'node:timers/promises'
import { eq, inArray } from 'drizzle-orm'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { grantRevocations, orphanedTokens } from '../../../src/db/tables.ts'
import {
  type ConnectedAccount,
  connectAccount,
  momentIn,
  refreshFault,
  spendAtX,
  UNTIL_ENDED_SECONDS,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

const ACCOUNTS = 10

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => world.sandbox.control.clearFaults())
afterAll(() => world.close())

/** What a killed process left behind, and the steps with their times in milliseconds. */
type Schedule = {
  before: 'nothing' | 'a killed holder' | 'a killed holder whose refresh X had answered'
  steps: { action: 'post' | 'disconnect' | 'reconnect'; at: number }[]
}

const moment = fc.integer({ min: 0, max: 250 })
const schedule: fc.Arbitrary<Schedule> = fc.record({
  before: fc.constantFrom('nothing', 'nothing', 'a killed holder', 'a killed holder whose refresh X had answered'),
  // At most one of them connects again: of two authorizations at once X ends one while it is being
  // stored.
  steps: fc
    .tuple(
      fc.array(fc.record({ action: fc.constantFrom('post', 'post', 'disconnect'), at: moment }), {
        minLength: 2,
        maxLength: 5,
        size: 'max',
      }),
      fc.option(fc.record({ action: fc.constant('reconnect'), at: moment }), { nil: null }),
    )
    .map(([steps, reconnect]) => (reconnect === null ? steps : [...steps, reconnect])),
})

async function prepare(account: ConnectedAccount, before: Schedule['before']): Promise<void> {
  if (before === 'nothing') return
  if (before !== 'a killed holder') await spendAtX(world, account)
  await account.setTokens({
    leaseId: crypto.randomUUID(),
    leaseUntil: momentIn(world, -30),
    sentAt: momentIn(world, -90),
  })
}

// Random delays of X, before or after it acts.
function slowX(): void {
  const { control } = world.sandbox
  for (const milliseconds of [30, 150]) {
    control.inject(refreshFault({ kind: 'delay', milliseconds, times: null, probability: 0.4 }))
    control.inject(refreshFault({ kind: 'delayAfter', milliseconds, times: null, probability: 0.4 }))
  }
  const connecting = { path: '/2/oauth2/token', parameters: { grant_type: 'authorization_code' } }
  control.inject({ kind: 'delay', milliseconds: 60, times: null, probability: 0.5, match: connecting })
  control.inject({ kind: 'delayAfter', milliseconds: 60, times: null, probability: 0.5, match: connecting })
  control.inject({ kind: 'delay', milliseconds: 80, times: null, probability: 0.5, match: { path: '/2/users/me' } })
}

/** Returns how many tweets X must have by the responses. */
async function carryOut(account: ConnectedAccount, { steps }: Schedule): Promise<number> {
  const posted = await Promise.all(
    steps.map(async ({ action, at }) => {
      await wait(at)
      if (action === 'disconnect') expect((await account.disconnect()).userErrors).toEqual([])
      if (action === 'reconnect')
        expect(await account.person.connect(account.username)).toMatchObject({ outcome: 'connected' })
      if (action !== 'post') return 0
      const { tweet, userErrors } = await account.post()
      expect(userErrors[0]?.code ?? 'POSTED').toBeOneOf([
        'POSTED',
        'ACCOUNT_DISCONNECTED',
        'ACCOUNT_NEEDS_REAUTH',
        // Another authorization ended its token twice on the way.
        'X_UNAVAILABLE',
      ])
      return tweet?.status === 'POSTED' ? 1 : 0
    }),
  )
  return posted.reduce((sum: number, one) => sum + one, 0)
}

async function check(account: ConnectedAccount, { before, steps }: Schedule, posted: number): Promise<void> {
  const { control } = world.sandbox
  const { status, statusReason } = await account.show()
  const tokens = await account.tokens()
  const grants = control.grants(account.username)
  const newest = account.grant()
  expect(control.tweets(account.username)).toHaveLength(posted)
  expect(await world.db().select().from(orphanedTokens).where(eq(orphanedTokens.accountId, account.id))).toEqual([])
  // At most one authorization is valid at X, and none that the gateway does not know.
  expect(grants.slice(0, -1).filter(({ live }) => live)).toEqual([])
  if (before !== 'a killed holder whose refresh X had answered')
    expect(grants.map(({ replays }) => replays)).toEqual(grants.map(() => 0))
  if (status === 'DISCONNECTED') {
    expect(steps.map(({ action }) => action)).toContain('disconnect')
    expect([tokens, newest.live]).toEqual([null, false])
  } else if (status === 'NEEDS_REAUTH') {
    expect([statusReason, before]).toEqual(['REFRESH_LOST', 'a killed holder whose refresh X had answered'])
    expect([tokens?.state, newest.live]).toEqual(['DEAD', false])
  } else {
    expect([status, statusReason, newest.live]).toEqual(['ACTIVE', null, true])
    // A killed lease holder that nobody had to replace stays as it is.
    if (tokens?.leaseId === null) expect(await account.storedRefreshToken()).toBe(newest.refreshToken)
  }
}

test('in any order, the stored tokens are those of X, and nothing else is valid there', async () => {
  const giveUpAt = performance.now() + 10_000
  await fc.assert(
    fc.asyncProperty(fc.array(schedule, { minLength: ACCOUNTS, maxLength: ACCOUNTS }), async (schedules) => {
      // A slow machine runs fewer.
      if (performance.now() > giveUpAt) return
      const accounts = await Promise.all(
        schedules.map(async (schedule) => ({ schedule, account: await connectAccount(world) })),
      )
      world.advance(UNTIL_ENDED_SECONDS)
      for (const { account, schedule } of accounts) await prepare(account, schedule.before)
      slowX()
      const posted = await Promise.all(accounts.map(({ account, schedule }) => carryOut(account, schedule)))
      world.sandbox.control.clearFaults()
      const ids = accounts.map(({ account }) => account.id)
      const revocations = () =>
        world.db().select().from(grantRevocations).where(inArray(grantRevocations.accountId, ids))
      await vi.waitFor(async () => expect(await revocations()).toEqual([]), { timeout: 20_000, interval: 50 })
      expect(world.sandbox.control.concurrentSends()).toBeLessThanOrEqual(1)
      for (const [i, { account, schedule }] of accounts.entries()) await check(account, schedule, posted[i] ?? 0)
    }),
    { numRuns: 5, endOnFailure: true },
  )
})
