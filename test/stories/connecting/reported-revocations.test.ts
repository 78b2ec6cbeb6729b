// X reports a revocation by its Activity API. The report is a hint: X's response to the next
// refresh decides.
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { acquireActivityLease } from '../../../src/accounts/activity-lease.ts'
import { activityStream } from '../../../src/db/tables.ts'
import { startGateway } from '../../../src/gateway.ts'
import { X_APP } from '../../../src/sandbox/world.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import type { Browser } from '../../support/browser.ts'
import { databaseKind } from '../../support/database.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { sweepNow } from '../../support/sweep.ts'

const MARA = '1849302774156890113'

type Status = { status: string; statusReason: string | null }

const environment = { X_APP_BEARER_TOKEN: X_APP.bearerToken }

async function revocationsOf(world: World): Promise<string> {
  return ((await (await world.browser().request('/readyz')).json()) as { revocations: string }).revocations
}

const connected = (world: World) =>
  vi.waitFor(async () => expect(await revocationsOf(world)).toBe('CONNECTED'), { timeout: 60_000, interval: 20 })

async function statusOf(person: Browser): Promise<Status> {
  const { connectedAccounts } = await person.api<{ connectedAccounts: Status[] }>('connected-accounts')
  const [{ status, statusReason } = { status: '', statusReason: null }] = connectedAccounts
  return { status, statusReason }
}

const becomes = (person: Browser, expected: Status) =>
  vi.waitFor(async () => expect(await statusOf(person)).toEqual(expected), { timeout: 60_000, interval: 20 })

