import {
  type ConnectedAccount,
  findConnectedAccount,
  listConnectedAccounts,
  type TokenHealth,
} from '../../accounts/accounts.ts'
import { disconnectAccount } from '../../accounts/disconnect.ts'
import type { accountStatuses, accountStatusReasons, tokenEvents } from '../../db/tables.ts'
import { maxTweetLength } from '../../tweets/tweet-input.ts'
import { missingScopes } from '../../x/scopes.ts'
import { builder, describeValues } from '../builder.ts'
import { getUser } from '../context.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { NodeRef } from './node-interface.ts'

/** Where an account lives. */
export const ProviderRef = builder.enumType('Provider', {
  description: 'Where an account lives.',
  values: { X: { description: 'X, formerly Twitter.' } },
})

const statusDescriptions: Record<(typeof accountStatuses)[number], string> = {
  ACTIVE: 'Everything works.',
  LIMITED: 'Linked, but X did not grant every scope: see `missingScopes`.',
  NEEDS_REAUTH: 'X no longer accepts our grant. Only the user can help, by linking again.',
  DISCONNECTED: 'Unlinked. Kept so that its tweets still say where they were posted.',
}

const reasonDescriptions: Record<(typeof accountStatusReasons)[number], string> = {
  SCOPES_NOT_GRANTED: 'LIMITED: some scopes were not granted.',
  GRANT_REVOKED:
    'NEEDS_REAUTH: the user revoked the app at X, or the account was linked elsewhere with the same X app.',
  REFRESH_LOST: 'NEEDS_REAUTH: a new pair of tokens was lost on its way from X.',
  REFRESH_TOKEN_MISSING:
    'NEEDS_REAUTH: offline.access was not granted, and the access token, good for two hours, has ended.',
  TOKENS_UNREADABLE: 'NEEDS_REAUTH: the stored tokens were altered outside the gateway.',
  DISCONNECTED_BY_USER: 'DISCONNECTED: by the user.',
}

/** How well a link works. */
export const AccountStatusRef = builder.enumType('AccountStatus', {
  description: 'How well a link works.',
  values: describeValues(statusDescriptions),
})

const AccountStatusReasonRef = builder.enumType('AccountStatusReason', {
  description: 'Why a link is not ACTIVE.',
  values: describeValues(reasonDescriptions),
})

const AccountActionRef = builder.enumType('AccountAction', {
  description: 'What the user can do for a link.',
  values: {
    RECONNECT: { description: 'Link again: startXConnect(input: {reconnectAccountId}).' },
    GRANT_SCOPES: { description: 'Link again and approve all scopes: startXConnect(input: {reconnectAccountId}).' },
  },
})

const tokenEventDescriptions: Record<(typeof tokenEvents)[number], string> = {
  ISSUED: 'The user linked the account.',
  REFRESHED: 'X issued a new pair of tokens.',
  RECOVERED: 'A pair that seemed lost was found, or replaced.',
  X_UNAVAILABLE: 'X was down or busy when asked for a new pair. It is tried again by itself.',
  X_CREDENTIALS_REJECTED: "X rejected the gateway's own credentials. The operator has to act, not the user.",
  ANSWER_LOST: 'X was asked for a new pair, and its answer was lost. It is tried again when the current token ends.',
  REFUSED: 'X refused the refresh token for good.',
}

const TokenEventRef = builder.enumType('TokenEvent', {
  description: "What can happen to an account's tokens.",
  values: describeValues(tokenEventDescriptions),
})

const TokenHealthRef = builder.objectRef<TokenHealth>('TokenHealth').implement({
  description:
    'What last happened to the tokens of an account, so that a front end can say "X was down at 10:02, retrying".',
  fields: (t) => ({
    lastEvent: t.expose('lastEvent', { type: TokenEventRef, description: 'What happened last.' }),
    lastEventAt: t.expose('lastEventAt', { type: 'DateTime', description: 'When.' }),
    nextTryAt: t.expose('nextTryAt', {
      type: 'DateTime',
      nullable: true,
      description: 'X is not asked for a new pair before this moment; null when it may be asked at any time.',
    }),
  }),
})

