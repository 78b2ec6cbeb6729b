import { recordedError } from '../../accounts/complete-connection.ts'
import { findConnectAttempt, startXConnect } from '../../accounts/connect.ts'
import { type ConnectAttempt, isExpired } from '../../auth/oauth-attempt.ts'
import { builder } from '../builder.ts'
import { getSession, getUser } from '../context.ts'
import { payloadRef, toPayload, toUserError, UserErrorRef } from '../payload.ts'
import { ConnectedAccountRef } from './connected-account.ts'
import { NodeRef } from './node-interface.ts'

const ConnectAttemptStatusRef = builder.enumType('ConnectAttemptStatus', {
  description: 'How far an attempt has come.',
  values: {
    PENDING: { description: 'The user has not come back from X yet, or has, and the link is being made.' },
    WAITING: {
      description:
        'The user has approved, and X cannot say just now whose account it is: see `error`. The gateway asks again by itself; the user need not come back.',
    },
    SUCCEEDED: { description: 'The account is linked: see `account`.' },
    FAILED: { description: 'Nothing was linked: see `error`.' },
    EXPIRED: { description: 'The user did not come back within ten minutes.' },
  },
})

/** One attempt to connect an X account. */
export const ConnectAttemptRef = builder.objectRef<ConnectAttempt>('ConnectAttempt').implement({
  interfaces: [NodeRef],
  description: 'One try at linking an X account. Can be asked for during a day.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Also in the `attempt` parameter of the URL that the user comes back to.' }),
    status: t.field({
      type: ConnectAttemptStatusRef,
      description: 'How far it has come.',
      resolve: (attempt, _args, { deps }) => (isExpired(deps, attempt) ? 'EXPIRED' : attempt.status),
    }),
    error: t.field({
      type: UserErrorRef,
      nullable: true,
      description: 'Why it failed, or while WAITING what it waits for, with `retryAt`; null otherwise.',
      resolve: (attempt) => {
        const error = recordedError(attempt)
        return error === null ? null : toUserError(error)
      },
    }),
    account: t.field({
      type: ConnectedAccountRef,
      nullable: true,
      authScopes: { scope: 'accounts:read' },
      description: 'The linked account; null unless SUCCEEDED.',
      resolve: ({ accountId }, _args, { accounts }) => (accountId === null ? null : accounts.load(accountId)),
    }),
    scopes: t.exposeStringList('scopes', { description: 'The scopes asked for.' }),
    expectedUsername: t.exposeString('expectedUsername', {
      nullable: true,
      description: 'The account asked for, if one was.',
    }),
    returnTo: t.exposeString('returnTo', {
      nullable: true,
      description: 'Where the user is sent afterwards; null for the console.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was started.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'When it is void if the user has not come back.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it ended; null while PENDING or WAITING.',
    }),
  }),
})

builder.queryField('connectAttempt', (t) =>
  t.field({
    type: ConnectAttemptRef,
    nullable: true,
    authScopes: { scope: 'accounts:read' },
    description: "One of the viewer's attempts to link an account; null when there is none with this id.",
    args: { connectAttemptId: t.arg.id({ required: true, description: 'ConnectAttempt.id' }) },
    resolve: (_, { connectAttemptId }, context) =>
      findConnectAttempt(context.deps, getUser(context).id, connectAttemptId),
  }),
)

const StartXConnectInput = builder.inputType('StartXConnectInput', {
  description: 'What to ask of a new link. All of it is optional.',
  fields: (t) => ({
    returnTo: t.string({
      description:
        'Where to send the user afterwards: a path here, or a URL of an origin that the operator listed. It gets the parameters xConnect=connected|waiting|failed, code and attempt. Default: the console.',
    }),
    scopes: t.stringList({
      description:
        'OAuth scopes to ask for. Default: tweet.read, tweet.write, users.read, offline.access. tweet.read and users.read are always asked for.',
    }),
    expectedUsername: t.string({
      description:
        'Link only this @username. X has no account chooser, and takes whichever account the browser is signed in to there.',
    }),
    reconnectAccountId: t.id({ description: 'ConnectedAccount.id: link only this account, again.' }),
  }),
})

type Started = Awaited<ReturnType<typeof startXConnect>>

const StartXConnectPayloadRef = payloadRef<Started>('StartXConnectPayload').implement({
  description: 'The answer to `startXConnect`.',
  fields: (t) => ({
    authorizationUrl: t.string({
      nullable: true,
      description: 'Open this in the same browser, within ten minutes. Null when there are userErrors.',
      resolve: ({ thing }) => thing?.authorizationUrl ?? null,
    }),
    connectAttempt: t.field({
      type: ConnectAttemptRef,
      nullable: true,
      description: 'The attempt, to ask later what became of it.',
      resolve: ({ thing }) => thing?.attempt ?? null,
    }),
  }),
})

builder.mutationField('startXConnect', (t) =>
  t.field({
    type: StartXConnectPayloadRef,
    nullable: true,
    authScopes: { session: true },
    description:
      'Starts linking an X account. Send the user to `authorizationUrl`, in the browser that holds this session: only that session can finish.',
    args: { input: t.arg({ type: StartXConnectInput, description: 'What to ask of the link.' }) },
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
