// X has issued tokens, which ended the account's earlier ones, and cannot say which account they
// belong to. The new tokens must not be lost.
import { randomBytes } from 'node:crypto'
import { and, eq, inArray, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { resealAll } from '../../../src/accounts/reseal.ts'
import { sealedKeyId } from '../../../src/crypto.ts'
import { connectAttempts, connectedAccounts, events, grantRevocations, xBlocks } from '../../../src/db/tables.ts'
import type { Fault, FaultKind } from '../../../src/sandbox/control/faults.ts'
import type { Arrival, Browser, UserError } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount, queryRows } from '../../support/connected-account.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, impatient)
})
afterEach(async () => {
  world.sandbox.control.clearFaults()
  await world.db().delete(xBlocks)
})
afterAll(() => world.close())

type Attempt = { status: string; error: UserError | null; account: { id: string } | null; finishedAt: string | null }
const attemptOf = async (person: Browser, id: string | null) =>
  (await person.api<{ connectAttempt: Attempt }>('connect-attempt', { connectAttemptId: id })).connectAttempt
const countMe = () => world.sandbox.control.countReceived({ path: '/2/users/me' })
const atMe = (fault: FaultKind & Pick<Fault, 'after' | 'times'>): Fault => ({
  times: null,
  ...fault,
  match: { path: '/2/users/me' },
})
const eventTypesOf = async (account: ConnectedAccount) =>
  (
    await world
      .db()
      .select({ type: events.type })
      .from(events)
      .where(eq(events.accountId, account.id))
      .orderBy(events.position)
  ).map(({ type }) => type)

/**
 * Connects the account again with this fault at X's users/me. The callback is visited; the fault
 * stays.
 */
async function reconnect(account: ConnectedAccount, fault: Fault, input?: Record<string, unknown>): Promise<Arrival> {
  const { authorizationUrl } = await account.person.startXConnect(input ?? { reconnectAccountId: account.id })
  const callback = await account.person.consent(authorizationUrl ?? '', account.username)
  world.sandbox.control.inject(fault)
  return account.person.finish(callback)
}

/** Moves the clock; the sweep queues the due attempts, and a job finishes them. */
async function untilSettled(person: Browser, attempt: string | null, seconds = 301): Promise<Attempt> {
  world.advance(seconds)
  await sweepNow(world)
  return vi.waitFor(
    async () => {
      const found = await attemptOf(person, attempt)
      if (found.status === 'WAITING' || found.status === 'PENDING') throw new Error(`It is ${found.status}`)
      return found
    },
    { timeout: 20_000, interval: 50 },
  )
}

async function expectConnected(account: ConnectedAccount, arrival: Arrival, seconds?: number): Promise<void> {
  expect(await untilSettled(account.person, arrival.attempt, seconds)).toMatchObject({
    status: 'SUCCEEDED',
    error: null,
    account: { id: account.id },
  })
  expect(await account.show()).toMatchObject({ status: 'ACTIVE', statusReason: null })
  expect(await account.storedRefreshToken()).toBe(account.grant().refreshToken)
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  expect(await world.db().$count(grantRevocations)).toBe(0)
  const [row] = await world
    .db()
    .select()
    .from(connectAttempts)
    .where(eq(connectAttempts.id, arrival.attempt ?? ''))
  expect([row?.tokensSealed, row?.nextTryAt]).toEqual([null, null])
}

