import {
  type ApiToken,
  apiTokenStatus,
  createApiToken,
  DEFAULT_EXPIRY_DAYS,
  listApiTokens,
  MAX_EXPIRY_DAYS,
  MAX_LIVE_TOKENS,
  revokeApiToken,
} from '../../auth/api-token.ts'
import { apiScopes } from '../../db/tables.ts'
import { builder } from '../builder.ts'
import { getRecentSession, getSession } from '../context.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { NodeRef } from './node-interface.ts'

const ApiTokenStatusRef = builder.enumType('ApiTokenStatus', {
  description: 'Whether an API token is good.',
  values: {
    ACTIVE: { description: 'It is.' },
    EXPIRED: { description: 'Its time is over.' },
    REVOKED: { description: 'It was revoked, by the user or by whoever found it.' },
  },
})

/** An API token, without its secret. */
export const ApiTokenRef = builder.objectRef<ApiToken>('ApiToken').implement({
  interfaces: [NodeRef],
  description:
    'What a program of the user shows to be let in, as "Authorization: Bearer xcg_…". The API tells of it, but not its secret.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Our id, for revoking it.' }),
    name: t.exposeString('name', { description: 'What the user calls it.' }),
    prefix: t.exposeString('prefix', { description: 'How the secret begins.' }),
    lastFour: t.exposeString('lastFour', { description: 'How the secret ends.' }),
    scopes: t.exposeStringList('scopes', { description: 'What it may do.' }),
    status: t.field({
      type: ApiTokenStatusRef,
      description: 'Whether it is good.',
      resolve: (apiToken, _args, { deps }) => apiTokenStatus(deps, apiToken),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When its time is over.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last used, give or take a minute; null when it never was.',
    }),
    revokedAt: t.expose('revokedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was revoked; null when it was not.',
    }),
  }),
})

builder.queryField('apiTokens', (t) =>
  t.field({
    type: [ApiTokenRef],
    authScopes: { session: true },
    description:
      "The viewer's API tokens: those that are good, then those that have ended in the last 30 days, a hundred in all; each kind newest first.",
    complexity: { field: 1, multiplier: MAX_LIVE_TOKENS },
    resolve: (_, _args, context) => listApiTokens(context.deps, { userId: getSession(context).user.id }),
  }),
)

const CreateApiTokenInput = builder.inputType('CreateApiTokenInput', {
  description: 'What the API token is for.',
  fields: (t) => ({
    name: t.string({ required: true, description: 'To know it again in the list: 1 to 100 characters.' }),
    scopes: t.stringList({
      required: true,
      description: `What it may do, at least one of: ${apiScopes.join(', ')}. Ask for what the program needs and no more.`,
    }),
    expiresInDays: t.int({
      description: `In how many days its time is over: 1 to ${MAX_EXPIRY_DAYS}. Default: ${DEFAULT_EXPIRY_DAYS}.`,
    }),
  }),
})

type Created = Awaited<ReturnType<typeof createApiToken>>

const CreateApiTokenPayloadRef = payloadRef<Created>('CreateApiTokenPayload').implement({
  description: 'The answer to `createApiToken`.',
  fields: (t) => ({
    secret: t.string({
      nullable: true,
      description: 'The token itself. This is the only time it is shown. Null when there are userErrors.',
      resolve: ({ thing }) => thing?.secret ?? null,
    }),
    apiToken: t.field({
      type: ApiTokenRef,
      nullable: true,
      description: 'What can be asked about it later; null when there are userErrors.',
      resolve: ({ thing }) => thing?.apiToken ?? null,
    }),
  }),
})

const RevokeApiTokenInput = builder.inputType('RevokeApiTokenInput', {
  description: 'What to revoke.',
  fields: (t) => ({ apiTokenId: t.id({ required: true, description: 'ApiToken.id' }) }),
})

const RevokeApiTokenPayloadRef = payloadRef<ApiToken>('RevokeApiTokenPayload').implement({
  description: 'The answer to `revokeApiToken`.',
  fields: (t) => ({
    apiToken: t.field({
      type: ApiTokenRef,
      nullable: true,
      description: 'The token, now REVOKED; null when it was not found.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationFields((t) => ({
  createApiToken: t.field({
    type: CreateApiTokenPayloadRef,
    nullable: true,
    authScopes: { session: true },
    description: `Makes an API token that acts for the viewer. At most ${MAX_LIVE_TOKENS} can be good at once. Only within ten minutes of signing in: later it answers RECENT_SIGN_IN_REQUIRED.`,
    args: { input: t.arg({ type: CreateApiTokenInput, required: true, description: 'What it is for.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() =>
        createApiToken(
          context.deps,
          { userId: getRecentSession(context).user.id },
          { ...input, expiresInDays: input.expiresInDays ?? null },
        ),
      ),
  }),
  revokeApiToken: t.field({
    type: RevokeApiTokenPayloadRef,
    nullable: true,
    authScopes: { session: true },
    description: 'Ends an API token, at once and for good.',
    args: { input: t.arg({ type: RevokeApiTokenInput, required: true, description: 'What to revoke.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => revokeApiToken(context.deps, { userId: getSession(context).user.id }, input.apiTokenId)),
  }),
}))
