import {
  type ListedSession,
  listSessions,
  MAX_LISTED_SESSIONS,
  revokeOtherSessions,
  revokeSession,
} from '../../auth/session.ts'
import { builder } from '../builder.ts'
import { getSession } from '../context.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { NodeRef } from './node-interface.ts'

/** A signed-in browser. */
export const SessionRef = builder.objectRef<ListedSession>('Session').implement({
  interfaces: [NodeRef],
  description: 'A browser in which the user is signed in.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'For revoking it. It lets nobody in.' }),
    device: t.exposeString('device', {
      nullable: true,
      description:
        'What the browser said that it is when it signed in, such as "Chrome on Linux"; null when that was nothing known. Anybody can say anything.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'The sign-in.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      description: 'When it was last used, give or take an hour.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'When it ends if it is not used any more; at the latest it ends 90 days after the sign-in.',
    }),
    current: t.exposeBoolean('current', { description: 'True for the one that is asking.' }),
  }),
})

builder.queryField('sessions', (t) =>
  t.field({
    type: [SessionRef],
    authScopes: { session: true },
    description: `The viewer's sessions that have not ended: the one that is asking, then the last used; ${MAX_LISTED_SESSIONS} in all.`,
    complexity: { field: 1, multiplier: MAX_LISTED_SESSIONS },
    resolve: (_, _args, context) => listSessions(context.deps, getSession(context).session),
  }),
)

const RevokeSessionInput = builder.inputType('RevokeSessionInput', {
  description: 'What to revoke.',
  fields: (t) => ({ sessionId: t.id({ required: true, description: 'Session.id' }) }),
})

const RevokeSessionPayloadRef = payloadRef<ListedSession>('RevokeSessionPayload').implement({
  description: 'The answer to `revokeSession`.',
  fields: (t) => ({
    session: t.field({
      type: SessionRef,
      nullable: true,
      description: 'The session that has ended; null when it was not found.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

const RevokeOtherSessionsPayloadRef = payloadRef<number>('RevokeOtherSessionsPayload').implement({
  description: 'The answer to `revokeOtherSessions`.',
  fields: (t) => ({
    revokedCount: t.int({
      description: 'The number of sessions that were ended; 0 when there are userErrors.',
      resolve: ({ thing }) => thing ?? 0,
    }),
  }),
})

builder.mutationFields((t) => ({
  revokeSession: t.field({
    type: RevokeSessionPayloadRef,
    nullable: true,
    authScopes: { session: true },
    description:
      'Ends a session of the viewer at once, at every instance, with the event streams that it has open. API tokens are not sessions, and stay.',
    args: { input: t.arg({ type: RevokeSessionInput, required: true, description: 'What to revoke.' }) },
    resolve: (_, { input }, context) =>
      toPayload(async () => {
        const { session, setCookie } = await revokeSession(context.deps, getSession(context).session, input.sessionId)
        if (setCookie !== null) context.setCookie(setCookie)
        return session
      }),
  }),
  revokeOtherSessions: t.field({
    type: RevokeOtherSessionsPayloadRef,
    nullable: true,
    authScopes: { session: true },
    description: 'Ends all sessions of the viewer but the one that is asking, as `revokeSession` does.',
    resolve: (_, _args, context) => toPayload(() => revokeOtherSessions(context.deps, getSession(context).session)),
  }),
}))
