// Events, cursors and webhooks of a database of the release that ordered all events together.
import { randomUUID } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import type { Db } from '../../../src/db/client.ts'
import { eventPositions, events, OPERATOR_ID } from '../../../src/db/tables.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createWebhookEndpoint } from '../../../src/webhooks/endpoints.ts'
import type { Browser } from '../../support/browser.ts'
import { queryRows } from '../../support/connected-account.ts'
import { insertJsonRow, readJsonRows, restartAfterMigration } from '../../support/earlier-tables.ts'
import { type EventPage, newPerson, readPage } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, openInstance } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'
import { ask, expectGraphqlRefusal } from '../../support/raw-graphql.ts'
import { record } from '../../support/recorded-events.ts'
import { sweepNow } from '../../support/sweep.ts'
import { startReceiver, webhooksOf } from '../../support/webhook-receiver.ts'

const RELEASED = 20
// The counter of all events before the first one of the test.
const BEFORE = 100

let world: World
let receiver: Awaited<ReturnType<typeof startReceiver>>
let mara: Browser
let tomasz: Browser
let maraId: string
/** The ids of the events by their old positions, from 101. */
const ids = Array.from({ length: 6 }, () => randomUUID())

const cursor = (position: number) => Buffer.from(`event:${position}`).toString('base64url')
const idAt = (position: number) => ids[position - BEFORE - 1] ?? ''

beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  receiver = await startReceiver()
  const types = ['ACCOUNT_RECONNECTED', 'ACCOUNT_DISCONNECTED']
  await webhooksOf(await world.signedIn()).create({ url: `${receiver.url}/mara`, types })
  const webhookEgress = createWebhookEgress({ policy: 'LOOPBACK', deadlineSeconds: 5 })
  const deps = { db: world.db(), clock: world.clock, config: world.config, webhookEgress }
  await createWebhookEndpoint(deps, OPERATOR_ID, {
    url: `${receiver.url}/operator`,
    description: null,
    types: ['account.reconnected', 'account.disconnected'],
  })
  await webhookEgress.close()
  await world.signedIn('tomasz-k')
  const read = (table: string) => readJsonRows(world.db(), table)
  const users = (await read('users')).filter(({ id }) => id !== OPERATOR_ID)
  const endpoints = await read('webhook_endpoints')
  maraId = String(users.find(({ login }) => login === 'mara-holt')?.id)
  const tomaszId = String(users.find(({ login }) => login === 'tomasz-k')?.id)
  await restartAfterMigration(world, RELEASED, async (db) => {
    for (const user of users)
      await insertJsonRow(db, 'users', { ...user, link_visibility: user.id === maraId ? 'INTEGRATORS' : 'NOBODY' })
    for (const endpoint of endpoints) {
      const user_id = endpoint.user_id === OPERATOR_ID ? null : endpoint.user_id
      await insertJsonRow(db, 'webhook_endpoints', { ...endpoint, user_id, enabled_at: endpoint.created_at })
    }
    await db.execute(sql`select setval('events_positions', ${sql.raw(String(BEFORE))})`)
    await happen(db, 101, 'account.connected', maraId)
    await happen(db, 102, 'link_visibility.changed', maraId)
    await happen(db, 103, 'account.reconnected', maraId)
    await happen(db, 104, 'account.reconnected', tomaszId)
    await happen(db, 105, 'token.created', null)
    await db.execute(sql`update webhook_fan_out set position = 105`)
    for (const position of [101, 103]) {
      await db.execute(sql`insert into webhook_deliveries (endpoint_id, event_id, next_attempt_at, created_at)
        select id, ${idAt(position)}, now(), now() from webhook_endpoints`)
    }
    // Written after the last run of the fan-out.
    await happen(db, 106, 'account.disconnected', maraId)
    await db.execute(sql`insert into event_horizons (user_id, type, position)
      values (${maraId}, 'account.connected', 60), (${tomaszId}, 'account.connected', 70)`)
  })
  mara = await world.signedIn()
  tomasz = await world.signedIn('tomasz-k')
})
afterAll(async () => {
  await world.close()
  await receiver.close()
})

