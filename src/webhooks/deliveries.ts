// What became of the messages, for those who own the endpoints.
import { and, asc, desc, eq, gt, inArray, lt, ne, or } from 'drizzle-orm'
import { events, webhookDeliveries, webhookEndpoints } from '../db/tables.ts'
import { type Deps, isRowId, sqlIn, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { EventType } from '../events.ts'
import { ownedBy, type WebhookOwner } from './endpoints.ts'
import { enqueueDelivery } from './fan-out.ts'

/** One event on its way to one endpoint. */
export type WebhookDelivery = typeof webhookDeliveries.$inferSelect & { eventType: EventType }

/** A place in the list of deliveries, newest first. */
export type DeliveryCursor = { createdAt: Date; id: string }

/** How long deliveries are kept. */
export const DELIVERIES_KEPT_SECONDS = 30 * 86_400
const SWEEP_BATCH = 1_000

/** Up to `limit` deliveries to one of the owner's endpoints between two cursors, newest first; oldest first when `inverted`. */
export async function listWebhookDeliveries(
  deps: Pick<Deps, 'db'>,
  owner: WebhookOwner,
  endpointId: string,
  page: {
    status: WebhookDelivery['status'] | null
    newerThan: DeliveryCursor | null
    olderThan: DeliveryCursor | null
    limit: number
    inverted: boolean
  },
): Promise<WebhookDelivery[]> {
  const { status, newerThan, olderThan } = page
  const order = page.inverted ? asc : desc
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
        status === null ? undefined : eq(webhookDeliveries.status, status),
        newerThan === null
          ? undefined
          : or(
              gt(webhookDeliveries.createdAt, newerThan.createdAt),
              and(eq(webhookDeliveries.createdAt, newerThan.createdAt), gt(webhookDeliveries.id, newerThan.id)),
            ),
        olderThan === null
          ? undefined
          : or(
              lt(webhookDeliveries.createdAt, olderThan.createdAt),
              and(eq(webhookDeliveries.createdAt, olderThan.createdAt), lt(webhookDeliveries.id, olderThan.id)),
            ),
      ),
    )
    .orderBy(order(webhookDeliveries.createdAt), order(webhookDeliveries.id))
    .limit(page.limit)
  return rows.map(({ delivery, eventType }) => ({ ...delivery, eventType }))
}

/**
 * Sends a message once more, with the same webhook-id and as many tries as at first. One that is still PENDING is left to its next try.
 * @throws AppError WEBHOOK_DELIVERY_NOT_FOUND, WEBHOOK_ENDPOINT_DISABLED
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
    if (replayed !== undefined) await enqueueDelivery(deps, { id: replayed.id, userId: owner })
    return { ...(replayed ?? delivery), eventType }
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
