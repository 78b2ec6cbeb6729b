import type { webhookDeliveryStatuses, webhookErrors } from '../../db/tables.ts'
import {
  DELIVERIES_KEPT_SECONDS,
  listWebhookDeliveries,
  replayWebhookDelivery,
  type WebhookDelivery,
} from '../../webhooks/deliveries.ts'
import { MAX_ATTEMPTS } from '../../webhooks/retry.ts'
import { builder, describeValues, NETWORK_COMPLEXITY } from '../builder.ts'
import { getSession, getUser } from '../context.ts'
import { rowCursor } from '../cursor.ts'
import { pageComplexity, resolvePage } from '../pagination.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { EventTypeRef } from './event.ts'

const DAY_SECONDS = 86_400

const deliveryStatusDescriptions: Record<(typeof webhookDeliveryStatuses)[number], string> = {
  PENDING: 'On its way: see `nextAttemptAt`.',
  DELIVERED: 'The receiver answered with a 2xx status.',
  DEAD: 'Given up: see `lastError`. `replayWebhookDelivery` sends it again.',
}

const errorDescriptions: Record<(typeof webhookErrors)[number], string> = {
  STATUS: 'The receiver answered with another status than 2xx: see `lastHttpStatus`.',
  REDIRECT: 'The receiver answered with a redirect, which is never followed. Update the URL.',
  DEADLINE: 'The receiver did not answer in time. It should answer at once and work afterwards.',
  CONNECTION: 'No connection to the receiver, or it was cut.',
  TLS: "The receiver's certificate is not valid for its name, or its TLS is broken.",
  URL_NOT_ALLOWED: "The URL's host has no public address any more.",
  SECRET_UNREADABLE: 'The stored secret was altered outside the gateway. Rotate it.',
  ENDPOINT_DISABLED: 'The endpoint was disabled before it arrived.',
}

const WebhookDeliveryStatusRef = builder.enumType('WebhookDeliveryStatus', {
  description: 'How far a delivery has come.',
  values: describeValues(deliveryStatusDescriptions),
})

const WebhookErrorRef = builder.enumType('WebhookError', {
  description: 'Why a try at a delivery failed.',
  values: describeValues(errorDescriptions),
})

/** One event on its way to one endpoint. */
export const WebhookDeliveryRef = builder.objectRef<WebhookDelivery>('WebhookDelivery').implement({
  description: 'One event on its way to one endpoint.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Our id of the delivery.' }),
    eventId: t.exposeID('eventId', { description: 'Event.id, and the `webhook-id` of the message, at every try.' }),
    eventType: t.expose('eventType', { type: EventTypeRef, description: 'What happened.' }),
    status: t.expose('status', { type: WebhookDeliveryStatusRef, description: 'How far it has come.' }),
    attempts: t.exposeInt('attempts', {
      description: `How often it was tried, since it was first sent or last replayed: ${MAX_ATTEMPTS} times at most, spread over a day or two.`,
    }),
    lastAttemptAt: t.expose('lastAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last tried; null when it was not yet.',
    }),
    lastHttpStatus: t.exposeInt('lastHttpStatus', {
      nullable: true,
      description: "The status of the receiver's last answer; null when there was none.",
    }),
    lastError: t.expose('lastError', {
      type: WebhookErrorRef,
      nullable: true,
      description: 'Why the last try failed; null when it did not, and while one is under way.',
    }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'It is not tried again before; null unless PENDING.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was first to be sent.' }),
    deliveredAt: t.expose('deliveredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it arrived; null unless DELIVERED.',
    }),
  }),
})

builder.queryField('webhookDeliveries', (t) =>
  t.connection(
    {
      type: WebhookDeliveryRef,
      authScopes: { scope: 'events:read' },
      description: `What was sent, or is to be sent, to one of the viewer's webhook endpoints, newest first, as a Relay connection: 20 a page unless told otherwise, 100 at most. Kept for ${DELIVERIES_KEPT_SECONDS / DAY_SECONDS} days. The dead letters are those with \`status: DEAD\`.`,
      args: {
        endpointId: t.arg.id({ required: true, description: 'WebhookEndpoint.id' }),
        status: t.arg({ type: WebhookDeliveryStatusRef, description: 'Only these. Default: all.' }),
      },
      complexity: pageComplexity,
      resolve: (_, args, context) =>
        resolvePage(args, rowCursor, ({ after, before, ...page }) =>
          listWebhookDeliveries(context.deps, getUser(context).id, args.endpointId, {
            status: args.status ?? null,
            ...page,
            // Newest first: what comes after a cursor is older.
            olderThan: after,
            newerThan: before,
          }),
        ),
    },
    {
      name: 'WebhookDeliveryConnection',
      description:
        'A page of deliveries. Their list is too long to be counted at each request, so it has no total count.',
    },
    { name: 'WebhookDeliveryEdge', description: 'A delivery and its place in the list.' },
  ),
)

const ReplayWebhookDeliveryInput = builder.inputType('ReplayWebhookDeliveryInput', {
  description: 'What to send again.',
  fields: (t) => ({ deliveryId: t.id({ required: true, description: 'WebhookDelivery.id' }) }),
})

const ReplayWebhookDeliveryPayloadRef = payloadRef<WebhookDelivery>('ReplayWebhookDeliveryPayload').implement({
  description: 'The answer to `replayWebhookDelivery`.',
  fields: (t) => ({
    delivery: t.field({
      type: WebhookDeliveryRef,
      nullable: true,
      description: 'The delivery, now PENDING; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('replayWebhookDelivery', (t) =>
  t.field({
    type: ReplayWebhookDeliveryPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: NETWORK_COMPLEXITY,
    description: `Sends a message once more that is DEAD or DELIVERED, with the same \`webhook-id\`, up to ${MAX_ATTEMPTS} times again.`,
    args: { input: t.arg({ type: ReplayWebhookDeliveryInput, required: true, description: 'What to send again.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => replayWebhookDelivery(context.deps, getSession(context).user.id, input.deliveryId)),
  }),
)
