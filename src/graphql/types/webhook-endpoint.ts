import type { webhookDisabledReasons, webhookEndpointStatuses } from '../../db/tables.ts'
import { FAILING_ENDS_SECONDS } from '../../webhooks/delivery.ts'
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
} from '../../webhooks/endpoints.ts'
import { builder, describeValues, NETWORK_COMPLEXITY } from '../builder.ts'
import { getSession, getUser } from '../context.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { EventTypeRef } from './event.ts'

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

const WebhookEndpointStatusRef = builder.enumType('WebhookEndpointStatus', {
  description: 'Whether events are sent to an endpoint.',
  values: describeValues(endpointStatusDescriptions),
})

const WebhookDisabledReasonRef = builder.enumType('WebhookDisabledReason', {
  description: 'Why an endpoint is DISABLED.',
  values: describeValues(disabledReasonDescriptions),
})

/** A URL that receives events. */
export const WebhookEndpointRef = builder.objectRef<WebhookEndpoint>('WebhookEndpoint').implement({
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

builder.queryField('webhookEndpoints', (t) =>
  t.field({
    type: [WebhookEndpointRef],
    authScopes: { scope: 'events:read' },
    description: "The viewer's webhook endpoints, the oldest first.",
    resolve: (_, _args, context) => listWebhookEndpoints(context.deps, getUser(context).id),
  }),
)

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

type WithSecret = { endpoint: WebhookEndpoint; secret: string }

const secretPayload = (mutation: string, name: string) =>
  payloadRef<WithSecret>(name).implement({
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
    }),
  })
const CreateWebhookEndpointPayloadRef = secretPayload('createWebhookEndpoint', 'CreateWebhookEndpointPayload')
const RotateWebhookSecretPayloadRef = secretPayload('rotateWebhookSecret', 'RotateWebhookSecretPayload')

const endpointPayload = (mutation: string, name: string, description: string) =>
  payloadRef<WebhookEndpoint>(name).implement({
    description: `The answer to \`${mutation}\`.`,
    fields: (t) => ({
      endpoint: t.field({
        type: WebhookEndpointRef,
        nullable: true,
        description,
        resolve: ({ thing }) => thing,
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

builder.mutationFields((t) => ({
  createWebhookEndpoint: t.field({
    type: CreateWebhookEndpointPayloadRef,
    nullable: true,
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
    nullable: true,
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
    nullable: true,
    authScopes: { session: true },
    description: `Replaces an endpoint's secret. For ${SECRET_OVERLAP_SECONDS / 3600} hours messages carry two signatures, by the old one and by the new one.`,
    args: { input: t.arg({ type: RotateWebhookSecretInput, required: true, description: 'Whose secret.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => rotateWebhookSecret(context.deps, getSession(context).user.id, input.endpointId)),
  }),
  deleteWebhookEndpoint: t.field({
    type: DeleteWebhookEndpointPayloadRef,
    nullable: true,
    authScopes: { session: true },
    description: 'Deletes an endpoint with all its deliveries. What is PENDING is not sent any more.',
    args: { input: t.arg({ type: DeleteWebhookEndpointInput, required: true, description: 'What to delete.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => deleteWebhookEndpoint(context.deps, getSession(context).user.id, input.endpointId)),
  }),
  testWebhookEndpoint: t.field({
    type: TestWebhookEndpointPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: NETWORK_COMPLEXITY,
    description: 'Sends a `webhook.test` to an endpoint, whatever types it asks for.',
    args: { input: t.arg({ type: TestWebhookEndpointInput, required: true, description: 'Where to send it.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => testWebhookEndpoint(context.deps, getSession(context).user.id, input.endpointId)),
  }),
}))
