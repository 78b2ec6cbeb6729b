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
import { builder, describeValues, type ViewerFields } from '../builder.ts'
import { getUser } from '../context.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { NodeRef } from './node-interface.ts'

/** The service that an account belongs to. */
export const ProviderRef = builder.enumType('Provider', {
  description: 'The service that an account belongs to.',
  values: { X: { description: 'X, formerly Twitter.' } },
})

const statusDescriptions: Record<(typeof accountStatuses)[number], string> = {
  ACTIVE: 'The connection works.',
  LIMITED: 'The account is connected, but X did not grant every scope: see `missingScopes`.',
  NEEDS_REAUTH:
    'X no longer accepts the tokens. Only the user can repair the connection, by connecting the account again.',
  DISCONNECTED: 'The account was disconnected. The gateway keeps it without tokens, so that its tweets still name it.',
}

const reasonDescriptions: Record<(typeof accountStatusReasons)[number], string> = {
  SCOPES_NOT_GRANTED: 'LIMITED: some scopes were not granted.',
  GRANT_REVOKED:
    'NEEDS_REAUTH: the user revoked the app at X, or the account was connected elsewhere with the same X app.',
  REFRESH_LOST: 'NEEDS_REAUTH: X refreshed the tokens, and its response with the new pair was lost.',
  DATABASE_RESTORED:
    "NEEDS_REAUTH: the gateway's database was restored from a backup, and X had refreshed the tokens since that was made.",
  REFRESH_TOKEN_MISSING:
    'NEEDS_REAUTH: offline.access was not granted, and the access token, good for two hours, has ended.',
  TOKENS_UNREADABLE: 'NEEDS_REAUTH: the stored tokens were altered outside the gateway.',
  DISCONNECTED_BY_USER: 'DISCONNECTED: by the user.',
  DISCONNECTED_BY_OPERATOR: 'DISCONNECTED: by the operator of this gateway.',
}

/** The state of a connection. */
export const AccountStatusRef = builder.enumType('AccountStatus', {
  description: 'The state of a connection.',
  values: describeValues(statusDescriptions),
})

/** The reason why a connection is not ACTIVE. */
export const AccountStatusReasonRef = builder.enumType('AccountStatusReason', {
  description: 'The reason why a connection is not ACTIVE.',
  values: describeValues(reasonDescriptions),
})

const AccountActionRef = builder.enumType('AccountAction', {
  description: 'The action by which the user repairs a connection.',
  values: {
    RECONNECT: { description: 'Connect the account again: startXConnect(input: {reconnectAccountId}).' },
    GRANT_SCOPES: {
      description: 'Connect the account again and approve all scopes: startXConnect(input: {reconnectAccountId}).',
    },
  },
})

const tokenEventDescriptions: Record<(typeof tokenEvents)[number], string> = {
  ISSUED: 'The user connected the account.',
  REFRESHED: 'X issued a new pair of tokens.',
  RECOVERED: 'A token pair that seemed lost was found, or replaced.',
  X_UNAVAILABLE: 'X was down or busy when it was asked for new tokens. The gateway tries again by itself.',
  X_CREDENTIALS_REJECTED: "X rejected the gateway's own credentials. The operator has to act, not the user.",
  RESPONSE_LOST:
    'X was asked for new tokens, and its response was lost. The gateway tries again when the current access token ends.',
  REFUSED: 'X refused the refresh token for good.',
}

const TokenEventRef = builder.enumType('TokenEvent', {
  description: 'An event in the life of the tokens of an account.',
  values: describeValues(tokenEventDescriptions),
})

const TokenHealthRef = builder.objectRef<TokenHealth>('TokenHealth').implement({
  description:
    'The last event of the tokens of an account, so that a front end can say "X was down at 10:02, retrying".',
  fields: (t) => ({
    lastEvent: t.expose('lastEvent', { type: TokenEventRef, description: 'The last event.' }),
    lastEventAt: t.expose('lastEventAt', { type: 'DateTime', description: 'When the last event happened.' }),
    nextTryAt: t.expose('nextTryAt', {
      type: 'DateTime',
      nullable: true,
      description: 'X is not asked for a new pair before this moment; null when it may be asked at any time.',
    }),
  }),
})

