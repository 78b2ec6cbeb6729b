import { type ResolveCursorConnectionArgs, resolveCursorConnection } from '@pothos/plugin-relay'
import type {
  webhookDeliveryStatuses,
  webhookDisabledReasons,
  webhookEndpointStatuses,
  webhookErrors,
} from '../db/tables.ts'
import {
  DELIVERIES_KEPT_SECONDS,
  listWebhookDeliveries,
  replayWebhookDelivery,
  type WebhookDelivery,
} from '../webhooks/deliveries.ts'
import { FAILING_ENDS_SECONDS } from '../webhooks/delivery.ts'
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  listWebhookEndpoints,
  MAX_WEBHOOK_ENDPOINTS,
  rotateWebhookSecret,
  SECRET_OVERLAP_SECONDS,
  testWebhookEndpoint,
  updateWebhookEndpoint,
  type WebhookEndpoint,
} from '../webhooks/endpoints.ts'
import { MAX_ATTEMPTS } from '../webhooks/retry.ts'
import { builder, describeValues, NETWORK_COMPLEXITY } from './builder.ts'
import { getSession, getUser } from './context.ts'
import { EventTypeRef } from './event.ts'
import { DEFAULT_PAGE, MAX_PAGE, pageComplexity, readMomentCursor, refuseOddPage, writeMomentCursor } from './page.ts'
import { type Payload, toPayload, UserErrorRef } from './user-error.ts'

const DAY_SECONDS = 86_400

const endpointStatusDescriptions: Record<(typeof webhookEndpointStatuses)[number], string> = {
  ENABLED: 'Events are sent to it.',
  DISABLED: 'Nothing is sent to it: see `disabledReason`.',
}

const disabledReasonDescriptions: Record<(typeof webhookDisabledReasons)[number], string> = {
  BY_OWNER: 'Its owner disabled it.',
  FAILING: `Nothing arrived there for ${FAILING_ENDS_SECONDS / DAY_SECONDS} days.`,
  GONE: 'It answered 410 Gone: the receiver wants no more.',
}

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

const WebhookEndpointStatusRef = builder.enumType('WebhookEndpointStatus', {
  description: 'Whether events are sent to an endpoint.',
  values: describeValues(endpointStatusDescriptions),
})

const WebhookDisabledReasonRef = builder.enumType('WebhookDisabledReason', {
  description: 'Why an endpoint is DISABLED.',
  values: describeValues(disabledReasonDescriptions),
})

const WebhookDeliveryStatusRef = builder.enumType('WebhookDeliveryStatus', {
  description: 'How far a delivery has come.',
  values: describeValues(deliveryStatusDescriptions),
})

const WebhookErrorRef = builder.enumType('WebhookError', {
  description: 'Why a try at a delivery failed.',
  values: describeValues(errorDescriptions),
})

const WebhookEndpointRef = builder.objectRef<WebhookEndpoint>('WebhookEndpoint').implement({
  description:
    'An address that events are sent to as they happen, signed as Standard Webhooks describes. Each arrives at least once, in no promised order: know them by `webhook-id`, order them by `timestamp`.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Our id of the endpoint.' }),
    url: t.exposeString('url', { description: 'Where messages are sent, by POST.' }),
    description: t.exposeString('description', { nullable: true, description: "The owner's own words." }),
    types: t.field({
      type: [EventTypeRef],
      nullable: true,
      description: 'Which events are sent; null for all.',
      resolve: ({ eventTypes }) => eventTypes,
    }),
    status: t.expose('status', { type: WebhookEndpointStatusRef, description: 'Whether events are sent to it.' }),
    disabledReason: t.expose('disabledReason', {
      type: WebhookDisabledReasonRef,
      nullable: true,
      description: 'Why it is DISABLED; null when it is not.',
    }),
    failingSince: t.expose('failingSince', {
      type: 'DateTime',
      nullable: true,
      description: `Since when nothing has arrived there; null when all is well. After ${FAILING_ENDS_SECONDS / DAY_SECONDS} days it is disabled.`,
    }),
    previousSecretEndsAt: t.expose('previousSecretEndsAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Until when the secret before the last rotation signs as well; null when there was no rotation.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
  }),
})