const passing: [string, FaultKind, string][] = [
  ['is down', { kind: 'problem', name: 'service-unavailable' }, 'X_UNAVAILABLE'],
  [
    'is down behind its front',
    { kind: 'malformed', status: 502, body: '<html>', contentType: 'text/html' },
    'X_UNAVAILABLE',
  ],
  ['hangs up', { kind: 'dropBefore' }, 'X_UNAVAILABLE'],
  ['is cut off halfway', { kind: 'cutHalfway' }, 'X_UNAVAILABLE'],
  ['never answers', { kind: 'hang' }, 'X_UNAVAILABLE'],
  ['answers with JSON cut short', { kind: 'malformed' }, 'X_UNAVAILABLE'],
  [
    'answers with lists in lists',
    { kind: 'malformed', body: '['.repeat(30_000) + ']'.repeat(30_000) },
    'X_UNAVAILABLE',
  ],
  ['answers with null', { kind: 'malformed', body: 'null' }, 'X_UNAVAILABLE'],
  ['answers with a page', { kind: 'malformed', body: '<!doctype html>', contentType: 'text/html' }, 'X_UNAVAILABLE'],
  ['answers with a megabyte', { kind: 'oversized', bytes: 1_000_000 }, 'X_UNAVAILABLE'],
  ['answers with a bomb', { kind: 'oversized', bytes: 50_000_000, gzip: true }, 'X_UNAVAILABLE'],
  ['sends us elsewhere', { kind: 'redirect', status: 307, location: '/elsewhere' }, 'X_UNAVAILABLE'],
  ['refuses its own token', { kind: 'problem', name: 'unauthorized' }, 'X_UNAVAILABLE'],
  ['refuses in general', { kind: 'problem', name: 'not-permitted' }, 'X_UNAVAILABLE'],
  ['finds the request invalid', { kind: 'problem', name: 'invalid-request' }, 'X_UNAVAILABLE'],
  ['is rate limiting', { kind: 'problem', name: 'too-many-requests' }, 'X_RATE_LIMITED'],
  ['is rate limiting, and does not say until when', { kind: 'status', status: 429 }, 'X_RATE_LIMITED'],
  ['wants to be paid', { kind: 'problem', name: 'credits-depleted' }, 'X_CREDITS_EXHAUSTED'],
  ['has capped our use', { kind: 'problem', name: 'usage-capped' }, 'X_USAGE_CAPPED'],
  ['has not enrolled our app', { kind: 'problem', name: 'client-not-enrolled' }, 'X_APP_NOT_ENROLLED'],
  ['sends an empty object', { kind: 'malformed', body: '{}' }, 'X_UNAVAILABLE'],
  [
    'sends errors and no data',
    { kind: 'malformed', body: '{"errors":[{"title":"Not Found Error"}]}' },
    'X_UNAVAILABLE',
  ],
  [
    'sends an id that is a number',
    { kind: 'malformed', body: '{"data":{"id":1849302774156890113,"username":"x","name":"x"}}' },
    'X_UNAVAILABLE',
  ],
  [
    'sends an id of letters',
    { kind: 'malformed', body: '{"data":{"id":"1 or 1=1","username":"x","name":"x"}}' },
    'X_UNAVAILABLE',
  ],
  ['sends no username', { kind: 'malformed', body: '{"data":{"id":"1","name":"x"}}' }, 'X_UNAVAILABLE'],
  [
    'sends a name that no database takes',
    { kind: 'malformed', body: '{"data":{"id":"1","username":"x","name":"a\\u0000b"}}' },
    'X_UNAVAILABLE',
  ],
]

describe('T-01 T-03 T-05 a working connection survives a reconnect during which X’s users/me', () => {
  test.each(passing)('%s', async (_what, fault, code) => {
    const account = await connectAccount(world)
    const arrival = await reconnect(account, atMe(fault))
    expect(arrival).toMatchObject({ outcome: 'waiting', code })
    const { status, error, finishedAt } = await attemptOf(account.person, arrival.attempt)
    expect([status, error?.code, finishedAt]).toEqual(['WAITING', code, null])
    // The job asks again at the stated time.
    expect(Date.parse(error?.retryAt ?? '')).toBeGreaterThan(world.clock.now().getTime())
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
    expect(world.sandbox.control.countReceived({ path: '/elsewhere' })).toBe(0)
    world.sandbox.control.clearFaults()
    await expectConnected(account, arrival, 901)
    expect(await eventTypesOf(account)).toEqual(['account.connected', 'account.reconnected', 'tweet.posted'])
  })

  test('fails once: the request is repeated while the user waits', async () => {
    const account = await connectAccount(world)
    const calls = countMe()
    const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable', times: 1 }))
    expect(arrival).toMatchObject({ outcome: 'connected', code: null })
    expect(countMe() - calls).toBe(2)
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  })
})

