// The deliveries to an endpoint, as its owner lists and replays them.

import { and, asc, eq, gt, inArray, lt, ne, or, type SQL, sql } from 'drizzle-orm'
import { deleteOfUsers } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { type KeysetPage, keysetCondition, keysetOrder } from '../db/keyset.ts'
import { isRowId } from '../db/row-id.ts'
import { events, OPERATOR_ID, webhookDeliveries, webhookEndpoints } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { MAX_PENDING_DELIVERIES } from '../events/deliveries.ts'
import type { EventType } from '../events/events.ts'
import { isVisible, lockEndpoint, type WebhookEndpoint } from './endpoint-rows.ts'
import { updateTurns } from './turns.ts'

/** The delivery of one event to one endpoint. */
export type WebhookDelivery = typeof webhookDeliveries.$inferSelect & { eventType: EventType }

/**
 * The retention of deliveries. Finished ones are hidden from then on, and dropped with their month
 * by `xconnect_drop_past_months`, which has the same number, as has
 * `xconnect_empty_default_partitions`.
 */
export const DELIVERIES_KEPT_SECONDS = 30 * 86_400
// A month later the sweep deletes what is left: rows of the default partition, and those of a month
// that has a pending delivery.
const LEFT_OVER_SECONDS = DELIVERIES_KEPT_SECONDS + 31 * 86_400

const isSent = and(
  eq(webhookEndpoints.userId, webhookDeliveries.userId),
  eq(webhookEndpoints.id, webhookDeliveries.endpointId),
  isVisible(),
)
const isDelivered = and(eq(events.userId, webhookDeliveries.userId), eq(events.id, webhookDeliveries.eventId))

/**
 * A keyset page of the deliveries to one of the user's endpoints, newest first; `status` null
 * means any status, `types` null events of any type.
 */
export async function listWebhookDeliveries(
  deps: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  endpointId: string,
  page: KeysetPage & { status: WebhookDelivery['status'] | null; types: readonly EventType[] | null },
): Promise<WebhookDelivery[]> {
  if (!isRowId(endpointId)) return []
  const rows = await deps.db
    .select({ delivery: webhookDeliveries, eventType: events.type })
    .from(webhookDeliveries)
    .innerJoin(webhookEndpoints, isSent)
    .innerJoin(events, isDelivered)
    .where(
      and(
        eq(webhookDeliveries.userId, userId),
        eq(webhookDeliveries.endpointId, endpointId),
        isKept(deps),
        page.status === null ? undefined : eq(webhookDeliveries.status, page.status),
        page.types === null ? undefined : inArray(events.type, [...page.types]),
        keysetCondition(webhookDeliveries, page),
      ),
    )
    .orderBy(...keysetOrder(webhookDeliveries, page))
    .limit(page.limit)
  return rows.map(({ delivery, eventType }) => ({ ...delivery, eventType }))
}

/** Deliveries to endpoints of the user by id. The ids are those of rows. */
export async function listWebhookDeliveriesByIds(
  deps: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  ids: readonly string[],
): Promise<WebhookDelivery[]> {
  const rows = await deps.db
    .select({ delivery: webhookDeliveries, eventType: events.type })
    .from(webhookDeliveries)
    .innerJoin(webhookEndpoints, isSent)
    .innerJoin(events, isDelivered)
    .where(and(eq(webhookDeliveries.userId, userId), inArray(webhookDeliveries.id, [...ids]), isKept(deps)))
  return rows.map(({ delivery, eventType }) => ({ ...delivery, eventType }))
}

/**
 * Queues a delivered or dead delivery again, with the same webhook-id and a full number of
 * attempts.
 * @throws AppError WEBHOOK_DELIVERY_NOT_FOUND, WEBHOOK_ENDPOINT_DISABLED, TOO_MANY_PENDING_DELIVERIES,
 * WEBHOOK_DELIVERY_PENDING with the time of the next attempt
 */
export async function replayWebhookDelivery(
  deps: Pick<Deps, 'db' | 'clock' | 'jobs' | 'afterCommit'>,
  userId: string,
  deliveryId: string,
): Promise<WebhookDelivery> {
  const field = ['input', 'webhookDeliveryId']
  if (!isRowId(deliveryId)) throw new AppError('WEBHOOK_DELIVERY_NOT_FOUND', { field })
  const isIt = and(eq(webhookDeliveries.userId, userId), eq(webhookDeliveries.id, deliveryId))
  return transaction(deps, async (deps) => {
    const [found] = await deps.db
      .select({ delivery: webhookDeliveries, eventType: events.type })
      .from(webhookDeliveries)
      .innerJoin(events, isDelivered)
      .where(and(isIt, isKept(deps)))
    // Locked, so that the endpoint is not disabled meanwhile, and the deliveries are counted one by one.
    const endpoint = found === undefined ? null : await lockEndpoint(deps, userId, found.delivery.endpointId)
    if (found === undefined || endpoint === null || endpoint.deletedAt !== null)
      throw new AppError('WEBHOOK_DELIVERY_NOT_FOUND', { field })
    if (endpoint.status === 'DISABLED') throw new AppError('WEBHOOK_ENDPOINT_DISABLED', { field })
    const { delivery, eventType } = found
    if (delivery.status !== 'PENDING') await assertBelowLimit(deps, endpoint)
    const [replayed] = await deps.db
      .update(webhookDeliveries)
      .set({ status: 'PENDING', attempts: 0, nextAttemptAt: deps.clock.sqlNow(), deliveredAt: null })
      .where(and(isIt, ne(webhookDeliveries.status, 'PENDING')))
      .returning()
    // Also when another request has just replayed it.
    if (replayed === undefined)
      throw new AppError('WEBHOOK_DELIVERY_PENDING', { field, retryAt: delivery.nextAttemptAt })
    await updateTurns(deps, userId)
    deps.jobs.expectDeliveries(deps)
    return { ...replayed, eventType }
  })
}

/** Deletes finished deliveries that were not dropped with their month, until the signal. */
export async function sweepWebhookDeliveries(deps: Pick<Deps, 'db' | 'clock'>, signal?: AbortSignal): Promise<number> {
  const { createdAt, status } = webhookDeliveries
  const isLeftOver = and(lt(createdAt, sqlIn(deps.clock, -LEFT_OVER_SECONDS)), ne(status, 'PENDING'))
  return deleteOfUsers(deps, webhookDeliveries, webhookDeliveries, isLeftOver, signal)
}

async function assertBelowLimit({ db }: Pick<Deps, 'db'>, { userId, id }: WebhookEndpoint): Promise<void> {
  if (userId === OPERATOR_ID) return
  const isPending = and(
    eq(webhookDeliveries.userId, userId),
    eq(webhookDeliveries.endpointId, id),
    sql`${webhookDeliveries.status} = 'PENDING'`,
  )
  const [last] = await db
    .select({ id: webhookDeliveries.id })
    .from(webhookDeliveries)
    .where(isPending)
    .orderBy(asc(webhookDeliveries.nextAttemptAt))
    .offset(MAX_PENDING_DELIVERIES - 1)
    .limit(1)
  if (last !== undefined) throw new AppError('TOO_MANY_PENDING_DELIVERIES', { field: ['input', 'webhookDeliveryId'] })
}

function isKept({ clock }: Pick<Deps, 'clock'>): SQL | undefined {
  return or(
    gt(webhookDeliveries.createdAt, sqlIn(clock, -DELIVERIES_KEPT_SECONDS)),
    eq(webhookDeliveries.status, 'PENDING'),
  )
}