const WebhookDeliveryRef = builder.objectRef<WebhookDelivery>('WebhookDelivery').implement({
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

builder.queryFields((t) => ({
  webhookEndpoints: t.field({
    type: [WebhookEndpointRef],
    authScopes: { scope: 'events:read' },
    description: "The viewer's webhook endpoints, the oldest first.",
    resolve: (_, _args, context) => listWebhookEndpoints(context.deps, getUser(context).id),
  }),
  webhookDeliveries: t.connection(
    {
      type: WebhookDeliveryRef,
      authScopes: { scope: 'events:read' },
      description: `What was sent, or is to be sent, to one of the viewer's webhook endpoints, newest first, as a Relay connection: 20 a page unless told otherwise, 100 at most. Kept for ${DELIVERIES_KEPT_SECONDS / DAY_SECONDS} days. The dead letters are those with \`status: DEAD\`.`,
      args: {
        endpointId: t.arg.id({ required: true, description: 'WebhookEndpoint.id' }),
        status: t.arg({ type: WebhookDeliveryStatusRef, description: 'Only these. Default: all.' }),
      },
      complexity: pageComplexity,
      resolve: (_, args, context) => {
        refuseOddPage(args)
        return resolveCursorConnection(
          {
            args,
            defaultSize: DEFAULT_PAGE,
            maxSize: MAX_PAGE,
            toCursor: (row: WebhookDelivery) => writeMomentCursor(row),
          },
          ({ before, after, limit, inverted }: ResolveCursorConnectionArgs) =>
            listWebhookDeliveries(context.deps, getUser(context).id, args.endpointId, {
              status: args.status ?? null,
              // Newest first: what comes after a cursor is older.
              olderThan: after === undefined ? null : readMomentCursor(after, 'after'),
              newerThan: before === undefined ? null : readMomentCursor(before, 'before'),
              limit,
              inverted,
            }),
        )
      },
    },
    { name: 'WebhookDeliveryConnection', description: 'A page of deliveries.' },
    { name: 'WebhookDeliveryEdge', description: 'A delivery and its place in the list.' },
  ),
}))

const urlDescription =
  'https, at a host with public addresses and no other, at port 443 or 8443, without user name and password. Redirects are not followed.'

const CreateWebhookEndpointInput = builder.inputType('CreateWebhookEndpointInput', {
  description: 'An endpoint to make.',
  fields: (t) => ({
    url: t.string({ required: true, description: urlDescription }),
    description: t.string({ description: 'Words of your own, up to 200 characters.' }),
    types: t.field({ type: [EventTypeRef], description: 'Which events to send. Default: all.' }),
  }),
})

const UpdateWebhookEndpointInput = builder.inputType('UpdateWebhookEndpointInput', {
  description: 'What to change of an endpoint. What is left out stays as it is.',
  fields: (t) => ({
    endpointId: t.id({ required: true, description: 'WebhookEndpoint.id' }),
    url: t.string({ description: urlDescription }),
    description: t.string({ description: 'Words of your own, up to 200 characters; null for none.' }),
    types: t.field({ type: [EventTypeRef], description: 'Which events to send; null for all.' }),
    enabled: t.boolean({
      description:
        'True: what happens from now on is sent, also where it was disabled for failing. False: nothing is sent, and what is PENDING becomes DEAD.',
    }),
  }),
})

const inputWithEndpoint = (name: string, description: string) =>
  builder.inputType(name, {
    description,
    fields: (t) => ({ endpointId: t.id({ required: true, description: 'WebhookEndpoint.id' }) }),
  })
const RotateWebhookSecretInput = inputWithEndpoint('RotateWebhookSecretInput', 'Whose secret to replace.')
const DeleteWebhookEndpointInput = inputWithEndpoint('DeleteWebhookEndpointInput', 'What to delete.')
const TestWebhookEndpointInput = inputWithEndpoint('TestWebhookEndpointInput', 'Where to send a test.')

const ReplayWebhookDeliveryInput = builder.inputType('ReplayWebhookDeliveryInput', {
  description: 'What to send again.',
  fields: (t) => ({ deliveryId: t.id({ required: true, description: 'WebhookDelivery.id' }) }),
})

type WithSecret = { endpoint: WebhookEndpoint; secret: string }

const secretPayload = (mutation: string, name: string) =>
  builder.objectRef<Payload<WithSecret>>(name).implement({
    description: `The answer to \`${mutation}\`.`,
    fields: (t) => ({
      endpoint: t.field({
        type: WebhookEndpointRef,
        nullable: true,
        description: 'The endpoint; null when there are userErrors.',
        resolve: ({ thing }) => thing?.endpoint ?? null,
      }),
      secret: t.string({
        nullable: true,
        description:
          'What messages are signed with: `whsec_` and base64. Keep it; it is never shown again. Null when there are userErrors.',
        resolve: ({ thing }) => thing?.secret ?? null,
      }),
      userErrors: t.field({
        type: [UserErrorRef],
        description: 'Empty when it worked.',
        resolve: ({ userErrors }) => userErrors,
      }),
    }),
  })
const CreateWebhookEndpointPayloadRef = secretPayload('createWebhookEndpoint', 'CreateWebhookEndpointPayload')
const RotateWebhookSecretPayloadRef = secretPayload('rotateWebhookSecret', 'RotateWebhookSecretPayload')

const endpointPayload = (mutation: string, name: string, description: string) =>
  builder.objectRef<Payload<WebhookEndpoint>>(name).implement({
    description: `The answer to \`${mutation}\`.`,
    fields: (t) => ({
      endpoint: t.field({
        type: WebhookEndpointRef,
        nullable: true,
        description,
        resolve: ({ thing }) => thing,
      }),
      userErrors: t.field({
        type: [UserErrorRef],
        description: 'Empty when it worked.',
        resolve: ({ userErrors }) => userErrors,
      }),
    }),
  })
const UpdateWebhookEndpointPayloadRef = endpointPayload(
  'updateWebhookEndpoint',
  'UpdateWebhookEndpointPayload',
  'The endpoint as it is now; null when there are userErrors.',
)
const DeleteWebhookEndpointPayloadRef = endpointPayload(
  'deleteWebhookEndpoint',
  'DeleteWebhookEndpointPayload',
  'The endpoint as it was; null when there are userErrors.',
)
const TestWebhookEndpointPayloadRef = endpointPayload(
  'testWebhookEndpoint',
  'TestWebhookEndpointPayload',
  'The endpoint; what becomes of the message is in `webhookDeliveries`. Null when there are userErrors.',
)

const ReplayWebhookDeliveryPayloadRef = builder
  .objectRef<Payload<WebhookDelivery>>('ReplayWebhookDeliveryPayload')
  .implement({
    description: 'The answer to `replayWebhookDelivery`.',
    fields: (t) => ({
      delivery: t.field({
        type: WebhookDeliveryRef,
        nullable: true,
        description: 'The delivery, now PENDING; null when there are userErrors.',
        resolve: ({ thing }) => thing,
      }),
      userErrors: t.field({
        type: [UserErrorRef],
        description: 'Empty when it worked.',
        resolve: ({ userErrors }) => userErrors,
      }),
    }),
  })

builder.mutationFields((t) => ({
  createWebhookEndpoint: t.field({
    type: CreateWebhookEndpointPayloadRef,
    authScopes: { session: true },
    complexity: NETWORK_COMPLEXITY,
    description: `Makes an endpoint, to which what happens from now on is sent. A user may have ${MAX_WEBHOOK_ENDPOINTS}.`,
    args: { input: t.arg({ type: CreateWebhookEndpointInput, required: true, description: 'The endpoint.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() =>
        createWebhookEndpoint(context.deps, getSession(context).user.id, {
          url: input.url,
          description: input.description ?? null,
          types: input.types ?? null,
        }),
      ),
  }),
  updateWebhookEndpoint: t.field({
    type: UpdateWebhookEndpointPayloadRef,
    authScopes: { session: true },
    complexity: NETWORK_COMPLEXITY,
    description: 'Changes an endpoint, disables it, or enables it again. Its secret stays.',
    args: { input: t.arg({ type: UpdateWebhookEndpointInput, required: true, description: 'What to change.' }) },
    resolve: (_, { input: { endpointId, url, description, types, enabled } }, context) =>
      toPayload(() =>
        updateWebhookEndpoint(context.deps, getSession(context).user.id, endpointId, {
          url: url ?? undefined,
          description,
          types,
          enabled: enabled ?? undefined,
        }),
      ),
  }),
  rotateWebhookSecret: t.field({
    type: RotateWebhookSecretPayloadRef,
    authScopes: { session: true },
    description: `Replaces an endpoint's secret. For ${SECRET_OVERLAP_SECONDS / 3600} hours messages carry two signatures, by the old one and by the new one.`,
    args: { input: t.arg({ type: RotateWebhookSecretInput, required: true, description: 'Whose secret.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => rotateWebhookSecret(context.deps, getSession(context).user.id, input.endpointId)),
  }),
  deleteWebhookEndpoint: t.field({
    type: DeleteWebhookEndpointPayloadRef,
    authScopes: { session: true },
    description: 'Deletes an endpoint with all its deliveries. What is PENDING is not sent any more.',
    args: { input: t.arg({ type: DeleteWebhookEndpointInput, required: true, description: 'What to delete.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => deleteWebhookEndpoint(context.deps, getSession(context).user.id, input.endpointId)),
  }),
  testWebhookEndpoint: t.field({
    type: TestWebhookEndpointPayloadRef,
    authScopes: { session: true },
    complexity: NETWORK_COMPLEXITY,
    description: 'Sends a `webhook.test` to an endpoint, whatever types it asks for.',
    args: { input: t.arg({ type: TestWebhookEndpointInput, required: true, description: 'Where to send it.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => testWebhookEndpoint(context.deps, getSession(context).user.id, input.endpointId)),
  }),
  replayWebhookDelivery: t.field({
    type: ReplayWebhookDeliveryPayloadRef,
    authScopes: { session: true },
    complexity: NETWORK_COMPLEXITY,
    description: `Sends a message once more that is DEAD or DELIVERED, with the same \`webhook-id\`, up to ${MAX_ATTEMPTS} times again.`,
    args: { input: t.arg({ type: ReplayWebhookDeliveryInput, required: true, description: 'What to send again.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => replayWebhookDelivery(context.deps, getSession(context).user.id, input.deliveryId)),
  }),
}))
