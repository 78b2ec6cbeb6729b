// Webhook endpoints. A user's endpoints receive that user's events, and the operator's the operator's
// own, among them copies of account events of users who show their accounts to integrators.
import { and, asc, count, eq, inArray, type SQL } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { OPERATOR_ID, users, webhookDeliveries, webhookEndpoints } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type EventType, recordEvent } from '../events/events.ts'
import { assertDescription, assertTypes, parseUrl } from './endpoint-settings.ts'
import { openWebhookSecret, sealWebhookSecret } from './secrets.ts'
import { createWebhookSecret } from './signature.ts'

/** A URL that events are sent to. */
export type WebhookEndpoint = typeof webhookEndpoints.$inferSelect

/** The settings of an endpoint; `types` null means all events. */
export type WebhookEndpointInput = { url: string; description: string | null; types: readonly EventType[] | null }

/** The maximum number of endpoints of a user. The operator has no limit. */
export const MAX_WEBHOOK_ENDPOINTS = 10
/** After a rotation, messages are signed with both secrets for this long. */
export const SECRET_OVERLAP_SECONDS = 86_400

type EndpointDeps = Pick<Deps, 'db' | 'clock' | 'config' | 'webhookEgress'>

/** Lists the user's endpoints; the operator's with OPERATOR_ID, oldest first. */
export async function listWebhookEndpoints(deps: Pick<Deps, 'db'>, userId: string): Promise<WebhookEndpoint[]> {
  return deps.db
    .select()
    .from(webhookEndpoints)
    .where(eq(webhookEndpoints.userId, userId))
    .orderBy(asc(webhookEndpoints.createdAt), asc(webhookEndpoints.id))
}

/** Endpoints of the user by id. The ids are those of rows. */
export function listWebhookEndpointsByIds(
  deps: Pick<Deps, 'db'>,
  userId: string,
  ids: readonly string[],
): Promise<WebhookEndpoint[]> {
  return deps.db
    .select()
    .from(webhookEndpoints)
    .where(and(eq(webhookEndpoints.userId, userId), inArray(webhookEndpoints.id, [...ids])))
}

/**
 * Creates an endpoint. The returned secret is not shown again.
 * @throws AppError WEBHOOK_URL_NOT_ALLOWED, TOO_MANY_WEBHOOK_ENDPOINTS, BAD_USER_INPUT
 */
export async function createWebhookEndpoint(
  deps: EndpointDeps,
  userId: string,
  input: WebhookEndpointInput,
): Promise<{ endpoint: WebhookEndpoint; secret: string }> {
  assertDescription(input.description)
  assertTypes(input.types)
  const url = await parseUrl(deps, input.url)
  const id = crypto.randomUUID()
  const secret = createWebhookSecret()
  return transaction(deps, async (deps) => {
    await assertBelowLimit(deps, userId)
    const [endpoint] = await deps.db
      .insert(webhookEndpoints)
      .values({
        id,
        userId,
        url,
        description: input.description,
        eventTypes: input.types === null ? null : [...input.types],
        secretSealed: sealWebhookSecret(deps, { id, userId }, 'secretSealed', secret),
        createdAt: deps.clock.sqlNow(),
      })
      .returning()
    if (endpoint === undefined) throw new Error('Bug: an endpoint was not inserted')
    return { endpoint, secret }
  })
}

/**
 * Updates the given settings; undefined ones stay. An endpoint that is enabled receives the events
 * from then on; disabling one marks its pending deliveries dead.
 * @throws AppError WEBHOOK_ENDPOINT_NOT_FOUND, WEBHOOK_URL_NOT_ALLOWED, BAD_USER_INPUT
 */
export async function updateWebhookEndpoint(
  deps: EndpointDeps,
  userId: string,
  endpointId: string,
  changes: Partial<WebhookEndpointInput> & { enabled?: boolean },
): Promise<WebhookEndpoint> {
  if (changes.description !== undefined) assertDescription(changes.description)
  if (changes.types !== undefined) assertTypes(changes.types)
  const url = changes.url === undefined ? null : await parseUrl(deps, changes.url)
  return transaction(deps, async (deps) => {
    const endpoint = await getLockedEndpoint(deps, userId, endpointId)
    if (changes.enabled === false && endpoint.status === 'ENABLED') await disableEndpoint(deps, endpoint, 'BY_OWNER')
    const enabling = changes.enabled === true && endpoint.status === 'DISABLED'
    const [updated] = await deps.db
      .update(webhookEndpoints)
      .set({
        id: endpoint.id,
        ...(url !== null && { url }),
        ...(changes.description !== undefined && { description: changes.description }),
        ...(changes.types !== undefined && { eventTypes: changes.types === null ? null : [...changes.types] }),
        ...(enabling && {
          status: 'ENABLED',
          disabledReason: null,
          failingSince: null,
        }),
      })
      .where(isEndpoint(endpoint))
      .returning()
    return updated ?? endpoint
  })
}

/**
 * Replaces an endpoint's secret. The returned secret is not shown again. For a day the old secret
 * signs as well, so that the receiver can be updated meanwhile.
 * @throws AppError WEBHOOK_ENDPOINT_NOT_FOUND
 */
