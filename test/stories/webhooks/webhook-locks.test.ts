// The locks of events on the webhook endpoints of their user. PGlite has one connection, so that its
// transactions never wait for each other.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { OPERATOR_ID, webhookDeliveries } from '../../../src/db/tables.ts'
import { transaction } from '../../../src/deps.ts'
import { recordEvent } from '../../../src/events/events.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createWebhookEndpoint } from '../../../src/webhooks/endpoints.ts'
import { queryRows } from '../../support/connected-account.ts'
import { databaseKind } from '../../support/database.ts'
import { startWorld, type World } from '../../support/harness.ts'

const input = { url: 'http://127.0.0.1:9/', description: null, types: null }
const webhookEgress = createWebhookEgress({ policy: 'LOOPBACK', deadlineSeconds: 5 })

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(async () => {
  await world.close()
  await webhookEgress.close()
})

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
        sql`select pid from pg_stat_activity where wait_event_type = 'Lock' and query like 'with owner as%'
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
})
