// One attempt at a delivery, in three steps: a turn has claimed the row for as long as an attempt can
// take, the message is sent with no transaction open, and the outcome is stored. A process that is
// killed in between leaves a row that is due again when the claim ends: delivery is at least once, and
// the receiver recognises a repetition by its webhook-id.
import { and, eq, isNotNull, ne, type SQL, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { isEncryptionKeyMissing } from '../db/sealed-values.ts'
import { events, OPERATOR_ID, webhookDeliveries, webhookEndpoints, type webhookErrors } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { isNotHidden } from '../events/operator-copies.ts'
import { type Event, toEvent } from '../events/read.ts'
import { type CallReport, type CallResult, OutboundError } from '../outbound/provider-calls.ts'
import { EgressRefusedError } from '../outbound/webhook-egress.ts'
import { disableEndpoint, endDeliveries } from './endpoint-end.ts'
import { isEndpoint, lockEndpoint, type WebhookEndpoint } from './endpoint-rows.ts'
import { MAX_ATTEMPTS, parseRetryAfterSeconds, retryDelaySeconds } from './retry.ts'
import { openWebhookSecret } from './secrets.ts'
import { signWebhook } from './signature.ts'
import { markSlow, type TakenTurn, updateTurns } from './turns.ts'

type Delivery = typeof webhookDeliveries.$inferSelect
type WebhookError = (typeof webhookErrors)[number]

/** The outcome of one attempt; `error` null means delivered. */
type Outcome = { error: WebhookError | null; httpStatus: number | null; retryAfterSeconds: number | null }

/** An endpoint is disabled after failing for this long without a success. */
export const FAILING_ENDS_SECONDS = 5 * 86_400
const GONE = 410
// Until an attempt whose instance lacks the key of the secret is made by another one.
const KEY_MISSING_SECONDS = 5

/**
 * Attempts the delivery of a turn, or ends deliveries of an endpoint that is disabled or deleted.
 * @param onSlow is called when the receiver has not responded within `webhookPromptSeconds`, and the
 *   endpoint has the slow lane. The attempt goes on.
 */
export async function deliverWebhook(deps: Deps, { endpoint, delivery }: TakenTurn, onSlow: () => void): Promise<void> {
  // With the claimed one.
  if (endpoint.status === 'DISABLED' || delivery === null) return void (await endDeliveries(deps, endpoint))
  const [event] = await deps.db
    .select()
    .from(events)
    .where(
      and(
        eq(events.userId, delivery.userId),
        eq(events.id, delivery.eventId),
        delivery.userId === OPERATOR_ID ? isNotHidden() : undefined,
      ),
    )
  // Deleted or hidden since the claim: the delivery is deleted with it.
  if (event === undefined) return
  const secrets = await openSecretsOrPostpone(deps, endpoint, delivery)
  if (secrets === 'POSTPONED') return
  const startedAt = performance.now()
  const attempt = () => send(deps, endpoint, toEvent(event), secrets)
  const { outcome, isSlow } = await withSlowMark(deps, endpoint, onSlow, attempt)
  const attemptSeconds = (performance.now() - startedAt) / 1000
  const delaySeconds = retryDelaySeconds(delivery.attempts, Math.random(), outcome.retryAfterSeconds)
  await transaction(deps, (deps) => writeOutcome(deps, delivery, outcome, delaySeconds))
  if (isSlow) await markSlow(deps, endpoint)
  logFailure(deps, endpoint, delivery, outcome, delaySeconds)
  const end = isLastAttempt(delivery.attempts, outcome) ? 'DEAD' : 'FAILED'
  deps.metrics?.countDelivery(outcome.error === null ? 'DELIVERED' : end, attemptSeconds)
}

// Marks the endpoint as soon as the response is late, so that its next delivery does not get a worker
// of the prompt lane meanwhile.
async function withSlowMark(
  deps: Deps,
  endpoint: WebhookEndpoint,
  onSlow: () => void,
  attempt: () => Promise<Outcome>,
): Promise<{ outcome: Outcome; isSlow: boolean }> {
  let marking: Promise<void> | null = null
  const mark = async () => {
    try {
      await markSlow(deps, endpoint)
    } catch (error) {
      deps.log.warn({ error, endpointId: endpoint.id }, 'A slow webhook receiver could not be marked')
    } finally {
      onSlow()
    }
  }
  const timer = setTimeout(() => {
    marking = mark()
  }, deps.timing.webhookPromptSeconds * 1000)
  try {
    const outcome = await attempt()
    return { outcome, isSlow: marking !== null }
  } finally {
    clearTimeout(timer)
    await marking
  }
}

function isDelivery({ userId, id }: Pick<Delivery, 'userId' | 'id'>): SQL | undefined {
  return and(eq(webhookDeliveries.userId, userId), eq(webhookDeliveries.id, id))
}

async function send(
  deps: Deps,
  endpoint: WebhookEndpoint,
  event: Event,
  secrets: readonly string[] | null,
): Promise<Outcome> {
  const timestamp = deps.clock.now()
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

// An instance that lacks the key makes no attempt: the delivery is due again soon, for another one.
async function openSecretsOrPostpone(
  deps: Deps,
  endpoint: WebhookEndpoint,
  delivery: Delivery,
): Promise<string[] | null | 'POSTPONED'> {
  try {
    return await openSecrets(deps, endpoint, deps.clock.now())
  } catch (error) {
    if (!isEncryptionKeyMissing(error)) throw error
    await transaction(deps, (deps) => postpone(deps, delivery))
    return 'POSTPONED'
  }
}

async function postpone(deps: Deps, delivery: Delivery): Promise<void> {
  // Lock order everywhere: the endpoint's row before the delivery's.
  if ((await lockEndpoint(deps, delivery.userId, delivery.endpointId)) === null) return
  await deps.db
    .update(webhookDeliveries)
    .set({ attempts: delivery.attempts - 1, nextAttemptAt: sqlIn(deps.clock, KEY_MISSING_SECONDS) })
    .where(
      and(
        isDelivery(delivery),
        eq(webhookDeliveries.status, 'PENDING'),
        eq(webhookDeliveries.attempts, delivery.attempts),
      ),
    )
  await updateTurns(deps, delivery.userId)
}

// Null when the sealed secret was altered; the owner has to rotate it.
async function openSecrets(deps: Deps, endpoint: WebhookEndpoint, now: Date): Promise<string[] | null> {
  const secret = await openWebhookSecret(deps, endpoint, 'secretSealed', endpoint.secretSealed)
  if (secret === null) return null
  if (endpoint.previousSecretEndsAt === null || endpoint.previousSecretEndsAt <= now) return [secret]
  const previous = await openWebhookSecret(deps, endpoint, 'previousSecretSealed', endpoint.previousSecretSealed)
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

// Of the URL the host alone: the rest may contain a secret of its owner.
function logFailure(deps: Deps, endpoint: WebhookEndpoint, delivery: Delivery, outcome: Outcome, delay: number): void {
  const { id: deliveryId, endpointId, attempts: attempt, userId } = delivery
  const { error: errorCode, httpStatus } = outcome
  if (errorCode === null) return
  const owner = userId === OPERATOR_ID ? { owner: 'OPERATOR' } : { owner: 'USER', userId }
  const { host } = new URL(endpoint.url)
  const about = { deliveryId, endpointId, ...owner, host, attempt, errorCode, httpStatus }
  if (isLastAttempt(attempt, outcome)) deps.logDeadDelivery(endpointId, about)
  else deps.logFailedDelivery(endpointId, { ...about, nextAttemptInSeconds: Math.round(delay) })
}

function isLastAttempt(attempt: number, { httpStatus }: Outcome): boolean {
  return httpStatus === GONE || attempt >= MAX_ATTEMPTS
}

async function writeOutcome(deps: Deps, delivery: Delivery, outcome: Outcome, delaySeconds: number): Promise<void> {
  const { error, httpStatus } = outcome
  // Lock order everywhere: the endpoint's row before the delivery's.
  const endpoint = await lockEndpoint(deps, delivery.userId, delivery.endpointId)
  if (endpoint === null) return
  if (error === null) return writeSuccess(deps, endpoint, delivery, httpStatus)
  const isLast = isLastAttempt(delivery.attempts, outcome)
  await deps.db
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
  if (endpoint.status === 'ENABLED') await countFailure(deps, endpoint, httpStatus)
  await updateTurns(deps, delivery.userId)
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
  await updateTurns(deps, delivery.userId)
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
