// What became of the messages, for those who own the endpoints.
import { and, eq, inArray, lt, ne } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { isOnPage, orderOfPage, type RowPage } from '../db/keyset.ts'
import { isRowId } from '../db/row-id.ts'
import { events, webhookDeliveries, webhookEndpoints } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { EventType } from '../events/events.ts'
import { ownedBy, type WebhookOwner } from './endpoints.ts'
import { enqueueDelivery } from './fan-out.ts'

/** One event on its way to one endpoint. */
export type WebhookDelivery = typeof webhookDeliveries.$inferSelect & { eventType: EventType }

/** How long deliveries are kept. */
export const DELIVERIES_KEPT_SECONDS = 30 * 86_400
const SWEEP_BATCH = 1_000

/** A page of the deliveries to one of the owner's endpoints; `status` null: whatever became of them. */
export async function listWebhookDeliveries(
  deps: Pick<Deps, 'db'>,
  owner: WebhookOwner,
  endpointId: string,
  page: RowPage & { status: WebhookDelivery['status'] | null },
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
        isOnPage(webhookDeliveries, page),
      ),
    )
    .orderBy(...orderOfPage(webhookDeliveries, page))
    .limit(page.limit)
  return rows.map(({ delivery, eventType }) => ({ ...delivery, eventType }))
}

/**
 * Sends a message once more, with the same webhook-id and as many tries as at first.
 * @throws AppError WEBHOOK_DELIVERY_NOT_FOUND, WEBHOOK_ENDPOINT_DISABLED, WEBHOOK_DELIVERY_PENDING with when it is tried next
 */
export async function replayWebhookDelivery(
  deps: Pick<Deps, 'db' | 'clock' | 'jobs'>,
  owner: WebhookOwner,
  deliveryId: string,
): Promise<WebhookDelivery> {
  const field = ['input', 'deliveryId']
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
    // Also where somebody else has just replayed it.
    if (replayed === undefined)
      throw new AppError('WEBHOOK_DELIVERY_PENDING', { field, retryAt: delivery.nextAttemptAt })
    await enqueueDelivery(deps, { id: replayed.id, userId: owner })
    return { ...replayed, eventType }
  })
}

/** Deletes deliveries that are older than we keep them and have ended. */
export async function sweepWebhookDeliveries(deps: Pick<Deps, 'db' | 'clock'>): Promise<void> {
  let swept: number
  do {
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
      // Those that go along with a user just now need nobody else to delete them.
      .for('update', { skipLocked: true })
    const rows = await deps.db.delete(webhookDeliveries).where(inArray(webhookDeliveries.id, old)).returning()
    swept = rows.length
  } while (swept === SWEEP_BATCH)
}
