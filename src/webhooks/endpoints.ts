// Webhook endpoints. A user's endpoints receive that user's events, and the operator's the operator's
// own, among them copies of account events of users who show their accounts to integrators.
import { and, asc, count, eq, inArray } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { OPERATOR_ID, webhookEndpoints } from '../db/tables.ts'
import { lockUserAlone } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { countEndpointChange } from '../events/deliveries.ts'
import { type EventType, recordEvent } from '../events/events.ts'
import { disableEndpoint, endDeliveries, removeEndpoint } from './endpoint-end.ts'
import { isEndpoint, isVisible, lockEndpoint, type WebhookEndpoint } from './endpoint-rows.ts'
import { assertDescription, assertTypes, parseUrl } from './endpoint-settings.ts'
import { openWebhookSecret, sealWebhookSecret } from './secrets.ts'
import { createWebhookSecret } from './signature.ts'

/** The settings of an endpoint; `types` null means all events. */
export type WebhookEndpointInput = { url: string; description: string | null; types: readonly EventType[] | null }

/** After a rotation, messages are signed with both secrets for this long. */
export const SECRET_OVERLAP_SECONDS = 86_400

type EndpointDeps = Pick<Deps, 'db' | 'clock' | 'config' | 'webhookEgress'>

/** Lists the user's endpoints; the operator's with OPERATOR_ID, oldest first. */
export async function listWebhookEndpoints(deps: Pick<Deps, 'db'>, userId: string): Promise<WebhookEndpoint[]> {
  return deps.db
    .select()
    .from(webhookEndpoints)
    .where(and(eq(webhookEndpoints.userId, userId), isVisible()))
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
    .where(and(eq(webhookEndpoints.userId, userId), inArray(webhookEndpoints.id, [...ids]), isVisible()))
}

/**
 * Creates an endpoint, which receives all events that are committed after it. The returned secret is
 * not shown again.
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
    await countEndpointChange(deps, userId)
    return { endpoint, secret }
  })
}

/**
 * Updates the given settings; undefined ones stay. An endpoint that is enabled, or gets other types,
 * receives all events of these that are committed after it; disabling one marks its pending deliveries
 * dead.
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
  if (changes.enabled === true) await endPendingDeliveries(deps, userId, endpointId)
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
    if (enabling || changes.types !== undefined) await countEndpointChange(deps, userId)
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
    const previous = await openWebhookSecret(deps, endpoint, 'secretSealed', endpoint.secretSealed)
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
 * Deletes an endpoint with all its deliveries, at once for its owner. Pending ones are not sent.
 * @throws AppError WEBHOOK_ENDPOINT_NOT_FOUND
 */
export function deleteWebhookEndpoint(
  deps: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  endpointId: string,
): Promise<WebhookEndpoint> {
  return transaction(deps, async (deps) => {
    const endpoint = await getLockedEndpoint(deps, userId, endpointId)
    await removeEndpoint(deps, endpoint)
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

async function getLockedEndpoint(deps: Pick<Deps, 'db'>, userId: string, endpointId: string): Promise<WebhookEndpoint> {
  const endpoint = isRowId(endpointId) ? await lockEndpoint(deps, userId, endpointId) : null
  if (endpoint === null || endpoint.deletedAt !== null)
    throw new AppError('WEBHOOK_ENDPOINT_NOT_FOUND', { field: ['input', 'webhookEndpointId'] })
  return endpoint
}

// Those that were pending when the endpoint was disabled are not sent later, however many there are.
async function endPendingDeliveries(
  deps: Pick<Deps, 'db' | 'clock'>,
  userId: string,
  endpointId: string,
): Promise<void> {
  if (!isRowId(endpointId)) return
  const [endpoint] = await listWebhookEndpointsByIds(deps, userId, [endpointId])
  if (endpoint?.status !== 'DISABLED') return
  let isDone: boolean
  do isDone = await endDeliveries(deps, endpoint)
  while (!isDone)
}

// The operator has no limit.
async function assertBelowLimit(deps: Pick<Deps, 'db' | 'config'>, userId: string): Promise<void> {
  if (userId === OPERATOR_ID) return
  await lockUserAlone(deps.db, userId)
  const [found] = await deps.db
    .select({ number: count() })
    .from(webhookEndpoints)
    .where(and(eq(webhookEndpoints.userId, userId), isVisible()))
  const max = deps.config.userLimits.webhookEndpoints
  if ((found?.number ?? 0) < max) return
  throw new AppError('TOO_MANY_WEBHOOK_ENDPOINTS', {
    detail: `You have ${max} webhook endpoints, which is the limit. Delete one with deleteWebhookEndpoint first.`,
  })
}
