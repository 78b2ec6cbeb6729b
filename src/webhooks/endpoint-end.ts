// Ends the deliveries of endpoints that were disabled or deleted, in batches: an endpoint may have
// tens of thousands. It is disabled or hidden at once. What the request leaves is done by the next
// turns of the user, which any instance takes.
import { and, eq, type SQLWrapper, sql } from 'drizzle-orm'
import type { PgUpdateSetSource } from 'drizzle-orm/pg-core'
import { webhookDeliveries, webhookEndpoints } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { countEndpointChange } from '../events/deliveries.ts'
import { recordEvent } from '../events/events.ts'
import { isEndpoint, lockEndpoint, type WebhookEndpoint } from './endpoint-rows.ts'
import { updateTurns } from './turns.ts'

/** The number of deliveries that one transaction ends. */
export const END_BATCH = 1_000

/**
 * Disables an endpoint whose row the transaction has locked, and ends a batch of its pending
 * deliveries. Records an event unless its owner asked for it.
 */
export async function disableEndpoint(
  deps: Pick<Deps, 'db' | 'clock'>,
  { id, userId }: Pick<WebhookEndpoint, 'id' | 'userId'>,
  reason: NonNullable<WebhookEndpoint['disabledReason']>,
): Promise<void> {
  const isFound = await endEndpoint(deps, { userId, id }, { disabledReason: reason })
  if (isFound && reason !== 'BY_OWNER')
    await recordEvent(deps, { type: 'webhook.disabled', userId, webhookEndpointId: id, reason })
}

/**
 * Deletes an endpoint whose row the transaction has locked, if it has at most a batch of deliveries;
 * otherwise hides it, and deletes a batch of them.
 */
export async function removeEndpoint(
  deps: Pick<Deps, 'db' | 'clock'>,
  { id, userId, disabledReason }: WebhookEndpoint,
): Promise<void> {
  await endEndpoint(
    deps,
    { userId, id },
    { disabledReason: disabledReason ?? 'BY_OWNER', deletedAt: deps.clock.sqlNow() },
  )
}

// Returns false when there is no such endpoint any more.
async function endEndpoint(
  deps: Pick<Deps, 'db' | 'clock'>,
  { userId, id }: Pick<WebhookEndpoint, 'id' | 'userId'>,
  change: PgUpdateSetSource<typeof webhookEndpoints>,
): Promise<boolean> {
  const [endpoint] = await deps.db
    .update(webhookEndpoints)
    .set({ status: 'DISABLED', ...change })
    .where(isEndpoint({ userId, id }))
    .returning()
  if (endpoint === undefined) return false
  // Events that are written after this are not delivered to it.
  await countEndpointChange(deps, userId)
  await endBatch(deps, endpoint)
  await updateTurns(deps, userId)
  return true
}

/**
 * Ends a batch of the deliveries of a disabled or deleted endpoint.
 * @returns true when none is left.
 */
export function endDeliveries(
  deps: Pick<Deps, 'db' | 'clock'>,
  { userId, id }: Pick<WebhookEndpoint, 'userId' | 'id'>,
): Promise<boolean> {
  return transaction(deps, async (deps) => {
    const endpoint = await lockEndpoint(deps, userId, id)
    if (endpoint === null || endpoint.status === 'ENABLED') return true
    const isDone = await endBatch(deps, endpoint)
    await updateTurns(deps, userId)
    return isDone
  })
}

async function endBatch(deps: Pick<Deps, 'db'>, endpoint: WebhookEndpoint): Promise<boolean> {
  const ended = endpoint.deletedAt === null ? await markDead(deps, endpoint) : await deleteDeliveries(deps, endpoint)
  if (ended === END_BATCH) return false
  if (endpoint.deletedAt !== null) await deps.db.delete(webhookEndpoints).where(isEndpoint(endpoint))
  return true
}

async function markDead({ db }: Pick<Deps, 'db'>, endpoint: WebhookEndpoint): Promise<number> {
  const batch = db
    .select({ id: webhookDeliveries.id })
    .from(webhookDeliveries)
    .where(and(isOf(endpoint), sql`${webhookDeliveries.status} = 'PENDING'`))
    .limit(END_BATCH)
  const dead = await db
    .update(webhookDeliveries)
    .set({ status: 'DEAD', lastError: 'ENDPOINT_DISABLED', nextAttemptAt: null })
    .where(and(isIn(endpoint, batch), eq(webhookDeliveries.status, 'PENDING')))
    .returning({ id: webhookDeliveries.id })
  return dead.length
}

async function deleteDeliveries({ db }: Pick<Deps, 'db'>, endpoint: WebhookEndpoint): Promise<number> {
  const batch = db.select({ id: webhookDeliveries.id }).from(webhookDeliveries).where(isOf(endpoint)).limit(END_BATCH)
  const deleted = await db
    .delete(webhookDeliveries)
    .where(isIn(endpoint, batch))
    .returning({ id: webhookDeliveries.id })
  return deleted.length
}

function isOf({ userId, id }: WebhookEndpoint) {
  return and(eq(webhookDeliveries.userId, userId), eq(webhookDeliveries.endpointId, id))
}

// As an array, which is read once and then looked up in the primary key. The planner may join a list
// of a subquery row by row.
function isIn({ userId }: WebhookEndpoint, batch: SQLWrapper) {
  return and(eq(webhookDeliveries.userId, userId), sql`${webhookDeliveries.id} = any(array(${batch}))`)
}
