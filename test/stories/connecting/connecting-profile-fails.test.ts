// X issues tokens to a reconnect, and its users/me then fails: the connection survives.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { xBlocks } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
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

const { attemptOf, countMe, eventTypesOf, expectConnected, reconnect, untilSettled } = waitingAttempts(() => world)

const passing: [string, FaultKind, string][] = [
  ['is down', { kind: 'problem', name: 'service-unavailable' }, 'X_UNAVAILABLE'],
  [
    'is down behind its proxy',
    { kind: 'malformed', status: 502, body: '<html>', contentType: 'text/html' },
    'X_UNAVAILABLE',
  ],
  ['closes the connection', { kind: 'dropBefore' }, 'X_UNAVAILABLE'],
  ['is cut off halfway', { kind: 'cutHalfway' }, 'X_UNAVAILABLE'],
  ['never responds', { kind: 'hang' }, 'X_UNAVAILABLE'],
  ['responds with truncated JSON', { kind: 'malformed' }, 'X_UNAVAILABLE'],
  [
    'responds with deeply nested lists',
    { kind: 'malformed', body: '['.repeat(30_000) + ']'.repeat(30_000) },
    'X_UNAVAILABLE',
  ],
  ['responds with null', { kind: 'malformed', body: 'null' }, 'X_UNAVAILABLE'],
  ['responds with a page', { kind: 'malformed', body: '<!doctype html>', contentType: 'text/html' }, 'X_UNAVAILABLE'],
  ['responds with a megabyte', { kind: 'oversized', bytes: 1_000_000 }, 'X_UNAVAILABLE'],
  ['responds with a gzip bomb', { kind: 'oversized', bytes: 50_000_000, gzip: true }, 'X_UNAVAILABLE'],
  ['redirects', { kind: 'redirect', status: 307, location: '/elsewhere' }, 'X_UNAVAILABLE'],
  ['refuses its own token', { kind: 'problem', name: 'unauthorized' }, 'X_UNAVAILABLE'],
  ['refuses in general', { kind: 'problem', name: 'not-permitted' }, 'X_UNAVAILABLE'],
  ['finds the request invalid', { kind: 'problem', name: 'invalid-request' }, 'X_UNAVAILABLE'],
  ['is rate limiting', { kind: 'problem', name: 'too-many-requests' }, 'X_RATE_LIMITED'],
  ['is rate limiting, and does not say until when', { kind: 'status', status: 429 }, 'X_RATE_LIMITED'],
  ['has no credits left', { kind: 'problem', name: 'credits-depleted' }, 'X_CREDITS_EXHAUSTED'],
  ['has capped the usage', { kind: 'problem', name: 'usage-capped' }, 'X_USAGE_CAPPED'],
  ['has not enrolled the app', { kind: 'problem', name: 'client-not-enrolled' }, 'X_APP_NOT_ENROLLED'],
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
    'sends a name that PostgreSQL cannot store',
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
