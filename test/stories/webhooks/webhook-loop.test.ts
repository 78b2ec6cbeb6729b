// How often the loop of an instance looks for a turn that it cannot take.
import { setTimeout as sleep } from 'node:timers/promises'
import { eq, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { webhookDeliveries, webhookEndpoints, webhookTurns } from '../../../src/db/tables.ts'
import { USER_CAPACITY } from '../../../src/jobs/webhook-loop.ts'
import { queryRows } from '../../support/connected-account.ts'
import { databaseKind } from '../../support/database.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { startReceiver, tryDue, webhooksOf } from '../../support/webhook-receiver.ts'

const INTERRUPTED = 'A webhook delivery was interrupted and will be repeated'

let world: World
let receiver: Awaited<ReturnType<typeof startReceiver>>
beforeEach(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  receiver = await startReceiver()
})
afterEach(async () => {
  await receiver.close()
  await world.close()
})

/** Creates an endpoint that has had a delivery. */
async function createEndpoint() {
  const webhooks = webhooksOf(await world.signedIn())
  const { id } = await webhooks.create({ url: receiver.url })
  await webhooks.test(id)
  await vi.waitFor(async () => expect(await webhooks.deliveries(id)).toMatchObject([{ status: 'DELIVERED' }]), {
    timeout: 30_000,
  })
  return { id, webhooks }
}

const countInterrupted = () => world.logs().split(INTERRUPTED).length - 1

test('what fails is repeated after a pause, and done when it can be', async () => {
  const { id } = await createEndpoint()
  await world.db().execute(sql`create function fail() returns trigger language plpgsql as
    $$ begin raise exception 'no'; end $$`)
  await world.db().execute(sql`create trigger fail before update on webhook_deliveries for each row
    when (new.status = 'DEAD') execute function fail()`)
  await world
    .db()
    .update(webhookEndpoints)
    .set({ status: 'DISABLED', disabledReason: 'BY_OWNER' })
    .where(eq(webhookEndpoints.id, id))
  const startedAt = performance.now()
  await world
    .db()
    .update(webhookDeliveries)
    .set({ status: 'PENDING', nextAttemptAt: world.clock.sqlNow(), deliveredAt: null })
  await world.db().update(webhookTurns).set({ promptAt: world.clock.sqlNow() })
  await tryDue(world)
  await vi.waitFor(() => expect(countInterrupted()).toBeGreaterThan(USER_CAPACITY), { timeout: 30_000 })
  const seconds = (performance.now() - startedAt) / 1000
  // Each of the workers that the user may have fails at most once a second.
  expect(countInterrupted()).toBeLessThanOrEqual(USER_CAPACITY * (seconds + 1))
  await world.db().execute(sql`drop function fail cascade`)
  await vi.waitFor(
    async () => expect(await world.db().select().from(webhookDeliveries)).toMatchObject([{ status: 'DEAD' }]),
    { timeout: 30_000 },
  )
})

// PGlite has one connection, so that its transactions never wait for each other.
describe.skipIf(databaseKind() === 'pglite')('a turn that another transaction has locked', () => {
  const countScans = async () => {
    await world.db().execute(sql`select pg_stat_force_next_flush()`)
    const [read] = await queryRows(
      world,
      sql`select seq_scan + coalesce(idx_scan, 0) as scans from pg_stat_user_tables where relname = 'webhook_turns'`,
    )
    return Number(read?.scans)
  }

  test('is looked for after pauses, and taken after the commit', async () => {
    await createEndpoint()
    const now = world.clock.sqlNow()
    // Due after it is locked.
    await world
      .db()
      .update(webhookTurns)
      .set({ promptAt: sql`${now} + interval '3 seconds'` })
    await world.db().update(webhookDeliveries).set({ status: 'PENDING', nextAttemptAt: now, deliveredAt: null })
    await world.db().transaction(async (db) => {
      await db.execute(sql`set local idle_in_transaction_session_timeout = 0`)
      await db.execute(sql`select from webhook_turns for update`)
      await tryDue(world)
      await sleep(4_000)
      const [before, startedAt] = [await countScans(), performance.now()]
      await sleep(2_000)
      const perSecond = ((await countScans()) - before) / ((performance.now() - startedAt) / 1000)
      // Ten looks, of up to six scans for the lists of both lanes and the attempts. Without a pause
      // there are hundreds.
      expect(perSecond).toBeLessThan(100)
      expect(receiver.received).toHaveLength(1)
    })
    await vi.waitFor(() => expect(receiver.received).toHaveLength(2), { timeout: 30_000 })
  })
})
