// The order of webhook deliveries over all instances, on a database without a gateway: who has the
// next turn is read and taken as by the loop of an instance.
import { and, eq, inArray, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseConfig } from '../../../src/config/config.ts'
import { type Database, openDatabase } from '../../../src/db/client.ts'
import type { Clock } from '../../../src/db/clock.ts'
import { users, webhookDeliveries, webhookEndpoints, webhookTurns } from '../../../src/db/tables.ts'
import { createDeps, type Deps, transaction } from '../../../src/deps.ts'
import { MAX_PENDING_DELIVERIES } from '../../../src/events/deliveries.ts'
import { type NewEvent, recordEvent } from '../../../src/events/events.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { listWebhookDeliveries, replayWebhookDelivery } from '../../../src/webhooks/deliveries.ts'
import { endDeliveries } from '../../../src/webhooks/endpoint-end.ts'
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  listWebhookEndpoints,
  updateWebhookEndpoint,
} from '../../../src/webhooks/endpoints.ts'
import { listTurns, markSlow, SLOW_LANE_SECONDS, takeTurn, type WebhookLane } from '../../../src/webhooks/turns.ts'
import { createTestDatabase, databaseKind, type TestDatabase } from '../../support/database.ts'
import { withStatementLog } from '../../support/statements/logged-database.ts'

let files: TestDatabase
let database: Database
let deps: Deps
let offsetSeconds = 0
let people = 0
beforeAll(async () => {
  files = await createTestDatabase()
  database = await openDatabase(parseConfig(files.environment).database)
  const clock: Clock = {
    now: () => new Date(Date.now() + offsetSeconds * 1000),
    sqlNow: () => sql<Date>`(xconnect_now() + make_interval(secs => ${{ toString: () => String(offsetSeconds) }}))`,
  }
  deps = createDeps({
    db: withStatementLog(database).db,
    config: parseConfig(files.environment),
    clock,
    log: createLog('error', { write: () => {} }),
    jobs: { enqueue: async () => {}, deleteAllOf: async () => {}, expectDeliveries: () => {} },
    webhookEgress: createWebhookEgress({ policy: 'LOOPBACK', deadlineSeconds: 1 }),
    eventNotifier: { notify: () => {}, end: async () => {} },
  })
})
afterAll(async () => {
  await deps.webhookEgress.close()
  await database.close()
  await files.remove()
})
beforeEach(async () => {
  await database.db.delete(webhookTurns)
})

/** A user with this many endpoints, in the order of their ids. */
async function createOwner(endpointCount = 1): Promise<{ userId: string; endpointIds: string[] }> {
  const number = ++people
  const [user] = await database.db
    .insert(users)
    .values({ githubId: number, login: `user-${number}` })
    .returning()
  const userId = user?.id ?? ''
  const endpointIds = []
  for (let index = 0; index < endpointCount; index++) {
    const input = { url: `http://127.0.0.1:9/${index}`, description: null, types: null }
    endpointIds.push((await createWebhookEndpoint(deps, userId, input)).endpoint.id)
  }
  return { userId, endpointIds: endpointIds.toSorted() }
}

/** Records so many events of a user, each of which is sent to each endpoint. */
const flood = (userId: string, count: number) =>
  transaction(deps, (deps) =>
    recordEvent(deps, ...Array<NewEvent>(count).fill({ type: 'account.profile_changed', userId })),
  )

const listDue = async (lane: WebhookLane, without: string[] = []) =>
  (await listTurns(deps, new Map([[lane, { count: 10, without }]]))).filter(({ seconds }) => seconds <= 0)

/** Takes the first turn that is due, and returns its user and endpoint; null if none is. */
async function takeNext(lane: WebhookLane = 'PROMPT') {
  // The times in the rows are those of different moments.
  offsetSeconds += 0.01
  const [first] = await listDue(lane)
  const turn = first === undefined ? null : await takeTurn(deps, first.userId, lane)
  return turn === null ? null : { ...turn, userId: turn.endpoint.userId, endpointId: turn.endpoint.id }
}

async function takeAll(lane: WebhookLane = 'PROMPT') {
  const taken = []
  for (let turn = await takeNext(lane); turn !== null; turn = await takeNext(lane)) taken.push(turn)
  return taken
}

const countDeliveries = (userId: string, status: 'PENDING' | 'DEAD') =>
  database.db.$count(webhookDeliveries, and(eq(webhookDeliveries.userId, userId), eq(webhookDeliveries.status, status)))

