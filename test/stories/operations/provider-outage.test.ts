// A provider is down for many calls, with the circuit breakers of production: calls that are held
// back are certainly not sent, no caller gets an internal error, and nothing stays locked once the
// provider is back.
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { oauthTokens } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  postFault,
  refreshFault,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeEach(async () => {
  world = await startWorld()
})
afterEach(() => world.close())

const GITHUB_TOKEN_PATH = '/login/oauth/access_token'
const X_TOKEN_PATH = '/2/oauth2/token'
const DOWN: FaultKind = { kind: 'problem', name: 'temporarily-unavailable' }

async function connectAccounts(count: number): Promise<ConnectedAccount[]> {
  const person = await world.signedIn()
  const accounts: ConnectedAccount[] = []
  while (accounts.length < count) accounts.push(await connectAccount(world, { person }))
  return accounts
}

function heldLeases(): Promise<number> {
  return world
    .db()
    .$count(oauthTokens, sql`${oauthTokens.leaseId} is not null or ${oauthTokens.leaseUntil} is not null`)
}

describe('X’s token endpoint is down for more than twenty calls', () => {
  test('all of twelve accounts can post a minute after it has recovered', async () => {
    const accounts = await connectAccounts(12)
    world.advance(UNTIL_ENDED_SECONDS)
    world.sandbox.control.inject(refreshFault({ ...DOWN, times: null }))
    const x = watchX(world)
    // The interval is longer than the pause after failures of one account.
    for (let round = 0; round < 3; round++) {
      const responses = await Promise.all(accounts.map((account) => account.post()))
      for (const response of responses)
        expect(response).toMatchObject({
          tweet: { status: 'FAILED' },
          userErrors: [{ code: 'X_UNAVAILABLE', retryable: true }],
        })
      expect(await heldLeases()).toBe(0)
      world.advance(4)
    }
    // Two rounds were sent until the breaker opened, and of the third round only a probe now and
    // then.
    expect(x.refreshes()).toBeGreaterThanOrEqual(20)
    expect(x.refreshes()).toBeLessThan(36)
    // A call that was held back does not count as a failure of the account.
    const failures = await Promise.all(accounts.map(async (account) => (await account.tokens())?.failCount))
    expect(failures.filter((count) => count === 2).length).toBeGreaterThan(6)
    endFaults(world)
    world.advance(60)
    for (const account of accounts) expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    expect(world.sandbox.control.grants().every(({ live, replays }) => live && replays === 0)).toBe(true)
  })
})

describe('during an outage', () => {
  test('every sign-in reports it, and the first one afterwards works', async () => {
    const person = world.browser()
    world.sandbox.control.inject({ match: { path: GITHUB_TOKEN_PATH }, kind: 'status', status: 503, times: 25 })
    for (let call = 0; call < 25; call++)
      expect(await person.signIn('mara-holt')).toMatchObject({ outcome: 'failed', code: 'GITHUB_UNAVAILABLE' })
    endFaults(world)
    expect(await person.signIn('mara-holt')).toMatchObject({ outcome: 'succeeded' })
  })

  test('every connection reports it, and the first one afterwards works', async () => {
    const person = await world.signedIn()
    world.sandbox.control.addAccount('patient_one')
    world.sandbox.control.inject({ match: { path: X_TOKEN_PATH }, times: 25, ...DOWN })
    for (let call = 0; call < 25; call++)
      expect(await person.connect('patient_one')).toMatchObject({ outcome: 'failed', code: 'X_UNAVAILABLE' })
    endFaults(world)
    expect(await person.connect('patient_one')).toMatchObject({ outcome: 'connected' })
  })
})

test('while X acts on refreshes and its responses are lost, the circuit breaker protects most connections', async () => {
  const accounts = await connectAccounts(40)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'problemAfter', name: 'gateway-timeout', times: null }))
  for (const account of accounts) await account.post()
  endFaults(world)
  world.advance(60)
  const codes: (string | undefined)[] = []
  for (const account of accounts) {
    const { tweet, userErrors } = await account.post()
    codes.push(userErrors[0]?.code ?? tweet?.status)
  }
  const lost = codes.filter((code) => code === 'ACCOUNT_NEEDS_REAUTH').length
  // Twenty, and a probe now and then. Their users have to reconnect; the other accounts work.
  expect(lost).toBeGreaterThanOrEqual(20)
  expect(lost).toBeLessThan(30)
  expect(codes.filter((code) => code === 'POSTED')).toHaveLength(40 - lost)
})

test('the sweep continues with its other parts while the circuit breaker for refreshes is open', async () => {
  const accounts = await connectAccounts(22)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ ...DOWN, times: null }))
  await Promise.all(accounts.map((account) => account.post()))
  const [idle] = accounts
  // Idle for so long that the sweep refreshes its tokens.
  await idle?.setTokens({ refreshIssuedAt: new Date(0), nextTryAt: null })
  await sweepNow(world)
  expect(world.logs()).not.toContain('A background job failed')
  expect(await heldLeases()).toBe(0)
})

describe('X does not respond to posts', () => {
  test('after twenty in doubt, further posts are not sent and need no read of a timeline', async () => {
    const accounts = await connectAccounts(3)
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'service-unavailable', times: null }))
    const x = watchX(world)
    const statuses: (string | undefined)[] = []
    for (let call = 0; call < 45; call++) statuses.push((await accounts[call % accounts.length]?.post())?.tweet?.status)
    expect(statuses.slice(0, 20)).toEqual(Array(20).fill('UNKNOWN'))
    // After that, one probe is sent every five seconds.
    const inDoubt = statuses.filter((status) => status === 'UNKNOWN').length
    expect(statuses.filter((status) => status === 'FAILED')).toHaveLength(45 - inDoubt)
    expect(inDoubt).toBeLessThan(35)
    expect(x.posts()).toBe(inDoubt)
    endFaults(world)
  })

  test('after the recovery, the first response closes the circuit breaker', async () => {
    const accounts = await connectAccounts(12)
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'service-unavailable', times: null }))
    for (let call = 0; call < 20; call++) await accounts[call % accounts.length]?.post()
    expect(await accounts[0]?.post()).toMatchObject({ tweet: { status: 'FAILED' } })
    endFaults(world)
    world.advance(5)
    const x = watchX(world)
    expect(await accounts[0]?.post()).toMatchObject({ tweet: { status: 'POSTED' } })
    const responses = await Promise.all(accounts.map((account) => account.post()))
    expect(responses.map(({ tweet }) => tweet?.status)).toEqual(Array(12).fill('POSTED'))
    expect(x.posts()).toBe(13)
  })

  test('refusals never open the circuit breaker', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'not-permitted', times: 30 }))
    for (let call = 0; call < 30; call++) await account.post()
    endFaults(world)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  })
})
