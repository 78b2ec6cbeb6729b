// One attempt at a delivery, in three steps: the row is claimed for as long as an attempt can take,
// the message is sent with no transaction open, and the outcome is stored. A process that is killed
// in between leaves a row that is due again when the claim ends: delivery is at least once, and the
// receiver recognises a repetition by its webhook-id.
import { and, eq, isNotNull, lte, ne, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { events, webhookDeliveries, webhookEndpoints, type webhookErrors } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { type CallReport, type CallResult, OutboundError } from '../outbound/provider-calls.ts'
import { EgressRefusedError } from '../outbound/webhook-egress.ts'
import { disableEndpoint, lockEndpoint, type WebhookEndpoint, type WebhookOwner } from './endpoints.ts'
import { enqueueDelivery, mayReceive } from './fan-out.ts'
import { MAX_ATTEMPTS, parseRetryAfterSeconds, retryDelaySeconds } from './retry.ts'
import { openWebhookSecret } from './secrets.ts'
import { signWebhook } from './signature.ts'

type Delivery = typeof webhookDeliveries.$inferSelect
type Event = typeof events.$inferSelect
type WebhookError = (typeof webhookErrors)[number]

/** The outcome of one attempt; `error` null means delivered. */
type Outcome = { error: WebhookError | null; httpStatus: number | null; retryAfterSeconds: number | null }

/** An endpoint is disabled after failing for this long without a success. */
export const FAILING_ENDS_SECONDS = 5 * 86_400
// For the connection before the call and for storing the outcome after it.
const CLAIM_MARGIN_SECONDS = 20
// The job queue's clock and the row's differ by up to a second.
const EARLY_SECONDS = 1
const GONE = 410

/**
 * Attempts a delivery that is due. Does nothing if it has finished or another process has claimed
 * it.
 */
export async function deliverWebhook(deps: Deps, deliveryId: string): Promise<void> {
  const delivery = await claimDelivery(deps, deliveryId)
  if (delivery === null) return
  const [found] = await deps.db
    .select({ endpoint: webhookEndpoints, event: events })
    .from(webhookEndpoints)
    .innerJoin(events, and(eq(events.id, delivery.eventId), mayReceive(deps)))
    .where(eq(webhookEndpoints.id, delivery.endpointId))
  if (found === undefined) return dropDelivery(deps, delivery)
  if (found.endpoint.status === 'DISABLED') return markDead(deps, delivery)
  const outcome = await send(deps, found.endpoint, found.event)
  await transaction(deps, (deps) => writeOutcome(deps, found.endpoint.userId, delivery, outcome))
  logFailure(deps, delivery, outcome)
}

async function claimDelivery(deps: Deps, deliveryId: string): Promise<Delivery | null> {
  const pending = and(eq(webhookDeliveries.id, deliveryId), eq(webhookDeliveries.status, 'PENDING'))
  const [claimed] = await deps.db
    .update(webhookDeliveries)
    .set({
      attempts: sql`${webhookDeliveries.attempts} + 1`,
      lastAttemptAt: deps.clock.sqlNow(),
      lastHttpStatus: null,
      lastError: null,
      nextAttemptAt: sqlIn(deps.clock, deps.timing.callDeadlineSeconds + CLAIM_MARGIN_SECONDS),
    })
    .where(and(pending, lte(webhookDeliveries.nextAttemptAt, sqlIn(deps.clock, EARLY_SECONDS))))
    .returning()
  if (claimed !== undefined) return claimed
  // The claim may belong to a killed process: queue another job for the time when it ends.
  const [waiting] = await deps.db
    .select({
      userId: webhookEndpoints.userId,
      seconds: sql<number>`extract(epoch from ${webhookDeliveries.nextAttemptAt} - ${deps.clock.sqlNow()})::float8`,
    })
    .from(webhookDeliveries)
    .innerJoin(webhookEndpoints, eq(webhookEndpoints.id, webhookDeliveries.endpointId))
    .where(pending)
  if (waiting !== undefined)
    await enqueueDelivery(deps, { id: deliveryId, userId: waiting.userId }, Math.max(1, Number(waiting.seconds)))
  return null
}

// The user has hidden their accounts from integrators since the delivery was created.
async function dropDelivery(deps: Deps, { id }: Delivery): Promise<void> {
  await deps.db.delete(webhookDeliveries).where(eq(webhookDeliveries.id, id))
}

// The endpoint was disabled while this delivery was created or replayed, so that disabling it did
// not mark this one dead.
async function markDead(deps: Deps, { id }: Delivery): Promise<void> {
  await deps.db
    .update(webhookDeliveries)
    .set({ status: 'DEAD', lastError: 'ENDPOINT_DISABLED', nextAttemptAt: null })
    .where(and(eq(webhookDeliveries.id, id), eq(webhookDeliveries.status, 'PENDING')))
}

async function send(deps: Deps, endpoint: WebhookEndpoint, event: Event): Promise<Outcome> {
  const timestamp = deps.clock.now()
  const secrets = openSecrets(deps, endpoint, timestamp)
  if (secrets === null) return { error: 'SECRET_UNREADABLE', httpStatus: null, retryAfterSeconds: null }
  const body = JSON.stringify(payloadOf(event))
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'xconnect-gateway',
    ...signWebhook(secrets, { id: event.id, timestamp, body }),
  }
  return outcomeOf(await deps.webhookEgress.post(endpoint.url, headers, body), timestamp)
}

/**
 * The payload: ids and codes only, the same at every attempt. A receiver that may read more queries
 * the API.
 */