test('a first connection waits in the same way, and is finished without its user', async () => {
  const person = await world.signedIn('yuki-ito')
  world.sandbox.control.addAccount('late_one')
  const { authorizationUrl } = await person.startXConnect()
  const callback = await person.consent(authorizationUrl ?? '', 'late_one')
  world.sandbox.control.inject(atMe({ kind: 'problem', name: 'service-unavailable' }))
  const arrival = await person.finish(callback)
  expect(arrival).toMatchObject({ outcome: 'waiting', code: 'X_UNAVAILABLE' })
  // X is still down at the first retry.
  world.advance(301)
  const calls = countMe()
  await sweepNow(world)
  await expect.poll(() => countMe(), { timeout: 15_000 }).toBeGreaterThan(calls)
  await expect.poll(async () => (await attemptOf(person, arrival.attempt)).status).toBe('WAITING')
  world.sandbox.control.clearFaults()
  await person.api('sign-out')
  const again = await world.signedIn('yuki-ito')
  expect(await untilSettled(again, arrival.attempt)).toMatchObject({
    status: 'SUCCEEDED',
    account: { username: 'late_one' },
  })
})

test('refreshes waiting tokens that expire, and connects their account a day later', async () => {
  const account = await connectAccount(world)
  const reset = String(Math.ceil(world.sandbox.control.now() / 1000) + 80_000)
  const headers = { 'x-app-limit-24hour-remaining': '0', 'x-app-limit-24hour-reset': reset }
  const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'too-many-requests', headers }))
  expect(arrival).toMatchObject({ outcome: 'waiting', code: 'X_RATE_LIMITED' })
  const { error } = await attemptOf(account.person, arrival.attempt)
  expect(Date.parse(error?.retryAt ?? '') / 1000).toBeCloseTo(Number(reset), -1)
  world.sandbox.control.clearFaults()
  await expectConnected(account, arrival, 80_010)
})

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

describe('a process that dies', () => {
  test('after X has issued the tokens and before X named the account, leaves the rest to a job', async () => {
    const account = await connectAccount(world)
    const { authorizationUrl, connectAttempt: attempt } = await account.person.startXConnect({
      reconnectAccountId: account.id,
    })
    const callback = await account.person.consent(authorizationUrl ?? '', account.username)
    world.sandbox.control.inject(atMe({ kind: 'hang', times: 1 }))
    const calls = countMe()
    const finishing = account.person.finish(callback).catch(() => null)
    await expect.poll(countMe, { interval: 5, timeout: 15_000 }).toBe(calls + 1)
    // The row as it is at that moment: all that a killed process leaves behind.
    const id = attempt?.id ?? ''
    const [left] = await world.db().select().from(connectAttempts).where(eq(connectAttempts.id, id))
    expect(left).toMatchObject({ status: 'PENDING', tokensSealed: expect.any(String) })
    await finishing
    world.sandbox.control.clearFaults()
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
    const { tokensSealed, accessExpiresAt, nextTryAt } = left ?? {}
    const asLeft = {
      status: 'PENDING' as const,
      accountId: null,
      finishedAt: null,
      tokensSealed,
      accessExpiresAt,
      nextTryAt,
    }
    await world.db().update(connectAttempts).set(asLeft).where(eq(connectAttempts.id, id))
    expect(await untilSettled(account.person, id)).toMatchObject({ status: 'SUCCEEDED', account: { id: account.id } })
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  })

  test('or loses the response with the tokens, is noticed without a post', async () => {
    const account = await connectAccount(world)
    const { authorizationUrl } = await account.person.startXConnect({ reconnectAccountId: account.id })
    const callback = await account.person.consent(authorizationUrl ?? '', account.username)
    world.sandbox.control.inject({ kind: 'dropAfter', match: { path: '/2/oauth2/token' } })
    expect(await account.person.finish(callback)).toMatchObject({ outcome: 'failed', code: 'X_UNAVAILABLE' })
    await expect.poll(async () => (await account.show()).status, { timeout: 20_000 }).toBe('NEEDS_REAUTH')
    expect(await eventTypesOf(account)).toEqual(['account.connected', 'account.needs_reauth'])
  })

  test('before X has issued anything, leaves an attempt that ends and a connection that is checked', async () => {
    const account = await connectAccount(world)
    const { authorizationUrl, connectAttempt: attempt } = await account.person.startXConnect({
      reconnectAccountId: account.id,
    })
    await account.person.consent(authorizationUrl ?? '', account.username)
    const id = attempt?.id ?? ''
    await world
      .db()
      .update(connectAttempts)
      .set({ takenAt: world.clock.sqlNow(), verifierSealed: null })
      .where(eq(connectAttempts.id, id))
    expect(await untilSettled(account.person, id, 1_000)).toMatchObject({
      status: 'FAILED',
      error: { code: 'X_UNAVAILABLE' },
    })
    await expect.poll(() => countMe(), { timeout: 15_000 }).toBeGreaterThan(0)
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  })
})

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

