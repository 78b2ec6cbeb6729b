import type { webhookDeliveryStatuses, webhookErrors } from '../../db/tables.ts'
import { MAX_PENDING_DELIVERIES } from '../../events/deliveries.ts'
import {
  DELIVERIES_KEPT_SECONDS,
  type DeliveriesRead,
  listWebhookDeliveries,
  MAX_EXAMINED_DELIVERIES,
  replayWebhookDelivery,
  type WebhookDelivery,
} from '../../webhooks/deliveries.ts'
import { MAX_ATTEMPTS } from '../../webhooks/retry.ts'
import { builder, describeValues } from '../builder.ts'
import { consumeChange, getSession, getUser } from '../context.ts'
import { rowCursor } from '../cursor.ts'
import { readableTypes } from '../event-access.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { continuePage, filteredPageComplexity, resolvePage } from '../pagination.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { EventTypeRef } from './event.ts'
import { NodeRef } from './node-interface.ts'

const DAY_SECONDS = 86_400

const deliveryStatusDescriptions: Record<(typeof webhookDeliveryStatuses)[number], string> = {
  PENDING: 'The delivery has not succeeded yet and is tried again at `nextAttemptAt`.',
  DELIVERED: 'The receiver responded with a 2xx status.',
  DEAD: 'The gateway has given the delivery up; `lastError` says why. `replayWebhookDelivery` sends it again.',
}

const errorDescriptions: Record<(typeof webhookErrors)[number], string> = {
  STATUS: 'The receiver responded with another status than 2xx, which is in `lastHttpStatus`.',
  REDIRECT: 'The receiver responded with a redirect, which is never followed. Update the URL.',
  DEADLINE: 'The receiver did not respond in time. It should respond at once and process the event afterwards.',
  CONNECTION: 'The connection to the receiver failed or was cut.',
  TLS: "The receiver's certificate is not valid for its name, or its TLS is broken.",
  URL_NOT_ALLOWED: "The URL's host no longer has only public addresses.",
  SECRET_UNREADABLE: 'The stored secret of the endpoint was altered outside the gateway. Rotate it.',
  ENDPOINT_DISABLED: 'The endpoint was disabled before the delivery succeeded.',
  TOO_MANY_PENDING: `No attempt was made, because ${MAX_PENDING_DELIVERIES.toLocaleString('en')} deliveries to the endpoint were pending. \`events\` has the event.`,
}

const WebhookDeliveryStatusRef = builder.enumType('WebhookDeliveryStatus', {
  description: 'The state of a webhook delivery.',
  values: describeValues(deliveryStatusDescriptions),
})

const WebhookErrorRef = builder.enumType('WebhookError', {
  description: 'Why an attempt at a webhook delivery failed.',
  values: describeValues(errorDescriptions),
})

/** One event on its way to one endpoint. */
export const WebhookDeliveryRef = builder.objectRef<WebhookDelivery>('WebhookDelivery').implement({
  interfaces: [NodeRef],
  description: 'The delivery of one event to one webhook endpoint.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the delivery." }),
    eventId: t.exposeID('eventId', {
      description: 'The `Event.id` of the delivered event; also the header `webhook-id` of every attempt.',
    }),
    eventType: t.expose('eventType', { type: EventTypeRef, description: 'The type of the delivered event.' }),
    status: t.expose('status', { type: WebhookDeliveryStatusRef, description: 'The state of the delivery.' }),
    attempts: t.exposeInt('attempts', {
      description: `The number of attempts since the delivery was created or last replayed: up to ${MAX_ATTEMPTS}, spread over a day or two.`,
    }),
    lastAttemptAt: t.expose('lastAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the last attempt was made; null before the first.',
    }),
    lastHttpStatus: t.exposeInt('lastHttpStatus', {
      nullable: true,
      description: "The HTTP status of the receiver's last response; null when there was none.",
    }),
    lastError: t.expose('lastError', {
      type: WebhookErrorRef,
      nullable: true,
      description: 'Why the last attempt failed; null when it succeeded, and while an attempt is in progress.',
    }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the next attempt is due; null unless PENDING.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the delivery was created.' }),
    deliveredAt: t.expose('deliveredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the receiver accepted the delivery; null unless DELIVERED.',
    }),
  }),
})

