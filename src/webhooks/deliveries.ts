// The deliveries to an endpoint, as its owner lists and replays them.

import {
  and,
  asc,
  desc,
  eq,
  exists,
  getTableColumns,
  gt,
  gte,
  inArray,
  isNotNull,
  lt,
  lte,
  ne,
  or,
  type SQL,
  sql,
} from 'drizzle-orm'
import { deleteOfUsers } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { type KeysetPage, keysetOrder, type RowKey } from '../db/keyset.ts'
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

/** The number of deliveries to which one page applies its filter. */
export const MAX_EXAMINED_DELIVERIES = 1_000

/** What a page has of the deliveries that it was asked for. */
export type DeliveriesRead = {
  deliveries: WebhookDelivery[]
  /**
   * The last delivery that the filter was applied to, when the page ends there: there may be matching
   * ones behind it. Null when the page is complete.
   */
  examinedTo: RowKey | null
}

/**
 * A keyset page of the deliveries to one of the user's endpoints, newest first; `status` null
 * means any status, `types` null events of any type. What it reads is bounded, however long the
 * history: dead deliveries are found by an index, and any other filter is applied to the next
 * deliveries in order. A page that has applied it to so many ends there.
 */
export async function listWebhookDeliveries(
  deps: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  endpointId: string,
  page: KeysetPage & { status: WebhookDelivery['status'] | null; types: readonly EventType[] | null },
): Promise<DeliveriesRead> {
  if (!isRowId(endpointId)) return { deliveries: [], examinedTo: null }
  const { db } = deps
  const inOrder = page.backward ? asc : desc
  const endpoint = db
    .select({ id: webhookEndpoints.id })
    .from(webhookEndpoints)
    .where(and(eq(webhookEndpoints.userId, userId), eq(webhookEndpoints.id, endpointId), isVisible()))
  const { endpointId: ofEndpoint } = webhookDeliveries
  const order = [inOrder(ofEndpoint), ...keysetOrder(webhookDeliveries, page)]
  const examined = db
    .select({
      ...getTableColumns(webhookDeliveries),
      place: sql<number>`(row_number() over (order by ${sql.join(order, sql`, `)}))::int`.as('place'),
    })
    .from(webhookDeliveries)
    .where(
      and(
        eq(webhookDeliveries.userId, userId),
        // A range and part of the order: with an equality the planner would read the deliveries of all
        // endpoints by the index of their time.
        gte(ofEndpoint, endpointId),
        lte(ofEndpoint, endpointId),
        exists(endpoint),
        isKept(deps),
        // Written as the condition of the index.
        page.status === 'DEAD' ? sql`${webhookDeliveries.status} = 'DEAD'` : undefined,
        isInPage(endpointId, page),
      ),
    )
    .orderBy(...order)
    .limit(MAX_EXAMINED_DELIVERIES)
    .as('examined')
  // Looked up one by one: joined by their types, they would be read as a whole.
  const event = db
    .select({ id: events.id, type: events.type })
    .from(events)
    .where(
      and(
        eq(events.userId, userId),
        eq(events.id, examined.eventId),
        page.status === null ? undefined : eq(examined.status, page.status),
        page.types === null ? undefined : inArray(events.type, [...page.types]),
      ),
    )
    .limit(1)
    .as('event')
  const rows = await db
    .select()
    .from(examined)
    .leftJoinLateral(event, sql`true`)
    .where(or(isNotNull(event.id), eq(examined.place, MAX_EXAMINED_DELIVERIES)))
    .orderBy(inOrder(examined.endpointId), ...keysetOrder(examined, page))
    .limit(page.limit)
  const deliveries = rows.flatMap(({ examined: { place: _, ...delivery }, event }) =>
    event === null ? [] : [{ ...delivery, eventType: event.type }],
  )
  const last = rows.at(-1)?.examined
  const isCutOff = deliveries.length < page.limit && last?.place === MAX_EXAMINED_DELIVERIES
  return { deliveries, examinedTo: isCutOff ? { createdAt: last.createdAt, id: last.id } : null }
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

// The rows are compared as a whole, in the order of the index that leads to the first of them.
function isInPage(endpointId: string, { newerThan, olderThan }: KeysetPage): SQL | undefined {
  const { endpointId: ofEndpoint, createdAt, id } = webhookDeliveries
  const key = sql`(${ofEndpoint}, ${createdAt}, ${id})`
  const valuesOf = (row: RowKey) =>
    sql`(${sql.param(endpointId, ofEndpoint)}, ${sql.param(row.createdAt, createdAt)}, ${sql.param(row.id, id)})`
  return and(
    newerThan === null ? undefined : sql`${key} > ${valuesOf(newerThan)}`,
    olderThan === null ? undefined : sql`${key} < ${valuesOf(olderThan)}`,
  )
}

function isKept({ clock }: Pick<Deps, 'clock'>): SQL | undefined {
  return or(
    gt(webhookDeliveries.createdAt, sqlIn(clock, -DELIVERIES_KEPT_SECONDS)),
    eq(webhookDeliveries.status, 'PENDING'),
  )
}
