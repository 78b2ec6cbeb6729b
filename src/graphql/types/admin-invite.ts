import { createInvite, DEFAULT_INVITE_DAYS, type Invite, MAX_INVITE_DAYS, revokeInvite } from '../../auth/invites.ts'
import { builder } from '../builder.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { actorOf } from './admin-user.ts'

/** An invite, without its secret. */
export const AdminInviteRef = builder.objectRef<Invite>('AdminInvite').implement({
  description:
    'An invite, with which one new user signs in while the variable SIGN_IN is `invite`. Its link is shown only once, by `createInvite`.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the invite.' }),
    note: t.exposeString('note', { nullable: true, description: 'For whom the invite is; null without a note.' }),
    createdBy: t.exposeString('createdBy', {
      description: 'Who created the invite: "token:" and the name of an API token, or "command:" and a name.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the invite was created.' }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'When the invite expires, unless it is used before.',
    }),
  }),
})

const CreateInviteInput = builder.inputType('CreateInviteInput', {
  description: 'The invite to create.',
  fields: (t) => ({
    note: t.string({ description: 'For whom the invite is: 1 to 200 characters. Default: none.' }),
    expiresInDays: t.int({
      description: `For how many days the invite is valid: 1 to ${MAX_INVITE_DAYS}. Default: ${DEFAULT_INVITE_DAYS}.`,
    }),
  }),
})

type Created = Awaited<ReturnType<typeof createInvite>>

const CreateInvitePayloadRef = payloadRef<Created>('CreateInvitePayload').implement({
  description: 'The result of `createInvite`.',
  fields: (t) => ({
    invite: t.field({
      type: AdminInviteRef,
      nullable: true,
      description: 'The invite; null when there are userErrors.',
      resolve: ({ thing }) => thing?.invite ?? null,
    }),
    url: t.string({
      nullable: true,
      description:
        'The link to send to the person. It is shown only here, and is a secret until it is used; null when there are userErrors.',
      resolve: ({ thing }) => thing?.url ?? null,
    }),
  }),
})

const RevokeInviteInput = builder.inputType('RevokeInviteInput', {
  description: 'The invite to revoke.',
  fields: (t) => ({ inviteId: t.id({ required: true, description: 'The `AdminInvite.id` of the invite.' }) }),
})

const RevokeInvitePayloadRef = payloadRef<Invite>('RevokeInvitePayload').implement({
  description: 'The result of `revokeInvite`.',
  fields: (t) => ({
    invite: t.field({
      type: AdminInviteRef,
      nullable: true,
      description: 'The invite that was revoked; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationFields((t) => ({
  createInvite: t.field({
    type: CreateInvitePayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    complexity: mutationComplexity({ rows: 1, events: 1 }),
    description:
      'Creates an invite for one new user. The first new user who signs in by its link uses it up; existing users do not. Recorded as OPERATOR_INVITE_CREATED. Fails with INVITE_NOTE_INVALID, INVITE_EXPIRY_INVALID or TOO_MANY_INVITES.',
    args: { input: t.arg({ type: CreateInviteInput, required: true, description: 'The invite to create.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => {
        const { note = null, expiresInDays = null } = input
        return createInvite(context.deps, actorOf(context), { note, expiresInDays })
      }),
  }),
  revokeInvite: t.field({
    type: RevokeInvitePayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    complexity: mutationComplexity({ rows: 1, events: 1 }),
    description:
      'Revokes an invite: its link lets nobody in any more. Recorded as OPERATOR_INVITE_REVOKED. Fails with INVITE_NOT_FOUND.',
    args: { input: t.arg({ type: RevokeInviteInput, required: true, description: 'The invite to revoke.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => revokeInvite(context.deps, actorOf(context), String(input.inviteId))),
  }),
}))
