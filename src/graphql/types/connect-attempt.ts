import { recordedError } from '../../accounts/complete-connection.ts'
import { findConnectAttempt, startXConnect } from '../../accounts/connect.ts'
import { type ConnectAttempt, isExpired } from '../../auth/connect-attempt.ts'
import { builder } from '../builder.ts'
import { getSession, getUser } from '../context.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload, toUserError, UserErrorRef } from '../payload.ts'
import { ConnectedAccountRef } from './connected-account.ts'
import { NodeRef } from './node-interface.ts'

const ConnectAttemptStatusRef = builder.enumType('ConnectAttemptStatus', {
  description: 'The state of a connect attempt.',
  values: {
    PENDING: { description: 'The user is at X, or has just come back and the account is being connected.' },
    WAITING: {
      description:
        'The user has approved, and X cannot say at the moment whose account it is: see `error`. The gateway asks X again by itself; the user need not come back.',
    },
    SUCCEEDED: { description: 'The account is connected: see `account`.' },
    FAILED: { description: 'No account was connected: see `error`.' },
    EXPIRED: { description: 'The user did not come back within ten minutes.' },
  },
})

/** One attempt to connect an X account. */
export const ConnectAttemptRef = builder.objectRef<ConnectAttempt>('ConnectAttempt').implement({
  interfaces: [NodeRef],
  description: 'One attempt to connect an X account. It is kept for a day.',
  fields: (t) => ({
    id: t.exposeID('id', {
      description: 'The id of the attempt, also in the parameter `attempt` of the URL that the user comes back to.',
    }),
    status: t.field({
      type: ConnectAttemptStatusRef,
      description: 'The state of the attempt.',
      resolve: (attempt, _args, { deps }) => (isExpired(deps, attempt) ? 'EXPIRED' : attempt.status),
    }),
    error: t.field({
      type: UserErrorRef,
      nullable: true,
      description: 'The reason of a FAILED attempt, or what a WAITING one waits for, with `retryAt`; null otherwise.',
      resolve: (attempt) => {
        const error = recordedError(attempt)
        return error === null ? null : toUserError(error)
      },
    }),
    account: t.field({
      type: ConnectedAccountRef,
      nullable: true,
      authScopes: { scope: 'accounts:read' },
      description: 'The connected account; null unless SUCCEEDED.',
      resolve: ({ accountId }, _args, { accounts }) => (accountId === null ? null : accounts.load(accountId)),
    }),
    scopes: t.exposeStringList('scopes', { description: 'The OAuth scopes that were requested from X.' }),
    expectedUsername: t.exposeString('expectedUsername', {
      nullable: true,
      description:
        'The username of the only account that the attempt may connect; null when any account may be connected.',
    }),
    returnTo: t.exposeString('returnTo', {
      nullable: true,
      description: 'The URL that the user is sent to after X; null for the console.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the attempt was started.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'When the attempt ends unless the user has come back from X.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the attempt ended; null while PENDING or WAITING.',
    }),
  }),
})

builder.queryField('connectAttempt', (t) =>
  t.field({
    type: ConnectAttemptRef,
    nullable: true,
    authScopes: { scope: 'accounts:read' },
    description: 'One connect attempt of the viewer; null when there is none with this id.',
    args: {
      connectAttemptId: t.arg.id({ required: true, description: 'The `ConnectAttempt.id` of the connect attempt.' }),
    },
    resolve: (_, { connectAttemptId }, context) =>
      findConnectAttempt(context.deps, getUser(context).id, connectAttemptId),
  }),
)

const StartXConnectInput = builder.inputType('StartXConnectInput', {
  description: 'The options of a new connection. All of them are optional.',
  fields: (t) => ({
    returnTo: t.string({
      description:
        'The place to send the user to after X: a path of this gateway, or a URL of an origin that the operator listed. The URL gets the parameters xConnect=connected|waiting|failed, code and attempt. Default: the console.',
    }),
    scopes: t.stringList({
      description:
        'The OAuth scopes to request from X. Default: tweet.read, tweet.write, users.read, offline.access. tweet.read and users.read are always requested.',
    }),
    expectedUsername: t.string({
      description:
        'Connect only the account with this @username. X has no account chooser: it takes the account that the browser is signed in to there.',
    }),
    reconnectAccountId: t.id({ description: 'A `ConnectedAccount.id`: connect this account again, and no other.' }),
  }),
})

type Started = Awaited<ReturnType<typeof startXConnect>>

const StartXConnectPayloadRef = payloadRef<Started>('StartXConnectPayload').implement({
  description: 'The result of `startXConnect`.',
  fields: (t) => ({
    authorizationUrl: t.string({
      nullable: true,
      description: 'The URL at X to open in the same browser within ten minutes; null when there are userErrors.',
      resolve: ({ thing }) => thing?.authorizationUrl ?? null,
    }),
    connectAttempt: t.field({
      type: ConnectAttemptRef,
      nullable: true,
      description: 'The started attempt, whose state `connectAttempt` returns later; null when there are userErrors.',
      resolve: ({ thing }) => thing?.attempt ?? null,
    }),
  }),
})

builder.mutationField('startXConnect', (t) =>
  t.field({
    type: StartXConnectPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 2 }),
    description:
      'Starts to connect an X account. Send the user to `authorizationUrl` in the browser that has this session: no other session can finish the attempt.',
    args: { input: t.arg({ type: StartXConnectInput, description: 'The options of the connection.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() =>
        startXConnect(context.deps, getSession(context), {
          returnTo: input?.returnTo ?? null,
          scopes: input?.scopes ?? null,
          expectedUsername: input?.expectedUsername ?? null,
          reconnectAccountId: input?.reconnectAccountId ?? null,
        }),
      ),
  }),
)
