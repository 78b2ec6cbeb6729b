import { productionTiming } from '../../config/timing.ts'
import { defaultUserLimits } from '../../config/user-limits.ts'
import type { webhookDisabledReasons, webhookEndpointStatuses } from '../../db/tables.ts'
import { MAX_PENDING_DELIVERIES } from '../../events/deliveries.ts'
import { FAILING_ENDS_SECONDS } from '../../webhooks/delivery.ts'
import type { WebhookEndpoint } from '../../webhooks/endpoint-rows.ts'
import {
  createWebhookEndpoint,
  deleteWebhookEndpoint,
  listWebhookEndpoints,
  rotateWebhookSecret,
  SECRET_OVERLAP_SECONDS,
  testWebhookEndpoint,
  updateWebhookEndpoint,
} from '../../webhooks/endpoints.ts'
import { SLOW_LANE_SECONDS } from '../../webhooks/turns.ts'
import { builder, describeValues, type ViewerFields } from '../builder.ts'
import { consumeChange, getSession, getUser } from '../context.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { EventTypeRef } from './event.ts'
import { NodeRef } from './node-interface.ts'

const DAY_SECONDS = 86_400

const endpointStatusDescriptions: Record<(typeof webhookEndpointStatuses)[number], string> = {
  ENABLED: 'Events are sent to the endpoint.',
  DISABLED: 'Nothing is sent to the endpoint; `disabledReason` says why.',
}

const disabledReasonDescriptions: Record<(typeof webhookDisabledReasons)[number], string> = {
  BY_OWNER: 'The owner disabled the endpoint.',
  FAILING: `No delivery to the endpoint succeeded for ${FAILING_ENDS_SECONDS / DAY_SECONDS} days.`,
  GONE: 'The receiver responded 410 Gone, which asks for no further deliveries.',
}

const WebhookEndpointStatusRef = builder.enumType('WebhookEndpointStatus', {
  description: 'The state of a webhook endpoint: whether events are sent to it.',
  values: describeValues(endpointStatusDescriptions),
})

const WebhookDisabledReasonRef = builder.enumType('WebhookDisabledReason', {
  description: 'Why a webhook endpoint is DISABLED.',
  values: describeValues(disabledReasonDescriptions),
})

/** A URL that receives events. */
const WebhookEndpointRef = builder.objectRef<WebhookEndpoint>('WebhookEndpoint').implement({
  interfaces: [NodeRef],
  description:
    'A URL that events are sent to as they happen, signed by the Standard Webhooks specification. Each event arrives at least once, in no guaranteed order: deduplicate by the header `webhook-id`, order by `timestamp`.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the webhook endpoint." }),
    url: t.exposeString('url', {
      authScopes: { session: true },
      description: 'The URL that messages are sent to, by POST. It can contain a secret of the receiver.',
    }),
    description: t.exposeString('description', { nullable: true, description: 'A note of the owner; null for none.' }),
    types: t.field({
      type: [EventTypeRef],
      nullable: true,
      description: 'The types of events that are sent to the endpoint; null for all types.',
      resolve: ({ eventTypes }) => eventTypes,
    }),
    status: t.expose('status', {
      type: WebhookEndpointStatusRef,
      description: 'Whether events are sent to the endpoint.',
    }),
    disabledReason: t.expose('disabledReason', {
      type: WebhookDisabledReasonRef,
      nullable: true,
      description: 'Why the endpoint is DISABLED; null while it is ENABLED.',
    }),
    failingSince: t.expose('failingSince', {
      type: 'DateTime',
      nullable: true,
      description: `When deliveries to the endpoint began to fail; null when the last one succeeded. After ${FAILING_ENDS_SECONDS / DAY_SECONDS} days without a success the endpoint is disabled.`,
    }),
    slowUntil: t.expose('slowUntil', {
      type: 'DateTime',
      nullable: true,
      description: `Until when deliveries to the endpoint wait for the workers of slow receivers: ${SLOW_LANE_SECONDS / 60} minutes after its last response that took longer than ${productionTiming.webhookPromptSeconds} s. Null when there was none.`,
    }),
    previousSecretEndsAt: t.expose('previousSecretEndsAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When the secret before the last rotation stops signing messages beside the new one; null when the secret was never rotated.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the endpoint was created.' }),
  }),
})