describe('turns', () => {
  test('W-04 are one for each user, whatever the number of their deliveries and endpoints', async () => {
    const [first, second] = [await createOwner(3), await createOwner(1)]
    await flood(first.userId, 4)
    offsetSeconds += 1
    await flood(second.userId, 4)
    offsetSeconds += 1
    const third = await createOwner()
    await flood(third.userId, 1)
    const order = (await takeAll()).map(({ userId }) => userId)
    expect(order.slice(0, 4)).toEqual([first.userId, second.userId, third.userId, first.userId])
    // In turns, as long as both have some.
    expect(order.slice(3, 9)).toEqual(Array(3).fill([first.userId, second.userId]).flat())
    expect(order).toHaveLength(3 * 4 + 4 + 1)
  })

  test('W-04 of a user are those of one endpoint after the other', async () => {
    const { userId, endpointIds } = await createOwner(3)
    await flood(userId, 3)
    const order = (await takeAll()).map(({ endpointId }) => endpointId)
    expect(order).toEqual([...endpointIds, ...endpointIds, ...endpointIds])
  })

  test('are due again when the claim of an attempt ends whose process has died', async () => {
    const { userId } = await createOwner()
    await flood(userId, 1)
    expect(await takeNext()).toMatchObject({ userId, delivery: { attempts: 1 } })
    expect(await takeNext()).toBeNull()
    const [next] = await listTurns(deps, new Map([['PROMPT', { count: 1, without: [] }]]))
    expect(next).toMatchObject({ userId })
    expect(next?.seconds).toBeLessThanOrEqual(deps.timing.callDeadlineSeconds + 20)
    offsetSeconds += deps.timing.callDeadlineSeconds + 20
    expect(await takeNext()).toMatchObject({ userId, delivery: { attempts: 2 } })
  })

  test('are taken once, also by two instances at the same time', async () => {
    const { userId } = await createOwner()
    await flood(userId, 1)
    const taken = await Promise.all([1, 2, 3, 4].map(() => takeTurn(deps, userId, 'PROMPT')))
    expect(taken.filter((turn) => turn !== null)).toHaveLength(1)
  })

  test('leave out the users who have as many workers as they may', async () => {
    const [first, second] = [await createOwner(), await createOwner()]
    for (const { userId } of [first, second]) await flood(userId, 1)
    expect((await listDue('PROMPT', [first.userId])).map(({ userId }) => userId)).toEqual([second.userId])
  })
})

describe('the lane of slow receivers', () => {
  test('W-05 takes the deliveries of an endpoint for ten minutes, and leaves those of the others', async () => {
    const { userId, endpointIds } = await createOwner(2)
    const [slow = '', prompt] = endpointIds
    await flood(userId, 3)
    await markSlow(deps, { userId, id: slow })
    // The deliveries that wait, and those that are created later.
    await flood(userId, 1)
    expect(new Set((await takeAll('PROMPT')).map(({ endpointId }) => endpointId))).toEqual(new Set([prompt]))
    expect((await takeAll('SLOW')).map(({ endpointId }) => endpointId)).toEqual(Array(4).fill(slow))
    offsetSeconds += SLOW_LANE_SECONDS + 1
    await flood(userId, 1)
    await takeAll('SLOW')
    expect(new Set((await takeAll('PROMPT')).map(({ endpointId }) => endpointId))).toEqual(new Set(endpointIds))
    expect(await takeAll('SLOW')).toEqual([])
  })
})

describe('the deliveries that wait for an endpoint', () => {
  test('W-06 are at most a thousand; further ones are dead at once with the reason, and can be replayed when there is room', async () => {
    const { userId, endpointIds } = await createOwner(2)
    const [full = ''] = endpointIds
    await flood(userId, MAX_PENDING_DELIVERIES - 1)
    await flood(userId, 3)
    expect(await countDeliveries(userId, 'PENDING')).toBe(2 * MAX_PENDING_DELIVERIES)
    const page = { status: 'DEAD', types: null, olderThan: null, newerThan: null, limit: 10, backward: false } as const
    const { deliveries: dead } = await listWebhookDeliveries(deps, userId, full, page)
    expect(dead).toHaveLength(2)
    expect(dead).toMatchObject(Array(2).fill({ lastError: 'TOO_MANY_PENDING', attempts: 0, nextAttemptAt: null }))
    const deliveryId = dead[0]?.id ?? ''
    await expect(replayWebhookDelivery(deps, userId, deliveryId)).rejects.toMatchObject({
      code: 'TOO_MANY_PENDING_DELIVERIES',
    })
    // One of the thousand is delivered.
    const pending = database.db
      .select({ id: webhookDeliveries.id })
      .from(webhookDeliveries)
      .where(and(eq(webhookDeliveries.endpointId, full), eq(webhookDeliveries.status, 'PENDING')))
      .limit(1)
    await database.db
      .update(webhookDeliveries)
      .set({ status: 'DELIVERED', nextAttemptAt: null, deliveredAt: sql`now()` })
      .where(inArray(webhookDeliveries.id, pending))
    expect(await replayWebhookDelivery(deps, userId, deliveryId)).toMatchObject({ status: 'PENDING' })
    // An endpoint of another user has its own thousand.
    const other = await createOwner()
    await flood(other.userId, 1)
    expect(await countDeliveries(other.userId, 'PENDING')).toBe(1)
  })
})