/** A linked X account, as the API shows it. */
export const ConnectedAccountRef = builder.objectRef<ConnectedAccount>('ConnectedAccount').implement({
  interfaces: [NodeRef],
  description: 'An X account that the viewer linked. No token of it ever appears in this API.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Our id of the link. It stays the same when the account is linked again.' }),
    provider: t.field({
      type: ProviderRef,
      description: 'Where the account lives.',
      resolve: ({ provider }) => provider,
    }),
    providerAccountId: t.exposeID('providerAccountId', {
      description: "X's id of the account, a decimal string. It never changes.",
    }),
    username: t.exposeString('username', {
      description: 'The @username as of the last link, without the @. It can change: do not key on it.',
    }),
    displayName: t.exposeString('displayName', { nullable: true, description: 'The name shown at X.' }),
    avatarUrl: t.exposeString('avatarUrl', { nullable: true, description: 'The picture shown at X.' }),
    scopes: t.exposeStringList('scopes', { description: 'The OAuth scopes that X granted.' }),
    missingScopes: t.stringList({
      description: 'What posting with automatic refresh needs and X did not grant. Empty when ACTIVE.',
      resolve: missingScopes,
    }),
    status: t.expose('status', { type: AccountStatusRef, description: 'How well the link works.' }),
    statusReason: t.expose('statusReason', {
      type: AccountStatusReasonRef,
      nullable: true,
      description: 'Why it is not ACTIVE; null when it is.',
    }),
    statusSince: t.expose('statusSince', { type: 'DateTime', description: 'Since when the status holds.' }),
    nextAction: t.field({
      type: AccountActionRef,
      nullable: true,
      description: 'What the user can do; null when there is nothing to do.',
      resolve: ({ status }) => (status === 'NEEDS_REAUTH' ? 'RECONNECT' : status === 'LIMITED' ? 'GRANT_SCOPES' : null),
    }),
    maxTweetLength: t.int({
      description:
        "How long a tweet of this account may be, in X's weighted count: 280, or 25000 with X Premium, as X said when the account was last connected. Connect it again after a change of its subscription.",
      resolve: maxTweetLength,
    }),
    connectedAt: t.expose('connectedAt', { type: 'DateTime', description: 'When the account was linked, last time.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a tweet was last posted; null when none was.',
    }),
    accessTokenExpiresAt: t.expose('accessTokenExpiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the current access token ends. It is refreshed before that by itself; null when disconnected.',
    }),
    tokenHealth: t.expose('tokenHealth', {
      type: TokenHealthRef,
      nullable: true,
      description: 'What last happened to its tokens; null when disconnected.',
    }),
    disconnectedAt: t.expose('disconnectedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the account was unlinked; null while it is linked.',
    }),
  }),
})

builder.queryFields((t) => ({
  connectedAccounts: t.field({
    type: [ConnectedAccountRef],
    authScopes: { scope: 'accounts:read' },
    description: "The viewer's X accounts, the last linked first.",
    args: {
      includeDisconnected: t.arg.boolean({ defaultValue: false, description: 'Also those that were unlinked.' }),
    },
    resolve: (_, { includeDisconnected }, context) =>
      listConnectedAccounts(context.deps, getUser(context).id, {
        includeDisconnected: includeDisconnected ?? false,
      }),
  }),
  connectedAccount: t.field({
    type: ConnectedAccountRef,
    nullable: true,
    authScopes: { scope: 'accounts:read' },
    description: "One of the viewer's accounts; null when there is none with this id.",
    args: { accountId: t.arg.id({ required: true, description: 'ConnectedAccount.id' }) },
    resolve: (_, { accountId }, context) => findConnectedAccount(context.deps, getUser(context).id, accountId),
  }),
}))

const DisconnectAccountInput = builder.inputType('DisconnectAccountInput', {
  description: 'What to unlink.',
  fields: (t) => ({ accountId: t.id({ required: true, description: 'ConnectedAccount.id' }) }),
})

const DisconnectAccountPayloadRef = payloadRef<ConnectedAccount>('DisconnectAccountPayload').implement({
  description: 'The answer to `disconnectAccount`.',
  fields: (t) => ({
    account: t.field({
      type: ConnectedAccountRef,
      nullable: true,
      description: 'The account, now DISCONNECTED; null when it was not found.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('disconnectAccount', (t) =>
  t.field({
    type: DisconnectAccountPayloadRef,
    nullable: true,
    authScopes: { scope: 'accounts:write' },
    description:
      'Unlinks an account. Its tokens are deleted here at once; the grant is revoked at X in the background, also when X is down just now.',
    args: { input: t.arg({ type: DisconnectAccountInput, required: true, description: 'What to unlink.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => disconnectAccount(context.deps, getUser(context).id, input.accountId)),
  }),
)
