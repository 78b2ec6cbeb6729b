// X refuses the gateway's app as a whole while a connection waits for its account.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectAttempts, xBlocks } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import type { Arrival } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'
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

const { attemptOf, countMe, expectConnected, reconnect } = waitingAttempts(() => world)

describe('errors of X’s users/me that concern the whole app', () => {
  const headers = () => ({
    'x-app-limit-24hour-remaining': '0',
    'x-app-limit-24hour-reset': String(Math.ceil(world.sandbox.control.now() / 1000) + 40_000),
  })

  test.each<[string, () => FaultKind, string]>([
    ['a daily limit', () => ({ kind: 'problem', name: 'too-many-requests', headers: headers() }), 'X_RATE_LIMITED'],
    ['credits', () => ({ kind: 'problem', name: 'credits-depleted' }), 'X_CREDITS_EXHAUSTED'],
    ['a usage cap', () => ({ kind: 'problem', name: 'usage-capped' }), 'X_USAGE_CAPPED'],
  ])('%s: starts no connect until the block ends', async (_what, fault, code) => {
    const account = await connectAccount(world)
    const arrival = await reconnect(account, atMe(fault()))
    const { error } = await attemptOf(account.person, arrival.attempt)
    expect([error?.code, error?.retryAt === null]).toEqual([code, false])
    const other = await world.signedIn('yuki-ito')
    const attempts = await world.db().$count(connectAttempts)
    const { authorizationUrl, userErrors } = await other.startXConnect()
    expect([authorizationUrl, userErrors.map((error) => error.code)]).toEqual([null, [code]])
    expect(Date.parse(userErrors[0]?.retryAt ?? '')).toBeGreaterThan(world.clock.now().getTime())
    expect((await other.request('/auth/x')).headers.get('location')).toContain(`xConnect=failed&code=${code}`)
    expect(await world.db().$count(connectAttempts)).toBe(attempts)
    world.sandbox.control.clearFaults()
    await expectConnected(account, arrival, 40_010)
    expect((await other.startXConnect()).userErrors).toEqual([])
  })

  test('and of many waiting attempts, one asks', async () => {
    const accounts = [await connectAccount(world), await connectAccount(world), await connectAccount(world)]
    const urls = []
    for (const { person, username, id } of accounts) {
      const { authorizationUrl } = await person.startXConnect({ reconnectAccountId: id })
      urls.push(await person.consent(authorizationUrl ?? '', username))
    }
    world.sandbox.control.inject(atMe({ kind: 'problem', name: 'credits-depleted' }))
    const calls = countMe()
    const arrivals: Arrival[] = []
    for (const [index, { person }] of accounts.entries()) arrivals.push(await person.finish(urls[index] ?? ''))
    expect(arrivals.map(({ outcome, code }) => [outcome, code])).toEqual(
      accounts.map(() => ['waiting', 'X_CREDITS_EXHAUSTED']),
    )
    expect(countMe() - calls).toBe(1)
    world.sandbox.control.clearFaults()
    world.advance(301)
    // The first to ask ends the block; the others are due again after that.
    const statuses = async () => {
      world.advance(16)
      await sweepNow(world)
      const found = await Promise.all(
        accounts.map(({ person }, at) => attemptOf(person, arrivals[at]?.attempt ?? null)),
      )
      return found.map(({ status }) => status)
    }
    await expect.poll(statuses, { timeout: 30_000 }).toEqual(accounts.map(() => 'SUCCEEDED'))
    for (const [index, account] of accounts.entries())
      if (arrivals[index]) await expectConnected(account, arrivals[index])
  })
})

test('tokens that wait for a usage cap are tried long before the cap ends', async () => {
  const account = await connectAccount(world)
  const end = new Date(world.sandbox.control.now() + 20 * 86_400_000).toISOString().slice(0, 10)
  const body = { title: 'SpendCapReached', type: 'https://api.x.com/2/problems/credits', reset_date: end }
  const arrival = await reconnect(account, atMe({ kind: 'status', status: 403, body }))
  expect(arrival).toMatchObject({ outcome: 'waiting', code: 'X_USAGE_CAPPED' })
  // The operator has raised the cap.
  world.sandbox.control.clearFaults()
  await expectConnected(account, arrival, 601)
})