const MANY = databaseKind() === 'postgres' ? 25_000 : 4_000

/** Inserts many pending deliveries of an endpoint. */
async function seedDeliveries(userId: string, endpointId: string): Promise<void> {
  // A delivery has no foreign key to its event.
  const page = sql`
    insert into webhook_deliveries (user_id, id, endpoint_id, event_id, next_attempt_at, created_at)
    select ${userId}::uuid, gen_random_uuid(), ${endpointId}::uuid, gen_random_uuid(), now() + interval '1 hour', now()
    from generate_series(1, 1000)`
  for (let count = 0; count < MANY; count += 1_000) await database.db.execute(page)
}

describe('an endpoint with tens of thousands of deliveries', () => {
  const ofUser = (userId: string) => eq(webhookDeliveries.userId, userId)

  /** Runs the turns of the user until none is left, and returns how many deliveries each has ended. */
  async function endAll(userId: string, count: () => Promise<number>): Promise<number[]> {
    const ended = []
    for (let turn = await takeNext(); turn !== null; turn = await takeNext()) {
      expect(turn.userId).toBe(userId)
      const before = await count()
      await endDeliveries(deps, turn.endpoint)
      ended.push(before - (await count()))
    }
    return ended
  }

  test('W-07 is disabled at once, and its deliveries end in batches of a thousand, by the next turns', async () => {
    const { userId, endpointIds } = await createOwner()
    const [id = ''] = endpointIds
    await seedDeliveries(userId, id)
    const count = () => countDeliveries(userId, 'PENDING')
    await updateWebhookEndpoint(deps, userId, id, { enabled: false })
    expect(await count()).toBe(MANY - 1_000)
    // Although none of them is due for an hour.
    const ended = await endAll(userId, count)
    expect(Math.max(...ended)).toBe(1_000)
    expect(await count()).toBe(0)
    expect(await database.db.$count(webhookDeliveries, and(ofUser(userId), eq(webhookDeliveries.attempts, 0)))).toBe(
      MANY,
    )
  })

  test('W-07 sends none of them after it is enabled again', async () => {
    const { userId, endpointIds } = await createOwner()
    const [id = ''] = endpointIds
    await seedDeliveries(userId, id)
    await updateWebhookEndpoint(deps, userId, id, { enabled: false })
    expect(await updateWebhookEndpoint(deps, userId, id, { enabled: true })).toMatchObject({ status: 'ENABLED' })
    expect(await countDeliveries(userId, 'PENDING')).toBe(0)
    expect(await countDeliveries(userId, 'DEAD')).toBe(MANY)
  })

  test('W-07 is hidden at once when it is deleted, receives no event, and is gone with its deliveries after the next turns', async () => {
    const { userId, endpointIds } = await createOwner()
    const [id = ''] = endpointIds
    await seedDeliveries(userId, id)
    const count = () => database.db.$count(webhookDeliveries, ofUser(userId))
    await deleteWebhookEndpoint(deps, userId, id)
    expect(await listWebhookEndpoints(deps, userId)).toEqual([])
    const page = { status: null, types: null, olderThan: null, newerThan: null, limit: 10, backward: false }
    expect(await listWebhookDeliveries(deps, userId, id, page)).toEqual({ deliveries: [], examinedTo: null })
    await expect(updateWebhookEndpoint(deps, userId, id, { enabled: true })).rejects.toMatchObject({
      code: 'WEBHOOK_ENDPOINT_NOT_FOUND',
    })
    await flood(userId, 1)
    expect(await count()).toBe(MANY - 1_000)
    const ended = await endAll(userId, count)
    expect(Math.max(...ended)).toBe(1_000)
    expect(await count()).toBe(0)
    expect(await database.db.$count(webhookEndpoints, eq(webhookEndpoints.userId, userId))).toBe(0)
  })
})