const ACTIVE = { status: 'ACTIVE', statusReason: null }
const REVOKED = { status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' }

function event(world: World, change: { at?: number; appId?: string; user?: string; uuid?: string } = {}) {
  const { at = world.sandbox.control.now(), appId = X_APP.id, user = MARA, uuid = crypto.randomUUID() } = change
  const payload = { date_time: new Date(at).toISOString(), user_id: user, app_id: appId }
  return { event_uuid: uuid, event_type: 'oauth.revoke', filter: {}, payload }
}

describe('with the bearer token of the app', () => {
  let world: World
  let person: Browser
  beforeAll(async () => {
    world = await startWorld({ ...environment, X_APP_ID: X_APP.id })
    await connected(world)
  })
  afterAll(() => world.close())
  beforeEach(async () => {
    person = await world.connected('maraholt')
  })

  const send = (data: unknown) => world.sandbox.control.sendActivityLine(JSON.stringify({ data }))
  // What is sent after something that must change nothing, and does change something.
  const until = async () => {
    send(event(world))
    await becomes(person, REVOKED)
  }

  test('a revocation on X’s page is known within seconds, without a call to X', async () => {
    const calls = world.sandbox.control.countReceived({ path: '/2/(oauth2/token|users/me|tweets)' })
    world.sandbox.control.revokeGrant('maraholt')
    await becomes(person, REVOKED)
    expect(world.sandbox.control.countReceived({ path: '/2/(oauth2/token|users/me|tweets)' })).toBe(calls)
    const { events } = await person.api<{ events: { edges: { node: { type: string; reason: string } }[] } }>('events', {
      last: 1,
    })
    expect(events.edges.map(({ node }) => [node.type, node.reason])).toEqual([
      ['ACCOUNT_NEEDS_REAUTH', 'GRANT_REVOKED'],
    ])
    // The sweep asks X once more, and X confirms it.
    world.advance(60)
    await sweepNow(world)
    expect(await statusOf(person)).toEqual(REVOKED)
    // The user has ended the grant: nothing has to be repaired.
    expect(world.logs()).toContain('"cause":"REVOCATION_REPORTED"')
    expect(world.logs()).not.toContain('"fault":"PROVIDER"')
    expect(await person.connect('maraholt')).toMatchObject({ outcome: 'connected' })
    expect(await statusOf(person)).toEqual(ACTIVE)
  })

  test('a hint that is wrong is disproved by the next refresh, and the account works again', async () => {
    send([event(world)])
    await becomes(person, REVOKED)
    world.advance(60)
    await sweepNow(world)
    expect(await statusOf(person)).toEqual(ACTIVE)
  })

  test('one that is older than the connection changes nothing', async () => {
    send(event(world, { at: world.sandbox.control.now() - 3_600_000 }))
    send(event(world, { at: 0 }))
    await until()
    expect(world.sandbox.control.grants('maraholt').filter(({ live }) => live)).toHaveLength(1)
  })

  test('one that is repeated changes nothing the second time', async () => {
    const reported = event(world)
    send(reported)
    await becomes(person, REVOKED)
    await person.connect('maraholt')
    // Dated later than the new connection, so that its id alone tells that it is the same.
    send({ ...reported, payload: event(world, { at: world.sandbox.control.now() + 60_000 }).payload })
    send(event(world, { user: '244991042' }))
    expect(await statusOf(person)).toEqual(ACTIVE)
    await until()
  })

  test('T-10 those of another app, of another account, and lines of another shape change nothing', async () => {
    send(event(world, { appId: '1' }))
    send(event(world, { user: '12' }))
    send({ ...event(world), event_type: 'profile.update.bio' })
    for (const line of ['{', 'null', '[]', '{"data":null}', '{"data":{"payload":{}}}', '{"errors":[{"title":"x"}]}']) {
      world.sandbox.control.sendActivityLine(line)
    }
    // Ids that no account can have, and a number that JSON.parse rounds.
    for (const user of ['\0', `${MARA}\0`, 'maraholt', '', '1'.repeat(5_000)]) send(event(world, { user }))
    const line = JSON.stringify({ data: event(world) })
    world.sandbox.control.sendActivityLine(line.replace(`"${MARA}"`, MARA))
    send({ ...event(world), event_uuid: 'x'.repeat(50_000) })
    send(event(world, { user: '12' }))
    expect(await statusOf(person)).toEqual(ACTIVE)
    await until()
    expect(world.logs()).not.toMatch(/was not recorded/)
  })

  test('a stream that X ends is opened again', async () => {
    world.sandbox.control.endActivityStreams()
    await vi.waitFor(() => expect(world.sandbox.control.countActivityStreams()).toBe(1), { timeout: 60_000 })
    await until()
  })
})

test.each([
  ['with a page', { kind: 'malformed', body: '<html></html>', contentType: 'text/html' }],
  ['with a line that has no end', { kind: 'malformed', body: '{"data":'.padEnd(200_000, ' ') }],
  ['compressed', { kind: 'oversized', bytes: 1_000, gzip: true }],
  ['with 503', { kind: 'status', status: 503, body: { title: 'x'.repeat(50_000) } }],
  ['with a redirect', { kind: 'redirect', location: 'https://api.x.com/2/activity/stream' }],
] as const)(
  'T-10 X responds at once %s: it is asked again after growing pauses, with one line in the log',
  async (_, fault) => {
    const world = await startWorld(environment)
    await connected(world)
    const asked = () => world.sandbox.control.countReceived({ path: '/2/activity/stream' })
    world.sandbox.control.inject({ ...fault, match: { path: '/2/activity/stream' }, times: null })
    world.sandbox.control.endActivityStreams()
    await vi.waitFor(() => expect(asked()).toBeGreaterThan(1), { timeout: 60_000, interval: 20 })
    await sleep(1_500)
    // Without pauses these would be hundreds.
    expect(asked()).toBeLessThan(8)
    expect(world.logs().match(/X reports revocations to this instance/g)).toHaveLength(1)
    await world.close()
  },
)

describe('the lease of the stream', () => {
  test('belongs to one instance, and passes on when its holder stops or is silent', async () => {
    const world = await startWorld(environment)
    await connected(world)
    const { deps } = openInstance(world)
    expect(await acquireActivityLease(deps, crypto.randomUUID())).toBe(false)
    if (databaseKind() === 'postgres') {
      const second = await startGateway({ ...world.config, port: 0 }, createLog('silent', { write: () => {} }), {
        clock: world.clock,
      })
      await world.restart()
      await vi.waitFor(() => expect(world.sandbox.control.countActivityStreams()).toBe(1), { timeout: 60_000 })
      const person = await world.connected('maraholt')
      world.sandbox.control.revokeGrant('maraholt')
      await becomes(person, REVOKED)
      expect(world.sandbox.control.activitySubscriptions()).toEqual(['oauth.revoke'])
      await second.stop()
    }
    await world.close()
  })

  test('keeps the stream open while it cannot be renewed for less than its duration', async () => {
    const world = await startWorld(environment, { activityLeaseSeconds: 6 })
    await connected(world)
    const person = await world.connected('maraholt')
    const heldUntil = async () => (await world.db().select().from(activityStream))[0]?.heldUntil.getTime() ?? 0
    await world.db().execute(sql`alter table activity_stream rename to activity_stream_away`)
    await vi.waitFor(() => expect(world.logs()).toContain('The lease of the activity stream could not be renewed'), {
      timeout: 60_000,
    })
    await world.db().execute(sql`alter table activity_stream_away rename to activity_stream`)
    const before = await heldUntil()
    await vi.waitFor(async () => expect(await heldUntil()).toBeGreaterThan(before), { timeout: 60_000, interval: 50 })
    world.sandbox.control.revokeGrant('maraholt')
    await becomes(person, REVOKED)
    expect(world.sandbox.control.countReceived({ path: '/2/activity/stream' })).toBe(1)
    await world.close()
  })

  test('is taken from a holder that has not renewed it', async () => {
    const world = await startWorld()
    const { deps } = openInstance(world)
    const [first, second] = [crypto.randomUUID(), crypto.randomUUID()]
    expect(await acquireActivityLease(deps, first)).toBe(true)
    expect(await acquireActivityLease(deps, second)).toBe(false)
    expect(await acquireActivityLease(deps, first)).toBe(true)
    world.advance(31)
    expect(await acquireActivityLease(deps, second)).toBe(true)
    expect(await acquireActivityLease(deps, first)).toBe(false)
    await world.close()
  })
})

describe.each(['array', 'subscription'] as const)('X’s answer to the subscription as %s', (shape) => {
  test('is accepted, with the API key and secret of the app', async () => {
    const world = await startWorld({ X_API_KEY: X_APP.apiKey, X_API_SECRET: X_APP.apiSecret })
    world.sandbox.control.setSubscriptionShape(shape)
    await connected(world)
    const person = await world.connected('maraholt')
    world.sandbox.control.revokeGrant('maraholt')
    await becomes(person, REVOKED)
    await world.close()
  })
})

describe('where X reports nothing', () => {
  test.each([
    ['without credentials', {}, 'OFF'],
    ['with a wrong token', { X_APP_BEARER_TOKEN: 'wrong' }, 'REFUSED'],
    ['with a wrong secret', { X_API_KEY: X_APP.apiKey, X_API_SECRET: 'wrong' }, 'REFUSED'],
  ])('%s everything is as before', async (_title, variables, expected) => {
    const world = await startWorld(variables)
    await vi.waitFor(async () => expect(await revocationsOf(world)).toBe(expected), { timeout: 60_000 })
    const person = await world.connected('maraholt')
    world.sandbox.control.revokeGrant('maraholt')
    expect(await statusOf(person)).toEqual(ACTIVE)
    await person.api('post-tweet', { input: { text: 'with a revoked grant' } })
    expect(await statusOf(person)).toEqual(REVOKED)
    expect(world.logs()).not.toMatch(/"level":"error"/)
    await world.close()
  })
})