/** The field `webhookEndpoints` of the root and of `User`. */
export const webhookEndpointsField = (t: ViewerFields) =>
  t.field({
    type: [WebhookEndpointRef],
    authScopes: { scope: 'events:read' },
    description: "The viewer's webhook endpoints, oldest first.",
    resolve: (_, _args, context) => listWebhookEndpoints(context.deps, getUser(context).id),
  })

builder.queryField('webhookEndpoints', (t) => webhookEndpointsField(t))

const urlDescription =
  'An https URL whose host has public addresses only, at port 443 or 8443, without user name and password. Redirects are not followed.'

const CreateWebhookEndpointInput = builder.inputType('CreateWebhookEndpointInput', {
  description: 'The settings of a new webhook endpoint.',
  fields: (t) => ({
    url: t.string({ required: true, description: urlDescription }),
    description: t.string({ description: 'A note for yourself, up to 200 characters.' }),
    types: t.field({ type: [EventTypeRef], description: 'The types of events to send. Default: all types.' }),
  }),
})

const UpdateWebhookEndpointInput = builder.inputType('UpdateWebhookEndpointInput', {
  description: 'The changes to a webhook endpoint. Fields that are left out stay as they are.',
  fields: (t) => ({
    webhookEndpointId: t.id({ required: true, description: 'The `WebhookEndpoint.id` of the webhook endpoint.' }),
    url: t.string({ description: urlDescription }),
    description: t.string({ description: 'A note for yourself, up to 200 characters; null removes it.' }),
    types: t.field({ type: [EventTypeRef], description: 'The types of events to send; null for all types.' }),
    enabled: t.boolean({
      description:
        'True enables the endpoint, also after it was disabled for failing: events from now on are sent. False disables it: nothing is sent, and PENDING deliveries become DEAD.',
    }),
  }),
})

const inputWithEndpoint = (name: string, description: string) =>
  builder.inputType(name, {
    description,
    fields: (t) => ({
      webhookEndpointId: t.id({ required: true, description: 'The `WebhookEndpoint.id` of the webhook endpoint.' }),
    }),
  })
const RotateWebhookSecretInput = inputWithEndpoint(
  'RotateWebhookSecretInput',
  'The webhook endpoint whose secret is replaced.',
)
const DeleteWebhookEndpointInput = inputWithEndpoint('DeleteWebhookEndpointInput', 'The webhook endpoint to delete.')
const TestWebhookEndpointInput = inputWithEndpoint(
  'TestWebhookEndpointInput',
  'The webhook endpoint to send a test event to.',
)

type WithSecret = { endpoint: WebhookEndpoint; secret: string }

const secretPayload = (mutation: string, name: string) =>
  payloadRef<WithSecret>(name).implement({
    description: `The result of \`${mutation}\`.`,
    fields: (t) => ({
      webhookEndpoint: t.field({
        type: WebhookEndpointRef,
        nullable: true,
        description: 'The webhook endpoint; null when there are userErrors.',
        resolve: ({ thing }) => thing?.endpoint ?? null,
      }),
      secret: t.string({
        nullable: true,
        description:
          'The secret that signs messages: `whsec_` and base64. Store it, since it is never shown again. Null when there are userErrors.',
        resolve: ({ thing }) => thing?.secret ?? null,
      }),
    }),
  })
const CreateWebhookEndpointPayloadRef = secretPayload('createWebhookEndpoint', 'CreateWebhookEndpointPayload')
const RotateWebhookSecretPayloadRef = secretPayload('rotateWebhookSecret', 'RotateWebhookSecretPayload')

