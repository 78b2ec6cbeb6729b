import {
  type ApiToken,
  apiTokenStatus,
  createApiToken,
  DEFAULT_EXPIRY_DAYS,
  listApiTokens,
  MAX_ENDED_TOKENS,
  MAX_EXPIRY_DAYS,
  revokeApiToken,
} from '../../auth/api-token.ts'
import { defaultUserLimits } from '../../config/user-limits.ts'
import { apiScopes } from '../../db/tables.ts'
import { builder, type ViewerFields } from '../builder.ts'
import { consumeChange, getRecentSession, getSession } from '../context.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { NodeRef } from './node-interface.ts'

const ApiTokenStatusRef = builder.enumType('ApiTokenStatus', {
  description: 'The state of an API token.',
  values: {
    ACTIVE: { description: 'The API token is valid.' },
    EXPIRED: { description: 'The API token has expired.' },
    REVOKED: { description: 'The API token was revoked, by its user or with its secret at /auth/token/revoke.' },
  },
})

/** An API token, without its secret. */
const ApiTokenRef = builder.objectRef<ApiToken>('ApiToken').implement({
  interfaces: [NodeRef],
  description:
    'A credential with which a program acts for the user, sent as "Authorization: Bearer xcg_…". Its secret is shown only once, by `createApiToken`.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the API token." }),
    name: t.exposeString('name', { description: 'The name that the user gave the API token.' }),
    prefix: t.exposeString('prefix', { description: 'The first characters of the secret.' }),
    lastFour: t.exposeString('lastFour', { description: 'The last four characters of the secret.' }),
    scopes: t.exposeStringList('scopes', { description: 'The scopes of the API token.' }),
    status: t.field({
      type: ApiTokenStatusRef,
      description: 'The state of the API token.',
      resolve: (apiToken, _args, { deps }) => apiTokenStatus(deps, apiToken),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the API token was created.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When the API token expires.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the API token was last used, to the minute; null when it never was.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the API token was revoked; null when it was not.',
    }),
  }),
})

/** The field `apiTokens` of the root and of `User`. */
export const apiTokensField = (t: ViewerFields) =>
  t.field({
    type: [ApiTokenRef],
    authScopes: { session: true },
    description: `The viewer's API tokens: the active ones, then those that expired or were revoked in the last 30 days, ${MAX_ENDED_TOKENS} of them at most; each group newest first.`,
    complexity: { field: 1, multiplier: defaultUserLimits.apiTokens + MAX_ENDED_TOKENS },
    resolve: (_, _args, context) => listApiTokens(context.deps, { userId: getSession(context).user.id }),
  })

builder.queryField('apiTokens', (t) => apiTokensField(t))

const CreateApiTokenInput = builder.inputType('CreateApiTokenInput', {
  description: 'The settings of a new API token.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'A name to recognize the API token by, 1 to 100 characters.' }),
    scopes: t.stringList({
      required: true,
      description: `The scopes of the API token, at least one of: ${apiScopes.join(', ')}. Give the program no more than it requires.`,
    }),
    expiresInDays: t.int({
      description: `The number of days after which the API token expires: 1 to ${MAX_EXPIRY_DAYS}. Default: ${DEFAULT_EXPIRY_DAYS}.`,
    }),
  }),
})

type Created = Awaited<ReturnType<typeof createApiToken>>

const CreateApiTokenPayloadRef = payloadRef<Created>('CreateApiTokenPayload').implement({
  description: 'The result of `createApiToken`.',
  fields: (t) => ({
    secret: t.string({
      nullable: true,
      description: 'The secret of the API token. It is shown only this once. Null when there are userErrors.',
      resolve: ({ thing }) => thing?.secret ?? null,
    }),
    apiToken: t.field({
      type: ApiTokenRef,
      nullable: true,
      description: 'The new API token; null when there are userErrors.',
      resolve: ({ thing }) => thing?.apiToken ?? null,
    }),
  }),
})

const RevokeApiTokenInput = builder.inputType('RevokeApiTokenInput', {
  description: 'The API token to revoke.',
  fields: (t) => ({ apiTokenId: t.id({ required: true, description: 'The `ApiToken.id` of the API token.' }) }),
})

const RevokeApiTokenPayloadRef = payloadRef<ApiToken>('RevokeApiTokenPayload').implement({
  description: 'The result of `revokeApiToken`.',
  fields: (t) => ({
    apiToken: t.field({
      type: ApiTokenRef,
      nullable: true,
      description: 'The API token, now REVOKED; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationFields((t) => ({
  createApiToken: t.field({
    type: CreateApiTokenPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 1, events: 1 }),
    description: `Creates an API token that acts for the viewer. Up to ${defaultUserLimits.apiTokens} can be active at once, unless the operator has set another limit (TOO_MANY_API_TOKENS). Consumes from the limit \`change\` (RATE_LIMITED). Requires a sign-in within the last ten minutes, and fails with RECENT_SIGN_IN_REQUIRED otherwise.`,
    args: {
      input: t.arg({ type: CreateApiTokenInput, required: true, description: 'The settings of the API token.' }),
    },
    resolve: (_, { input }, context) =>
      toPayload(async () => {
        const { user } = getRecentSession(context)
        await consumeChange(context)
        return createApiToken(
          context.deps,
          { userId: user.id },
          { ...input, expiresInDays: input.expiresInDays ?? null },
        )
      }),
  }),
  revokeApiToken: t.field({
    type: RevokeApiTokenPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 1, events: 1 }),
    description: 'Revokes an API token, immediately and permanently.',
    args: { input: t.arg({ type: RevokeApiTokenInput, required: true, description: 'The API token to revoke.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => revokeApiToken(context.deps, { userId: getSession(context).user.id }, input.apiTokenId)),
  }),
}))
