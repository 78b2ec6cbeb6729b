// The locks of events on the webhook endpoints of their user. PGlite has one connection, so that its
// transactions never wait for each other.
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { eventPositions, OPERATOR_ID, webhookDeliveries, webhookTurns } from '../../../src/db/tables.ts'
import { transaction } from '../../../src/deps.ts'
import { recordEvent } from '../../../src/events/events.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createWebhookEndpoint, updateWebhookEndpoint } from '../../../src/webhooks/endpoints.ts'
import { connectAccount, queryRows } from '../../support/connected-account.ts'
import { databaseKind } from '../../support/database.ts'
import { startWorld, type World } from '../../support/harness.ts'

const input = { url: 'http://127.0.0.1:9/', description: null, types: null }
const webhookEgress = createWebhookEgress({ policy: 'LOOPBACK', deadlineSeconds: 5 })

let world: World
beforeEach(async () => {
  world = await startWorld()
})
afterEach(() => world.close())
afterAll(() => webhookEgress.close())

const depsOf = () => ({ db: world.db(), clock: world.clock, config: world.config, webhookEgress })
const record = () =>
  transaction(depsOf(), async (deps) => {
    await deps.db.execute(sql`set local lock_timeout = 0`)
    await recordEvent(deps, { type: 'token.created', userId: OPERATOR_ID })
  })

/** Waits until the statement that writes the event waits for a lock. */
const isWaiting = () =>
  vi.waitFor(
    async () => {
      const rows = await queryRows(
        world,
        sql`select pid from pg_stat_activity where wait_event_type = 'Lock' and query like 'with "owner" as%'
          and datname = current_database()`,
      )
      expect(rows).toHaveLength(1)
    },
    { timeout: 30_000, interval: 10 },
  )

/** Runs `work` while a transaction keeps rows locked. */
function whileLocked<T>(rows: ReturnType<typeof sql>, work: () => Promise<T>): Promise<T> {
  return world.db().transaction(async (db) => {
    await db.execute(sql`${rows} for update`)
    return work()
  })
}

describe.skipIf(databaseKind() === 'pglite')('while an event waits', () => {
  test('for the deletion of its user, it has locked no endpoint, which that deletion locks next', async () => {
    await createWebhookEndpoint(depsOf(), OPERATOR_ID, input)
    const { recorded } = await whileLocked(sql`select from users where id = ${OPERATOR_ID}`, async () => {
      const recorded = record()
      await isWaiting()
      await world.db().execute(sql`select from webhook_endpoints where user_id = ${OPERATOR_ID} for update nowait`)
      return { recorded }
    })
    await recorded
    expect(await world.db().select().from(webhookDeliveries)).toHaveLength(1)
  })

  test.each(['created', 'enabled', 'given its type'] as const)(
    'after it has read the endpoints, one that is %s before its commit receives it',
    async (how) => {
      await world.db().insert(eventPositions).values({ userId: OPERATOR_ID, position: 1 })
      const change = await prepare(how)
      const { recorded, changed } = await whileLocked(
        sql`select from event_positions where user_id = ${OPERATOR_ID}`,
        async () => {
          // The change waits for the counter first, so that it commits before the event.
          const changed = change()
          await areWaiting(1)
          const recorded = record()
          await areWaiting(2)
          return { recorded, changed }
        },
      )
      await Promise.all([recorded, changed])
      const [delivery, ...others] = await world.db().select().from(webhookDeliveries)
      expect(delivery).toMatchObject({ userId: OPERATOR_ID })
      expect(others).toEqual([])
      expect(await world.db().$count(webhookTurns)).toBe(1)
    },
  )

  test('with the outcome of a tweet, the first endpoint of the user, which is created meanwhile, receives it', async () => {
    const { person, userId } = await connectAccount(world)
    const { posted, created } = await whileLocked(
      sql`select from event_positions where user_id = ${userId}`,
      async () => {
        const created = createWebhookEndpoint(depsOf(), userId, { ...input, types: ['tweet.posted'] })
        await areWaiting(1)
        const posted = person.api('post-tweet', { input: { text: 'Good morning' } })
        await areWaiting(2)
        return { posted, created }
      },
    )
    const [{ endpoint }] = await Promise.all([created, posted])
    const deliveries = await world.db().select().from(webhookDeliveries)
    expect(deliveries).toMatchObject([{ userId, endpointId: endpoint.id, status: 'PENDING' }])
    expect(await world.db().$count(webhookTurns)).toBe(1)
  })

  test('and an endpoint is disabled before its commit, that endpoint has no delivery', async () => {
    const { endpoint } = await createWebhookEndpoint(depsOf(), OPERATOR_ID, input)
    const { recorded, changed } = await whileLocked(
      sql`select from event_positions where user_id = ${OPERATOR_ID}`,
      async () => {
        const changed = update(endpoint.id, { enabled: false })
        await areWaiting(1)
        const recorded = record()
        await areWaiting(2)
        return { recorded, changed }
      },
    )
    await Promise.all([recorded, changed])
    expect(await world.db().$count(webhookDeliveries)).toBe(0)
  })
})

/** Waits until so many transactions wait for a lock. */
const areWaiting = (count: number) =>
  vi.waitFor(
    async () => {
      const rows = await queryRows(
        world,
        sql`select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
      expect(rows).toHaveLength(count)
    },
    { timeout: 30_000, interval: 10 },
  )

const update = (id: string, changes: Parameters<typeof updateWebhookEndpoint>[3]) =>
  updateWebhookEndpoint(depsOf(), OPERATOR_ID, id, changes)

/** Creates an endpoint that does not receive the event, and returns the change after which it does. */
async function prepare(how: 'created' | 'enabled' | 'given its type'): Promise<() => Promise<unknown>> {
  if (how === 'created') return () => createWebhookEndpoint(depsOf(), OPERATOR_ID, input)
  const { endpoint } = await createWebhookEndpoint(depsOf(), OPERATOR_ID, { ...input, types: ['webhook.disabled'] })
  if (how === 'given its type') return () => update(endpoint.id, { types: ['token.created'] })
  await update(endpoint.id, { types: null, enabled: false })
  return () => update(endpoint.id, { enabled: true })
}
