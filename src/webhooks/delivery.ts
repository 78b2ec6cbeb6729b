// One attempt at a delivery, in three steps: the row is claimed for as long as an attempt can take,
// the message is sent with no transaction open, and the outcome is stored. A process that is killed
// in between leaves a row that is due again when the claim ends: delivery is at least once, and the
// receiver recognises a repetition by its webhook-id.
import { and, eq, isNotNull, lte, ne, type SQL, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import type { JobData } from '../db/jobs.ts'
import { events, webhookDeliveries, webhookEndpoints, type webhookErrors } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { enqueueDelivery } from '../events/deliveries.ts'
import { type Event, toEvent } from '../events/read.ts'
import { type CallReport, type CallResult, OutboundError } from '../outbound/provider-calls.ts'
import { EgressRefusedError } from '../outbound/webhook-egress.ts'
import { disableEndpoint, isEndpoint, lockEndpoint, type WebhookEndpoint } from './endpoints.ts'
import { MAX_ATTEMPTS, parseRetryAfterSeconds, retryDelaySeconds } from './retry.ts'
import { openWebhookSecret } from './secrets.ts'
import { signWebhook } from './signature.ts'

type Delivery = typeof webhookDeliveries.$inferSelect
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
export async function deliverWebhook(deps: Deps, key: JobData): Promise<void> {
  const delivery = await claimDelivery(deps, key)
  if (delivery === null) return
  const [found] = await deps.db
    .select({ endpoint: webhookEndpoints, event: events })
    .from(webhookEndpoints)
    .innerJoin(events, and(eq(events.userId, webhookEndpoints.userId), eq(events.id, delivery.eventId)))
    .where(isEndpoint({ userId: delivery.userId, id: delivery.endpointId }))
  // Deleted since the claim, and the delivery with it.
  if (found === undefined) return
  if (found.endpoint.status === 'DISABLED') return markDead(deps, delivery)
  const outcome = await send(deps, found.endpoint, toEvent(found.event))
  await transaction(deps, (deps) => writeOutcome(deps, delivery, outcome))
  logFailure(deps, delivery, outcome)
}

async function claimDelivery(deps: Deps, key: JobData): Promise<Delivery | null> {
  const pending = and(isDelivery(key), eq(webhookDeliveries.status, 'PENDING'))
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
      seconds: sql<number>`extract(epoch from ${webhookDeliveries.nextAttemptAt} - ${deps.clock.sqlNow()})::float8`,
    })
    .from(webhookDeliveries)
    .where(pending)
  if (waiting !== undefined) await enqueueDelivery(deps, key, Math.max(1, Number(waiting.seconds)))
  return null
}

function isDelivery({ userId, id }: JobData): SQL | undefined {
  return and(eq(webhookDeliveries.userId, userId), eq(webhookDeliveries.id, id))
}

// The endpoint was disabled while this delivery was created or replayed, so that disabling it did
// not mark this one dead.
async function markDead(deps: Deps, delivery: Delivery): Promise<void> {
  await deps.db
    .update(webhookDeliveries)
    .set({ status: 'DEAD', lastError: 'ENDPOINT_DISABLED', nextAttemptAt: null })
    .where(and(isDelivery(delivery), eq(webhookDeliveries.status, 'PENDING')))
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

async function writeOutcome(deps: Deps, delivery: Delivery, outcome: Outcome): Promise<void> {
  const { error, httpStatus, retryAfterSeconds } = outcome
  // Lock order everywhere: the endpoint's row before the delivery's.
  const endpoint = await lockEndpoint(deps, delivery.userId, delivery.endpointId)
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
        isDelivery(delivery),
        eq(webhookDeliveries.status, 'PENDING'),
        eq(webhookDeliveries.attempts, delivery.attempts),
      ),
    )
    .returning({ id: webhookDeliveries.id })
  if (written !== undefined && !isLast) await enqueueDelivery(deps, delivery, delaySeconds)
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
    .where(and(isDelivery(delivery), ne(webhookDeliveries.status, 'DELIVERED')))
  await deps.db
    .update(webhookEndpoints)
    .set({ failingSince: null })
    .where(and(isEndpoint(endpoint), isNotNull(webhookEndpoints.failingSince)))
}

async function countFailure(deps: Deps, endpoint: WebhookEndpoint, httpStatus: number | null): Promise<void> {
  const [failing] = await deps.db
    .update(webhookEndpoints)
    .set({ failingSince: sql`coalesce(${webhookEndpoints.failingSince}, ${deps.clock.sqlNow()})` })
    .where(isEndpoint(endpoint))
    .returning({
      isOver: sql<boolean>`${webhookEndpoints.failingSince} <= ${sqlIn(deps.clock, -FAILING_ENDS_SECONDS)}`,
    })
  if (httpStatus === GONE) await disableEndpoint(deps, endpoint, 'GONE')
  else if (failing?.isOver) await disableEndpoint(deps, endpoint, 'FAILING')
}