/** An event of the old form; the trigger of then gives it its position. */
async function happen(db: Db, position: number, type: string, userId: string | null): Promise<void> {
  await db.execute(sql`insert into events (id, type, user_id, occurred_at)
    values (${idAt(position)}, ${type}, ${userId}, now())`)
}

const idsAfter = async (person: Browser, position: number) =>
  (await readPage(person, { first: 100, after: cursor(position) })).edges.map(({ node }) => node.id)

test('a user’s cursors stay good, and new events come after all old positions', async () => {
  expect((await idsAfter(mara, 101)).slice(0, 3)).toEqual([idAt(102), idAt(103), idAt(106)])
  expect(await idsAfter(mara, 103)).toEqual([idAt(106), expect.any(String)])
  // That of a list without events, and of another user's last event.
  expect(await idsAfter(tomasz, 106)).toHaveLength(1)
  const rows = await world.db().select().from(events).where(eq(events.userId, maraId)).orderBy(events.position)
  expect(rows.map(({ position }) => position)).toEqual([101, 102, 103, 106, 107])
})

test('a cursor before deleted events, or beyond all, is refused', async () => {
  for (const position of [59, 1_000])
    await expectGraphqlRefusal(mara, ask(`{ events(after: "${cursor(position)}") { nodes { id } } }`), 'CURSOR_EXPIRED')
  expect(await idsAfter(mara, 60)).toHaveLength(5)
})

test('events that the fan-out had reached or not are delivered, once to each endpoint', async () => {
  await sweepNow(world)
  const received = () =>
    receiver.received.map(({ path, headers }) => `${path.replace('/hook/', '')} ${headers['webhook-id']}`).toSorted()
  const sent = [
    ...[101, 103, 106].map((position) => `mara ${idAt(position)}`),
    // The accounts were hidden at the time of the first event.
    ...[103, 106].map((position) => `operator ${idAt(position)}`),
  ]
  await vi.waitFor(() => expect(received()).toEqual(sent.toSorted()), { timeout: 30_000 })
  const deliveries = await queryRows(world, sql`select status from webhook_deliveries`)
  expect(deliveries).toHaveLength(sent.length)
})

test('the operator reads the events of the time in which their user shows their accounts, by old cursors', async () => {
  const instance = openInstance(world)
  const token = { name: 'monitor', scopes: ['events:read'], expiresInDays: 1 }
  const { secret } = await createApiToken({ db: world.db(), clock: world.clock }, { userId: OPERATOR_ID }, token)
  const read = async (position: number) => {
    const { data } = await instance.ask(readOperation('events'), bearer(secret), { after: cursor(position) })
    return (data?.events as EventPage | undefined)?.edges.map(({ node }) => [node.id, node.userId])
  }
  expect(await read(60)).toEqual([
    [idAt(103), maraId],
    [idAt(106), maraId],
  ])
  expect(await read(103)).toEqual([[idAt(106), maraId]])
  expect(await read(106)).toEqual([])
  // The horizon of a user who shows their accounts, and not that of another.
  expect(await read(59)).toBeUndefined()
  await mara.api('set-link-visibility', { input: { visibility: 'NOBODY' } })
  expect(await read(60)).toEqual([])
  await instance.close()
})

test('a user who comes later begins with the first position', async () => {
  const newcomer = await newPerson(world)
  const { viewer } = await newcomer.api<{ viewer: { id: string } }>('viewer')
  const [counter] = await world.db().select().from(eventPositions).where(eq(eventPositions.userId, viewer.id))
  expect(counter?.position).toBe(1)
})

test('an event after the migration is delivered to the endpoints that were there before', async () => {
  const before = receiver.received.length
  for (const userId of [maraId, OPERATOR_ID]) await record(world, { type: 'account.disconnected', userId })
  const paths = () => receiver.received.slice(before).map(({ path }) => path.replace('/hook/', ''))
  await vi.waitFor(() => expect(paths().toSorted()).toEqual(['mara', 'operator']), { timeout: 30_000 })
})