export async function rotateWebhookSecret(
  deps: Omit<EndpointDeps, 'webhookEgress'>,
  userId: string,
  endpointId: string,
): Promise<{ endpoint: WebhookEndpoint; secret: string }> {
  const secret = createWebhookSecret()
  return transaction(deps, async (deps) => {
    const endpoint = await getLockedEndpoint(deps, userId, endpointId)
    const previous = openWebhookSecret(deps, endpoint, 'secretSealed', endpoint.secretSealed)
    const [rotated] = await deps.db
      .update(webhookEndpoints)
      .set({
        secretSealed: sealWebhookSecret(deps, endpoint, 'secretSealed', secret),
        previousSecretSealed:
          previous === null ? null : sealWebhookSecret(deps, endpoint, 'previousSecretSealed', previous),
        previousSecretEndsAt: previous === null ? null : sqlIn(deps.clock, SECRET_OVERLAP_SECONDS),
      })
      .where(isEndpoint(endpoint))
      .returning()
    return { endpoint: rotated ?? endpoint, secret }
  })
}

/**
 * Deletes an endpoint with all its deliveries. Pending ones are not sent.
 * @throws AppError WEBHOOK_ENDPOINT_NOT_FOUND
 */
export function deleteWebhookEndpoint(
  deps: Pick<Deps, 'db'>,
  userId: string,
  endpointId: string,
): Promise<WebhookEndpoint> {
  return transaction(deps, async (deps) => {
    const endpoint = await getLockedEndpoint(deps, userId, endpointId)
    await deps.db.delete(webhookEndpoints).where(isEndpoint(endpoint))
    return endpoint
  })
}

/**
 * Sends a test event to one endpoint, regardless of its event types.
 * @throws AppError WEBHOOK_ENDPOINT_NOT_FOUND, WEBHOOK_ENDPOINT_DISABLED
 */
export async function testWebhookEndpoint(
  deps: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  endpointId: string,
): Promise<WebhookEndpoint> {
  return transaction(deps, async (deps) => {
    const endpoint = await getLockedEndpoint(deps, userId, endpointId)
    if (endpoint.status === 'DISABLED')
      throw new AppError('WEBHOOK_ENDPOINT_DISABLED', { field: ['input', 'webhookEndpointId'] })
    await recordEvent(deps, { type: 'webhook.test', userId, webhookEndpointId: endpoint.id })
    return endpoint
  })
}

/**
 * Disables an endpoint whose row the transaction has locked, and marks its pending deliveries dead.
 * Records an event unless its owner asked for it.
 */
export async function disableEndpoint(
  deps: Pick<Deps, 'db' | 'clock'>,
  { id, userId }: WebhookEndpoint,
  reason: NonNullable<WebhookEndpoint['disabledReason']>,
): Promise<void> {
  await deps.db
    .update(webhookEndpoints)
    .set({ status: 'DISABLED', disabledReason: reason })
    .where(isEndpoint({ userId, id }))
  await deps.db
    .update(webhookDeliveries)
    .set({ status: 'DEAD', lastError: 'ENDPOINT_DISABLED', nextAttemptAt: null })
    .where(
      and(
        eq(webhookDeliveries.userId, userId),
        eq(webhookDeliveries.endpointId, id),
        eq(webhookDeliveries.status, 'PENDING'),
      ),
    )
  if (reason !== 'BY_OWNER')
    await recordEvent(deps, { type: 'webhook.disabled', userId, webhookEndpointId: id, reason })
}

/** The SQL condition for the row of an endpoint. */
export function isEndpoint({ userId, id }: Pick<WebhookEndpoint, 'userId' | 'id'>): SQL | undefined {
  return and(eq(webhookEndpoints.userId, userId), eq(webhookEndpoints.id, id))
}

/**
 * Locks an endpoint's row until the transaction ends; null when the user has none with this id.
 * Locks the user's row first: the deletion of a user cascades to endpoints, events and deliveries,
 * and would deadlock with the opposite order.
 */
export async function lockEndpoint(
  deps: Pick<Deps, 'db'>,
  userId: string,
  endpointId: string,
): Promise<WebhookEndpoint | null> {
  await lockUsers(deps.db, [userId])
  const [endpoint] = await deps.db
    .select()
    .from(webhookEndpoints)
    .where(isEndpoint({ userId, id: endpointId }))
    .for('no key update')
  return endpoint ?? null
}

async function getLockedEndpoint(deps: Pick<Deps, 'db'>, userId: string, endpointId: string): Promise<WebhookEndpoint> {
  const endpoint = isRowId(endpointId) ? await lockEndpoint(deps, userId, endpointId) : null
  if (endpoint === null) throw new AppError('WEBHOOK_ENDPOINT_NOT_FOUND', { field: ['input', 'webhookEndpointId'] })
  return endpoint
}

async function assertBelowLimit(deps: Pick<Deps, 'db'>, userId: string): Promise<void> {
  if (userId === OPERATOR_ID) return
  // Serialises the creations of one user, so that two concurrent ones cannot both pass the count.
  await deps.db.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('no key update')
  const [found] = await deps.db
    .select({ number: count() })
    .from(webhookEndpoints)
    .where(eq(webhookEndpoints.userId, userId))
  if ((found?.number ?? 0) >= MAX_WEBHOOK_ENDPOINTS) throw new AppError('TOO_MANY_WEBHOOK_ENDPOINTS')
}