const endpointPayload = (mutation: string, name: string, description: string) =>
  payloadRef<WebhookEndpoint>(name).implement({
    description: `The result of \`${mutation}\`.`,
    fields: (t) => ({
      webhookEndpoint: t.field({
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
  'The changed webhook endpoint; null when there are userErrors.',
)
const DeleteWebhookEndpointPayloadRef = payloadRef<WebhookEndpoint>('DeleteWebhookEndpointPayload').implement({
  description: 'The result of `deleteWebhookEndpoint`.',
  fields: (t) => ({
    deletedWebhookEndpointId: t.id({
      nullable: true,
      description: 'The id of the webhook endpoint that was deleted; null when there are userErrors.',
      resolve: ({ thing }) => thing?.id ?? null,
    }),
  }),
})
const TestWebhookEndpointPayloadRef = endpointPayload(
  'testWebhookEndpoint',
  'TestWebhookEndpointPayload',
  'The webhook endpoint; null when there are userErrors. `webhookDeliveries` shows the outcome of the delivery.',
)

builder.mutationFields((t) => ({
  createWebhookEndpoint: t.field({
    type: CreateWebhookEndpointPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 1, callsService: true }),
    description: `Creates a webhook endpoint. Events from now on are sent to it. A user may have up to ${defaultUserLimits.webhookEndpoints}, unless the operator has set another limit (TOO_MANY_WEBHOOK_ENDPOINTS), each with up to ${MAX_PENDING_DELIVERIES.toLocaleString('en')} PENDING deliveries: further ones are DEAD at once, with \`lastError: TOO_MANY_PENDING\`. Consumes from the limit \`change\` (RATE_LIMITED).`,
    args: {
      input: t.arg({
        type: CreateWebhookEndpointInput,
        required: true,
        description: 'The settings of the new endpoint.',
      }),
    },
    resolve: (_, { input }, context) =>
      toPayload(async () => {
        await consumeChange(context)
        return createWebhookEndpoint(context.deps, getSession(context).user.id, {
          url: input.url,
          description: input.description ?? null,
          types: input.types ?? null,
        })
      }),
  }),
  updateWebhookEndpoint: t.field({
    type: UpdateWebhookEndpointPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 1, callsService: true }),
    description: 'Changes a webhook endpoint, disables it, or enables it again. Its secret stays the same.',
    args: {
      input: t.arg({ type: UpdateWebhookEndpointInput, required: true, description: 'The endpoint and its changes.' }),
    },
    resolve: (_, { input: { webhookEndpointId, url, description, types, enabled } }, context) =>
      toPayload(() =>
        updateWebhookEndpoint(context.deps, getSession(context).user.id, webhookEndpointId, {
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
    complexity: mutationComplexity({ rows: 1 }),
    description: `Replaces the secret of a webhook endpoint. For ${SECRET_OVERLAP_SECONDS / 3600} hours messages carry two signatures, by the old secret and by the new one.`,
    args: {
      input: t.arg({
        type: RotateWebhookSecretInput,
        required: true,
        description: 'The endpoint whose secret is replaced.',
      }),
    },
    resolve: (_, { input }, context) =>
      toPayload(() => rotateWebhookSecret(context.deps, getSession(context).user.id, input.webhookEndpointId)),
  }),
  deleteWebhookEndpoint: t.field({
    type: DeleteWebhookEndpointPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 2 }),
    description: 'Deletes a webhook endpoint with all its deliveries. PENDING deliveries are no longer sent.',
    args: {
      input: t.arg({ type: DeleteWebhookEndpointInput, required: true, description: 'The endpoint to delete.' }),
    },
    resolve: (_, { input }, context) =>
      toPayload(() => deleteWebhookEndpoint(context.deps, getSession(context).user.id, input.webhookEndpointId)),
  }),
  testWebhookEndpoint: t.field({
    type: TestWebhookEndpointPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 0, events: 1, callsService: true }),
    description:
      'Sends the event `webhook.test` to a webhook endpoint, also when its `types` leave that out. Consumes from the limit `change` (RATE_LIMITED).',
    args: {
      input: t.arg({
        type: TestWebhookEndpointInput,
        required: true,
        description: 'The endpoint to send the test to.',
      }),
    },
    resolve: (_, { input }, context) =>
      toPayload(async () => {
        await consumeChange(context)
        return testWebhookEndpoint(context.deps, getSession(context).user.id, input.webhookEndpointId)
      }),
  }),
}))
