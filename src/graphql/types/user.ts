import { endSession } from '../../auth/session.ts'
import type { User } from '../../auth/viewer.ts'
import { deleteUser } from '../../users/deletion.ts'
import type { LinkVisibility } from '../../users/link-visibility.ts'
import { builder, describeValues } from '../builder.ts'
import { getRecentSession, getSession } from '../context.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { NodeRef } from './node-interface.ts'

const visibilityDescriptions: Record<LinkVisibility, string> = {
  NOBODY: 'Only the user.',
  INTEGRATORS:
    "Programs with an operator's API token, too: they see the GitHub login and id, and each account with its status.",
}

/** Who may see which accounts a user has linked. */
export const LinkVisibilityRef = builder.enumType('LinkVisibility', {
  description: 'Who may see which accounts a user has linked.',
  values: describeValues(visibilityDescriptions),
})

/** A person, as they see themselves. */
export const UserRef = builder.objectRef<User>('User').implement({
  interfaces: [NodeRef],
  description: 'A person who signed in with GitHub.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Our id of this user. It never changes.' }),
    githubId: t.id({
      description: "GitHub's numeric id of the person, which never changes.",
      resolve: ({ githubId }) => String(githubId),
    }),
    login: t.exposeString('login', {
      description: "The person's GitHub login as of the last sign-in. It can change hands: do not key on it.",
    }),
    name: t.exposeString('name', {
      nullable: true,
      description: 'The display name at GitHub; null when there is none.',
    }),
    avatarUrl: t.exposeString('avatarUrl', { nullable: true, description: 'The picture at GitHub.' }),
    linkVisibility: t.expose('linkVisibility', {
      type: LinkVisibilityRef,
      description: 'Who may see which accounts the user has linked. `setLinkVisibility` changes it.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'The first sign-in.' }),
  }),
})

const SignOutPayloadRef = payloadRef<boolean>('SignOutPayload').implement({
  description: 'The answer to `signOut`.',
  fields: (t) => ({
    signedOut: t.boolean({
      description: 'True when the session has ended and its cookie is cleared; false when there are userErrors.',
      resolve: ({ thing }) => thing === true,
    }),
  }),
})

builder.mutationField('signOut', (t) =>
  t.field({
    type: SignOutPayloadRef,
    nullable: true,
    authScopes: { session: true },
    description: 'Ends this session. Linked accounts stay linked.',
    resolve: (_, _args, context) =>
      toPayload(async () => {
        const { setCookie } = await endSession(context.deps, getSession(context).session.id, 'SIGNED_OUT')
        context.setCookie(setCookie)
        return true
      }),
  }),
)

const DeleteViewerInput = builder.inputType('DeleteViewerInput', {
  description: 'Whom to delete.',
  fields: (t) => ({
    login: t.string({
      required: true,
      description: "The viewer's own GitHub login, repeated so that nobody does this by accident.",
    }),
  }),
})

const DeleteViewerPayloadRef = payloadRef<string>('DeleteViewerPayload').implement({
  description: 'The answer to `deleteViewer`.',
  fields: (t) => ({
    deletedUserId: t.id({
      nullable: true,
      description: 'The id that the user had; null when nothing was deleted.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('deleteViewer', (t) =>
  t.field({
    type: DeleteViewerPayloadRef,
    nullable: true,
    authScopes: { session: true },
    description:
      'Deletes the viewer and all that is stored of them: sessions, accounts, tokens, tweets, events. Grants are revoked at X, tweets stay there. Signing in again makes a new user. Only within ten minutes of signing in: later it answers RECENT_SIGN_IN_REQUIRED.',
    args: { input: t.arg({ type: DeleteViewerInput, required: true, description: 'Whom to delete.' }) },
    resolve: (_, { input }, context) =>
      toPayload(async () => {
        const { user, session } = getRecentSession(context)
        await deleteUser(context.deps, user, input.login)
        const { setCookie } = await endSession(context.deps, session.id, 'SIGNED_OUT')
        context.setCookie(setCookie)
        return user.id
      }),
  }),
)
