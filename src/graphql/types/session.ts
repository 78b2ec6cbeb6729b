import { type ListedSession, listSessions, revokeOtherSessions, revokeSession } from '../../auth/session-list.ts'
import { MAX_SESSIONS } from '../../auth/session-rows.ts'
import { builder, type ViewerFields } from '../builder.ts'
import { getSession } from '../context.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { NodeRef } from './node-interface.ts'

/** A signed-in browser. */
const SessionRef = builder.objectRef<ListedSession>('Session').implement({
  interfaces: [NodeRef],
  description: 'A browser in which the user is signed in.',
  fields: (t) => ({
    id: t.exposeID('id', {
      description: 'The id of the session, for `revokeSession`. It is no secret, and cannot be used to sign in.',
    }),
    device: t.exposeString('device', {
      nullable: true,
      description:
        'The browser and system named by the User-Agent header at the sign-in, such as "Chrome on Linux"; null when it was not recognised. The header can be forged.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the user signed in.' }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      description: 'When the session was last used, to the hour.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'When the session ends unless it is used before. It ends 90 days after the sign-in at the latest.',
    }),
    current: t.exposeBoolean('current', { description: 'True for the session of this request.' }),
  }),
})

/** The field `sessions` of the root and of `User`. */
export const sessionsField = (t: ViewerFields) =>
  t.field({
    type: [SessionRef],
    authScopes: { session: true },
    description: `The browsers in which the viewer is signed in: that of this request, then the last used. There are ${MAX_SESSIONS} at most: a sign-in beyond them ends the one that was used least recently.`,
    complexity: { field: 1, multiplier: MAX_SESSIONS },
    resolve: (_, _args, context) => listSessions(context.deps, getSession(context).session),
  })

builder.queryField('sessions', (t) => sessionsField(t))

const RevokeSessionInput = builder.inputType('RevokeSessionInput', {
  description: 'The session to end.',
  fields: (t) => ({ sessionId: t.id({ required: true, description: 'The `Session.id` of the session.' }) }),
})

const RevokeSessionPayloadRef = payloadRef<ListedSession>('RevokeSessionPayload').implement({
  description: 'The result of `revokeSession`.',
  fields: (t) => ({
    session: t.field({
      type: SessionRef,
      nullable: true,
      description: 'The session that was ended; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

const RevokeOtherSessionsPayloadRef = payloadRef<number>('RevokeOtherSessionsPayload').implement({
  description: 'The result of `revokeOtherSessions`.',
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
    complexity: mutationComplexity({ rows: 1, events: 1 }),
    description:
      'Ends a session of the viewer at once, on all instances, and closes the event streams that it has open. API tokens stay valid.',
    args: { input: t.arg({ type: RevokeSessionInput, required: true, description: 'The session to end.' }) },
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
    complexity: mutationComplexity({ rows: MAX_SESSIONS, events: MAX_SESSIONS - 1 }),
    description: 'Ends all sessions of the viewer except that of this request, as `revokeSession` does.',
    resolve: (_, _args, context) => toPayload(() => revokeOtherSessions(context.deps, getSession(context).session)),
  }),
}))
