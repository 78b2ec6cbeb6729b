// The deliveries to an endpoint, as its owner lists and replays them.

import { and, eq, inArray, lt, ne } from 'drizzle-orm'
import { runBatches } from '../db/batches.ts'
import { sqlIn } from '../db/clock.ts'
import { type KeysetPage, keysetCondition, keysetOrder } from '../db/keyset.ts'
import { isRowId } from '../db/row-id.ts'
import { events, webhookDeliveries, webhookEndpoints } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { EventType } from '../events/events.ts'
import { ownedBy, type WebhookOwner } from './endpoints.ts'
import { enqueueDelivery } from './fan-out.ts'

/** The delivery of one event to one endpoint. */
export type WebhookDelivery = typeof webhookDeliveries.$inferSelect & { eventType: EventType }

/** The retention of deliveries. */
export const DELIVERIES_KEPT_SECONDS = 30 * 86_400
const SWEEP_BATCH = 1_000

/**
 * A keyset page of the deliveries to one of the owner's endpoints, newest first; `status` null
 * means any status, `types` null events of any type.
 */
export async function listWebhookDeliveries(
  deps: Pick<Deps, 'db'>,
  owner: WebhookOwner,
  endpointId: string,
  page: KeysetPage & { status: WebhookDelivery['status'] | null; types: readonly EventType[] | null },
): Promise<WebhookDelivery[]> {
  if (!isRowId(endpointId)) return []
  const rows = await deps.db
    .select({ delivery: webhookDeliveries, eventType: events.type })
    .from(webhookDeliveries)
    .innerJoin(webhookEndpoints, eq(webhookEndpoints.id, webhookDeliveries.endpointId))
    .innerJoin(events, eq(events.id, webhookDeliveries.eventId))
    .where(
      and(
        ownedBy(owner),
        eq(webhookDeliveries.endpointId, endpointId),
        page.status === null ? undefined : eq(webhookDeliveries.status, page.status),
        page.types === null ? undefined : inArray(events.type, [...page.types]),
        keysetCondition(webhookDeliveries, page),
      ),
    )
    .orderBy(...keysetOrder(webhookDeliveries, page))
    .limit(page.limit)
  return rows.map(({ delivery, eventType }) => ({ ...delivery, eventType }))
}

/** Deliveries to endpoints of the owner by id. The ids are those of rows. */
export async function listWebhookDeliveriesByIds(
  deps: Pick<Deps, 'db'>,
  owner: WebhookOwner,
  ids: readonly string[],
): Promise<WebhookDelivery[]> {
  const rows = await deps.db
    .select({ delivery: webhookDeliveries, eventType: events.type })
    .from(webhookDeliveries)
    .innerJoin(webhookEndpoints, eq(webhookEndpoints.id, webhookDeliveries.endpointId))
    .innerJoin(events, eq(events.id, webhookDeliveries.eventId))
    .where(and(ownedBy(owner), inArray(webhookDeliveries.id, [...ids])))
  return rows.map(({ delivery, eventType }) => ({ ...delivery, eventType }))
}

/**
 * Queues a delivered or dead delivery again, with the same webhook-id and a full number of
 * attempts.
 * @throws AppError WEBHOOK_DELIVERY_NOT_FOUND, WEBHOOK_ENDPOINT_DISABLED, WEBHOOK_DELIVERY_PENDING
 * with the time of the next attempt
 */
export async function replayWebhookDelivery(
  deps: Pick<Deps, 'db' | 'clock' | 'jobs'>,
  owner: WebhookOwner,
  deliveryId: string,
): Promise<WebhookDelivery> {
  const field = ['input', 'webhookDeliveryId']
  if (!isRowId(deliveryId)) throw new AppError('WEBHOOK_DELIVERY_NOT_FOUND', { field })
  return transaction(deps, async (deps) => {
    const [found] = await deps.db
      .select({ delivery: webhookDeliveries, eventType: events.type, status: webhookEndpoints.status })
      .from(webhookDeliveries)
      .innerJoin(webhookEndpoints, eq(webhookEndpoints.id, webhookDeliveries.endpointId))
      .innerJoin(events, eq(events.id, webhookDeliveries.eventId))
      .where(and(eq(webhookDeliveries.id, deliveryId), ownedBy(owner)))
    if (found === undefined) throw new AppError('WEBHOOK_DELIVERY_NOT_FOUND', { field })
    if (found.status === 'DISABLED') throw new AppError('WEBHOOK_ENDPOINT_DISABLED', { field })
    const { delivery, eventType } = found
    const [replayed] = await deps.db
      .update(webhookDeliveries)
      .set({ status: 'PENDING', attempts: 0, nextAttemptAt: deps.clock.sqlNow(), deliveredAt: null })
      .where(and(eq(webhookDeliveries.id, deliveryId), ne(webhookDeliveries.status, 'PENDING')))
      .returning()
    // Also when another request has just replayed it.
    if (replayed === undefined)
      throw new AppError('WEBHOOK_DELIVERY_PENDING', { field, retryAt: delivery.nextAttemptAt })
    await enqueueDelivery(deps, { id: replayed.id, userId: owner })
    return { ...replayed, eventType }
  })
}

/** Deletes finished deliveries beyond the retention. */
export async function sweepWebhookDeliveries(deps: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  await runBatches(SWEEP_BATCH, async () => {
    const old = deps.db
      .select({ id: webhookDeliveries.id })
      .from(webhookDeliveries)
      .where(
        and(
          lt(webhookDeliveries.createdAt, sqlIn(deps.clock, -DELIVERIES_KEPT_SECONDS)),
          ne(webhookDeliveries.status, 'PENDING'),
        ),
      )
      .limit(SWEEP_BATCH)
      // Rows that the deletion of a user has locked are deleted by that transaction.
      .for('update', { skipLocked: true })
    const rows = await deps.db.delete(webhookDeliveries).where(inArray(webhookDeliveries.id, old)).returning()
    return rows.length
  })
}
