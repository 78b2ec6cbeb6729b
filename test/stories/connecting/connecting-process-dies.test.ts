// A process dies while it connects an account, or another finishes its attempt.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectAttempts, xBlocks } from '../../../src/db/tables.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { impatient, startWorld, type World } from '../../support/harness.ts'
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

const { countMe, eventTypesOf, untilSettled } = waitingAttempts(() => world)

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