/** A connected X account, as the API shows it. */
export const ConnectedAccountRef = builder.objectRef<ConnectedAccount>('ConnectedAccount').implement({
  interfaces: [NodeRef],
  description: 'An X account that the viewer has connected. The API never returns its tokens.',
  fields: (t) => ({
    id: t.exposeID('id', {
      description: "The gateway's id of the account. It stays the same when the account is connected again.",
    }),
    provider: t.field({
      type: ProviderRef,
      description: 'The service that the account belongs to.',
      resolve: ({ provider }) => provider,
    }),
    providerAccountId: t.exposeID('providerAccountId', {
      description: "X's id of the account, a decimal string. It never changes.",
    }),
    username: t.exposeString('username', {
      description:
        'The @username at the last connection, without the @. It can change: use `providerAccountId` as a key.',
    }),
    displayName: t.exposeString('displayName', {
      nullable: true,
      description: 'The display name at X at the last connection; null when X gave none.',
    }),
    avatarUrl: t.exposeString('avatarUrl', {
      nullable: true,
      description: 'The URL of the picture at X at the last connection; null when X gave none.',
    }),
    scopes: t.exposeStringList('scopes', { description: 'The OAuth scopes that X granted.' }),
    missingScopes: t.stringList({
      description: 'The scopes that posting and automatic refreshes need and that X did not grant. Empty when ACTIVE.',
      resolve: missingScopes,
    }),
    status: t.expose('status', { type: AccountStatusRef, description: 'The state of the connection.' }),
    statusReason: t.expose('statusReason', {
      type: AccountStatusReasonRef,
      nullable: true,
      description: 'The reason why the connection is not ACTIVE; null when it is.',
    }),
    statusSince: t.expose('statusSince', { type: 'DateTime', description: 'When the status was set.' }),
    nextAction: t.field({
      type: AccountActionRef,
      nullable: true,
      description: 'The action by which the user repairs the connection; null when nothing is to be done.',
      resolve: ({ status }) => (status === 'NEEDS_REAUTH' ? 'RECONNECT' : status === 'LIMITED' ? 'GRANT_SCOPES' : null),
    }),
    maxTweetLength: t.int({
      description:
        "The longest tweet of this account, in X's weighted count: 280, or 25000 with X Premium, as X said at the last connection. Connect the account again after a change of its subscription.",
      resolve: maxTweetLength,
    }),
    connectedAt: t.expose('connectedAt', { type: 'DateTime', description: 'When the account was last connected.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a tweet was last posted with the account; null when none was.',
    }),
    accessTokenExpiresAt: t.expose('accessTokenExpiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the current access token expires. The gateway refreshes it before; null when DISCONNECTED.',
    }),
    tokenHealth: t.expose('tokenHealth', {
      type: TokenHealthRef,
      nullable: true,
      description: 'The last event of its tokens; null when DISCONNECTED.',
    }),
    disconnectedAt: t.expose('disconnectedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the account was disconnected; null while it is connected.',
    }),
  }),
})

/** The field `connectedAccounts` of the root and of `User`. */
export const connectedAccountsField = (t: ViewerFields) =>
  t.field({
    type: [ConnectedAccountRef],
    authScopes: { scope: 'accounts:read' },
    description: "The viewer's X accounts, the last connected first.",
    args: {
      includeDisconnected: t.arg.boolean({
        defaultValue: false,
        description: 'True for disconnected accounts as well.',
      }),
    },
    resolve: (_, { includeDisconnected }, context) =>
      listConnectedAccounts(context.deps, getUser(context).id, {
        includeDisconnected: includeDisconnected ?? false,
      }),
  })

builder.queryFields((t) => ({
  connectedAccounts: connectedAccountsField(t),
  connectedAccount: t.field({
    type: ConnectedAccountRef,
    nullable: true,
    authScopes: { scope: 'accounts:read' },
    description: "One of the viewer's accounts; null when there is none with this id.",
    args: { accountId: t.arg.id({ required: true, description: 'The `ConnectedAccount.id` of the account.' }) },
    resolve: (_, { accountId }, context) => findConnectedAccount(context.deps, getUser(context).id, accountId),
  }),
}))

const DisconnectAccountInput = builder.inputType('DisconnectAccountInput', {
  description: 'The account to disconnect.',
  fields: (t) => ({ accountId: t.id({ required: true, description: 'The `ConnectedAccount.id` of the account.' }) }),
})

const DisconnectAccountPayloadRef = payloadRef<ConnectedAccount>('DisconnectAccountPayload').implement({
  description: 'The result of `disconnectAccount`.',
  fields: (t) => ({
    account: t.field({
      type: ConnectedAccountRef,
      nullable: true,
      description: 'The account, now DISCONNECTED; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('disconnectAccount', (t) =>
  t.field({
    type: DisconnectAccountPayloadRef,
    nullable: true,
    authScopes: { scope: 'accounts:write' },
    complexity: mutationComplexity({ rows: 10, events: 1 }),
    description:
      'Disconnects an account. The gateway deletes its tokens at once, and revokes the grant at X in the background. While X is down, it keeps trying.',
    args: { input: t.arg({ type: DisconnectAccountInput, required: true, description: 'The account to disconnect.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => disconnectAccount(context.deps, getUser(context).id, input.accountId)),
  }),
)