builder.queryField('webhookDeliveries', (t) =>
  t.connection(
    {
      type: WebhookDeliveryRef,
      authScopes: { scope: 'events:read' },
      description: `The deliveries to one of the viewer's webhook endpoints, newest first, as a Relay connection: 20 a page by default, 100 at most. Kept for ${DELIVERIES_KEPT_SECONDS / DAY_SECONDS} days. Dead letters are those with \`status: DEAD\`. A page passes over up to ${MAX_EXAMINED_DELIVERIES.toLocaleString('en')} deliveries that do not match \`status\`, or that an API token may not read: it can then have fewer entries than asked for, or none, and continues after \`endCursor\` while \`hasNextPage\` is true (before \`startCursor\` while \`hasPreviousPage\` is, with \`last\`). An API token does not get those of events of sessions.`,
      args: {
        webhookEndpointId: t.arg.id({
          required: true,
          description: 'The `WebhookEndpoint.id` of the webhook endpoint.',
        }),
        status: t.arg({
          type: WebhookDeliveryStatusRef,
          description: 'Only deliveries with this status. Default: all.',
        }),
      },
      complexity: (args) => filteredPageComplexity(args, (args.status ?? null) !== null),
      resolve: async (_, args, context) => {
        let examinedTo: DeliveriesRead['examinedTo'] = null
        const { edges, pageInfo } = await resolvePage(args, rowCursor, async ({ after, before, ...page }) => {
          const read = await listWebhookDeliveries(context.deps, getUser(context).id, args.webhookEndpointId, {
            status: args.status ?? null,
            types: readableTypes(context.viewer, null),
            ...page,
            // Newest first: what comes after a cursor is older.
            olderThan: after,
            newerThan: before,
          })
          examinedTo = read.examinedTo
          return read.deliveries
        })
        const cursor = examinedTo === null ? null : rowCursor.write(examinedTo)
        return { edges, pageInfo: continuePage(pageInfo, cursor, typeof args.last === 'number') }
      },
    },
    {
      name: 'WebhookDeliveryConnection',
      description:
        'A page of deliveries. Their list is too long to be counted at each request, so it has no total count.',
    },
    { name: 'WebhookDeliveryEdge', description: 'A webhook delivery and its cursor in the list.' },
  ),
)

const ReplayWebhookDeliveryInput = builder.inputType('ReplayWebhookDeliveryInput', {
  description: 'The webhook delivery to send again.',
  fields: (t) => ({
    webhookDeliveryId: t.id({ required: true, description: 'The `WebhookDelivery.id` of the delivery.' }),
  }),
})

const ReplayWebhookDeliveryPayloadRef = payloadRef<WebhookDelivery>('ReplayWebhookDeliveryPayload').implement({
  description: 'The result of `replayWebhookDelivery`.',
  fields: (t) => ({
    webhookDelivery: t.field({
      type: WebhookDeliveryRef,
      nullable: true,
      description: 'The webhook delivery, now PENDING; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('replayWebhookDelivery', (t) =>
  t.field({
    type: ReplayWebhookDeliveryPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 2, callsService: true }),
    description: `Sends a DEAD or DELIVERED webhook delivery again, with the same \`webhook-id\` and up to ${MAX_ATTEMPTS} further attempts. Consumes from the limit \`change\` (RATE_LIMITED).`,
    args: {
      input: t.arg({ type: ReplayWebhookDeliveryInput, required: true, description: 'The delivery to send again.' }),
    },
    resolve: (_, { input }, context) =>
      toPayload(async () => {
        await consumeChange(context)
        return replayWebhookDelivery(context.deps, getSession(context).user.id, input.webhookDeliveryId)
      }),
  }),
)