function payloadOf({ id, type, occurredAt, userId, accountId, tweetId, apiTokenId, webhookEndpointId, reason }: Event) {
  return {
    type,
    timestamp: occurredAt.toISOString(),
    data: { id, userId, accountId, tweetId, apiTokenId, webhookEndpointId, reason },
  }
}

// Null when the sealed secret was altered; the owner has to rotate it.
function openSecrets(deps: Deps, endpoint: WebhookEndpoint, now: Date): string[] | null {
  const secret = openWebhookSecret(deps, endpoint, 'secretSealed', endpoint.secretSealed)
  if (secret === null) return null
  if (endpoint.previousSecretEndsAt === null || endpoint.previousSecretEndsAt <= now) return [secret]
  const previous = openWebhookSecret(deps, endpoint, 'previousSecretSealed', endpoint.previousSecretSealed)
  return previous === null ? [secret] : [secret, previous]
}

// Only the status counts: a receiver that has sent it has the message, even if its response is cut
// off afterwards.
function outcomeOf(result: CallResult<void>, now: Date): Outcome {
  const { status, headers } = result.report
  const retryAfterSeconds = parseRetryAfterSeconds(headers['retry-after'], now)
  const arrived = status !== null && status >= 200 && status < 300
  return { error: arrived ? null : webhookErrorOf(result), httpStatus: status, retryAfterSeconds }
}

function webhookErrorOf(result: CallResult<void>): WebhookError {
  const { status }: CallReport = result.report
  if (status !== null) return status >= 300 && status < 400 ? 'REDIRECT' : 'STATUS'
  const error = result.ok ? null : result.error
  if (error instanceof EgressRefusedError) return 'URL_NOT_ALLOWED'
  if (error instanceof OutboundError && error.reason === 'DEADLINE') return 'DEADLINE'
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return /CERT|SSL|TLS|SIGNATURE|EPROTO/.test(code) ? 'TLS' : 'CONNECTION'
}

// Without the URL, which may contain a secret of its owner.
function logFailure(
  { log }: Deps,
  { id: deliveryId, endpointId, attempts: attempt }: Delivery,
  outcome: Outcome,
): void {
  const { error: errorCode, httpStatus } = outcome
  if (errorCode === null) return
  const about = { deliveryId, endpointId, attempt, errorCode, httpStatus }
  if (isLastAttempt(attempt, outcome)) log.warn(about, 'A webhook delivery is dead: its last attempt failed')
  else log.info(about, 'A webhook delivery failed and will be retried')
}

function isLastAttempt(attempt: number, { httpStatus }: Outcome): boolean {
  return httpStatus === GONE || attempt >= MAX_ATTEMPTS
}

async function writeOutcome(deps: Deps, owner: WebhookOwner, delivery: Delivery, outcome: Outcome): Promise<void> {
  const { error, httpStatus, retryAfterSeconds } = outcome
  // Lock order everywhere: the endpoint's row before the delivery's.
  const endpoint = await lockEndpoint(deps, owner, delivery.endpointId)
  if (endpoint === null) return
  if (error === null) return writeSuccess(deps, endpoint, delivery, httpStatus)
  const isLast = isLastAttempt(delivery.attempts, outcome)
  const delaySeconds = retryDelaySeconds(delivery.attempts, Math.random(), retryAfterSeconds)
  const [written] = await deps.db
    .update(webhookDeliveries)
    .set({
      status: isLast ? 'DEAD' : 'PENDING',
      lastHttpStatus: httpStatus,
      lastError: error,
      nextAttemptAt: isLast ? null : sqlIn(deps.clock, delaySeconds),
    })
    .where(
      and(
        eq(webhookDeliveries.id, delivery.id),
        eq(webhookDeliveries.status, 'PENDING'),
        eq(webhookDeliveries.attempts, delivery.attempts),
      ),
    )
    .returning({ id: webhookDeliveries.id })
  if (written !== undefined && !isLast)
    await enqueueDelivery(deps, { id: delivery.id, userId: endpoint.userId }, delaySeconds)
  if (endpoint.status === 'ENABLED') await countFailure(deps, endpoint, httpStatus)
}

async function writeSuccess(
  deps: Deps,
  endpoint: WebhookEndpoint,
  delivery: Delivery,
  httpStatus: number | null,
): Promise<void> {
  await deps.db
    .update(webhookDeliveries)
    .set({
      status: 'DELIVERED',
      deliveredAt: deps.clock.sqlNow(),
      lastHttpStatus: httpStatus,
      lastError: null,
      nextAttemptAt: null,
    })
    // Also a delivery that was marked dead meanwhile: the receiver has it.
    .where(and(eq(webhookDeliveries.id, delivery.id), ne(webhookDeliveries.status, 'DELIVERED')))
  await deps.db
    .update(webhookEndpoints)
    .set({ failingSince: null })
    .where(and(eq(webhookEndpoints.id, endpoint.id), isNotNull(webhookEndpoints.failingSince)))
}

async function countFailure(deps: Deps, endpoint: WebhookEndpoint, httpStatus: number | null): Promise<void> {
  const [failing] = await deps.db
    .update(webhookEndpoints)
    .set({ failingSince: sql`coalesce(${webhookEndpoints.failingSince}, ${deps.clock.sqlNow()})` })
    .where(eq(webhookEndpoints.id, endpoint.id))
    .returning({
      isOver: sql<boolean>`${webhookEndpoints.failingSince} <= ${sqlIn(deps.clock, -FAILING_ENDS_SECONDS)}`,
    })
  if (httpStatus === GONE) await disableEndpoint(deps, endpoint, 'GONE')
  else if (failing?.isOver) await disableEndpoint(deps, endpoint, 'FAILING')
}