test('connects once when its job runs twice at the same time', async () => {
  const account = await connectAccount(world)
  const arrival = await reconnect(account, atMe({ kind: 'problem', name: 'service-unavailable' }))
  world.sandbox.control.clearFaults()
  world.advance(301)
  const calls = countMe()
  const job = sql`insert into pgboss.job (name, data) values ('finish-connect', ${JSON.stringify({ userId: account.userId, id: arrival.attempt })}::jsonb) returning id`
  const ids: unknown[] = []
  for (let round = 0; round < 4; round++) ids.push((await queryRows(world, job))[0]?.id)
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
  // An attempt whose user has not returned needs the first key for ten minutes more.
  await world.db().delete(connectAttempts).where(eq(connectAttempts.status, 'PENDING'))
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

test('a process whose attempt another has finished stores nothing, and returns that outcome', async () => {
  const account = await connectAccount(world)
  const stored = await account.storedRefreshToken()
  const { authorizationUrl, connectAttempt: attempt } = await account.person.startXConnect({
    reconnectAccountId: account.id,
  })
  const callback = await account.person.consent(authorizationUrl ?? '', account.username)
  world.sandbox.control.inject(atMe({ kind: 'delay', milliseconds: 1_000, times: 1 }))
  const [calls, logged] = [countMe(), world.logs().length]
  const finishing = account.person.finish(callback)
  await expect.poll(countMe, { interval: 5, timeout: 15_000 }).toBe(calls + 1)
  const finished = { status: 'SUCCEEDED' as const, accountId: account.id, tokensSealed: null, nextTryAt: null }
  await world
    .db()
    .update(connectAttempts)
    .set({ ...finished, finishedAt: world.clock.sqlNow() })
    .where(eq(connectAttempts.id, attempt?.id ?? ''))
  expect(await finishing).toMatchObject({ outcome: 'connected' })
  expect(await account.storedRefreshToken()).toBe(stored)
  expect(await eventTypesOf(account)).toEqual(['account.connected'])
  // The database says that the attempt is gone; repeating the statement would not help.
  expect(world.logs().slice(logged)).not.toContain('The database did not take it')
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
    const state = sql`select state from pgboss.job where id = ${job?.id}`
    await expect.poll(() => queryRows(world, state), { timeout: 20_000 }).toEqual([{ state: 'completed' }])
    // The sweep checks again each minute: tokens may wait for days, and jobs must not accumulate.
    expect(before).toEqual(expect.arrayContaining(await queryRows(world, queued)))
    expect(account.grant().live).toBe(true)
    control.clearFaults()
    await expectConnected(account, arrival)
  } finally {
    control.setRevocationEndsAccount(false)
  }
})
