import { type AdminAccount, disconnectUserAccount } from '../../administration/accounts.ts'
import { builder } from '../builder.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { actorOf } from './admin-user.ts'
import { AccountStatusReasonRef, AccountStatusRef, ProviderRef } from './connected-account.ts'

/** An X account, as the operator sees it. */
export const AdminAccountRef = builder.objectRef<AdminAccount>('AdminAccount').implement({
  description: 'An X account that a user has connected, as the operator of the gateway sees it.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the account, as in events and in the log." }),
    userId: t.exposeID('userId', { description: 'The `AdminUser.id` of its user.' }),
    provider: t.expose('provider', { type: ProviderRef, description: 'The service that the account belongs to.' }),
    providerAccountId: t.exposeID('providerAccountId', { description: "X's id of the account, a decimal string." }),
    username: t.exposeString('username', {
      description: 'The @username at the last connection, without the @. It can change.',
    }),
    status: t.expose('status', { type: AccountStatusRef, description: 'The state of the connection.' }),
    statusReason: t.expose('statusReason', {
      type: AccountStatusReasonRef,
      nullable: true,
      description: 'Why the connection is in this state; null when it is ACTIVE.',
    }),
    statusSince: t.expose('statusSince', {
      type: 'DateTime',
      description: 'When the connection came into this state.',
    }),
    scopes: t.exposeStringList('scopes', { description: 'The scopes that X granted.' }),
    connectedAt: t.expose('connectedAt', { type: 'DateTime', description: 'When the account was last connected.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the gateway last made a call to X with the tokens of this account; null when it never has.',
    }),
    disconnectedAt: t.expose('disconnectedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the account was disconnected; null when it is connected.',
    }),
  }),
})

const DisconnectUserAccountInput = builder.inputType('DisconnectUserAccountInput', {
  description: 'The account to disconnect.',
  fields: (t) => ({ accountId: t.id({ required: true, description: 'The id of the account.' }) }),
})

const DisconnectUserAccountPayloadRef = payloadRef<AdminAccount>('DisconnectUserAccountPayload').implement({
  description: 'The result of `disconnectUserAccount`.',
  fields: (t) => ({
    account: t.field({
      type: AdminAccountRef,
      nullable: true,
      description: 'The disconnected account; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('disconnectUserAccount', (t) =>
  t.field({
    type: DisconnectUserAccountPayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    complexity: mutationComplexity({ rows: 10, events: 3 }),
    description:
      'Disconnects the account of a user, as `disconnectAccount` does for themselves: deletes its tokens at once, and has its grant revoked at X. A disconnected account stays disconnected until its user connects it again. Recorded as OPERATOR_ACCOUNT_DISCONNECTED, and as ACCOUNT_DISCONNECTED with the reason DISCONNECTED_BY_OPERATOR. Fails with ACCOUNT_NOT_FOUND.',
    args: {
      input: t.arg({ type: DisconnectUserAccountInput, required: true, description: 'The account to disconnect.' }),
    },
    resolve: (_, { input }, context) =>
      toPayload(() => disconnectUserAccount(context.deps, actorOf(context), String(input.accountId))),
  }),
)
