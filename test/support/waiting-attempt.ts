// Connect attempts that wait: X has issued tokens, which ended the account's earlier ones, and
// cannot say which account they belong to.
import { eq } from 'drizzle-orm'
import { expect, vi } from 'vitest'
import type { ConnectAttemptQuery } from '../../src/console/operation-types.ts'
import { connectAttempts, events, grantRevocations } from '../../src/db/tables.ts'
import type { Fault, FaultKind } from '../../src/sandbox/control/faults.ts'
import type { Arrival, Browser } from './browser.ts'
import type { ConnectedAccount } from './connected-account.ts'
import type { World } from './harness.ts'
import { sweepNow } from './sweep.ts'

type Attempt = NonNullable<ConnectAttemptQuery['connectAttempt']>

/** Returns a fault at X's users/me, for all requests unless it says how many. */
export function atMe(fault: FaultKind & Pick<Fault, 'after' | 'times'>): Fault {
  return { times: null, ...fault, match: { path: '/2/users/me' } }
}

/** Returns the operations on waiting attempts in this world, which exists once they are called. */
export function waitingAttempts(world: () => World) {
  /** Returns the attempt as its user sees it. */
  async function attemptOf(person: Browser, id: string | null): Promise<Attempt> {
    const { connectAttempt } = await person.api('connect-attempt', { connectAttemptId: id })
    if (connectAttempt === null) throw new Error(`There is no attempt ${id}`)
    return connectAttempt
  }

  /** Moves the clock; the sweep queues the due attempts, and a job finishes them. */
  async function untilSettled(person: Browser, attempt: string | null, seconds = 301): Promise<Attempt> {
    world().advance(seconds)
    await sweepNow(world())
    return vi.waitFor(
      async () => {
        const found = await attemptOf(person, attempt)
        if (found.status === 'WAITING' || found.status === 'PENDING') throw new Error(`It is ${found.status}`)
        return found
      },
      { timeout: 60_000, interval: 50 },
    )
  }

  return {
    attemptOf,
    untilSettled,

    /** Returns the number of requests to X's users/me. */
    countMe: (): number => world().sandbox.control.countReceived({ path: '/2/users/me' }),

    /** Returns the types of the account's events, oldest first. */
    async eventTypesOf(account: ConnectedAccount): Promise<string[]> {
      const types = world().db().select({ type: events.type }).from(events)
      const rows = await types.where(eq(events.accountId, account.id)).orderBy(events.position)
      return rows.map(({ type }) => type)
    },

    /**
     * Connects the account again with this fault at X's users/me. The callback is visited; the fault
     * stays.
     */
    async reconnect(account: ConnectedAccount, fault: Fault, input?: Record<string, unknown>): Promise<Arrival> {
      const { authorizationUrl } = await account.person.startXConnect(input ?? { reconnectAccountId: account.id })
      const callback = await account.person.consent(authorizationUrl ?? '', account.username)
      world().sandbox.control.inject(fault)
      return account.person.finish(callback)
    },

    /** Lets the attempt finish, and expects that its account works with the tokens that waited. */
    async expectConnected(account: ConnectedAccount, arrival: Arrival, seconds?: number): Promise<void> {
      expect(await untilSettled(account.person, arrival.attempt, seconds)).toMatchObject({
        status: 'SUCCEEDED',
        error: null,
        account: { id: account.id },
      })
      expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
      expect(await account.storedRefreshToken()).toBe(account.grant().refreshToken)
      expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
      expect(await world().db().$count(grantRevocations)).toBe(0)
      const [row] = await world()
        .db()
        .select()
        .from(connectAttempts)
        .where(eq(connectAttempts.id, arrival.attempt ?? ''))
      expect([row?.tokensSealed, row?.nextTryAt]).toEqual([null, null])
    },
  }
}
