import { createRemovalCookie } from '../../auth/session.ts'
import { findUserDeletion, startUserDeletion, type UserDeletion } from '../../users/deletion.ts'
import { builder, describeValues } from '../builder.ts'
import { getRecentSession } from '../context.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'

const statusDescriptions = {
  DELETING: 'The user has no access any more, nothing acts for them, and their rows are being deleted.',
  DELETED: 'Nothing of the user is stored any more.',
}

const UserDeletionStatusRef = builder.enumType('UserDeletionStatus', {
  description: 'The state of the deletion of a user.',
  values: describeValues(statusDescriptions),
})

/** The deletion of a user, as the person sees it. */
export const UserDeletionRef = builder.objectRef<UserDeletion>('UserDeletion').implement({
  description:
    'The deletion of a user. It names nobody, and is kept for a week after its end. The user had no access from the moment it was requested.',
  fields: (t) => ({
    id: t.exposeID('id', {
      description:
        'The id of the deletion, with which `userDeletion` returns it. It is random, and a secret of the person.',
    }),
    status: t.field({
      type: UserDeletionStatusRef,
      description: 'Whether rows are left.',
      resolve: ({ finishedAt }) => (finishedAt === null ? 'DELETING' : 'DELETED'),
    }),
    requestedAt: t.expose('requestedAt', {
      type: 'DateTime',
      description: 'When the deletion was requested, by `deleteViewer` or by the operator.',
    }),
    finishedAt: t.expose('finishedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the last row was deleted; null until then.',
    }),
  }),
})

builder.queryField('userDeletion', (t) =>
  t.field({
    type: UserDeletionRef,
    nullable: true,
    authScopes: { anyone: true },
    description:
      'The deletion with this id, which `deleteViewer` or `deleteUser` has returned. Needs no session: the user has none any more. Null when there is none with this id, or it ended more than a week ago.',
    args: { userDeletionId: t.arg.id({ required: true, description: 'The id of the deletion.' }) },
    resolve: (_, { userDeletionId }, { deps }) => findUserDeletion(deps, String(userDeletionId)),
  }),
)

const DeleteViewerInput = builder.inputType('DeleteViewerInput', {
  description: 'The user to delete.',
  fields: (t) => ({
    login: t.string({
      required: true,
      description: "The viewer's own GitHub login, as a protection against accidents.",
    }),
  }),
})

type Started = { userId: string; deletion: UserDeletion }

const DeleteViewerPayloadRef = payloadRef<Started>('DeleteViewerPayload').implement({
  description: 'The result of `deleteViewer`.',
  fields: (t) => ({
    deletedUserId: t.id({
      nullable: true,
      description: 'The id of the user, who has no access any more; null when there are userErrors.',
      resolve: ({ thing }) => thing?.userId ?? null,
    }),
    deletion: t.field({
      type: UserDeletionRef,
      nullable: true,
      description: 'The deletion, whose state `userDeletion` returns later; null when there are userErrors.',
      resolve: ({ thing }) => thing?.deletion ?? null,
    }),
  }),
})

builder.mutationField('deleteViewer', (t) =>
  t.field({
    type: DeleteViewerPayloadRef,
    nullable: true,
    authScopes: { session: true },
    // Ten endpoints are disabled, and ten accounts disconnected.
    complexity: mutationComplexity({ rows: 100 }),
    description:
      'Deletes the viewer and everything that the gateway stores about them: sessions, accounts, tokens, tweets, events. All access ends at once; the rows are deleted in the background, and `userDeletion` says when none is left. Grants are revoked at X; tweets stay there. A later sign-in creates a new user, also while the rows are being deleted. Requires a sign-in within the last ten minutes, and fails with RECENT_SIGN_IN_REQUIRED otherwise. Fails with USER_BLOCKED when the operator has blocked the viewer meanwhile.',
    args: { input: t.arg({ type: DeleteViewerInput, required: true, description: 'The user to delete.' }) },
    resolve: (_, { input }, context) =>
      toPayload(async () => {
        const { user } = getRecentSession(context)
        const deletion = await startUserDeletion(context.deps, user, input.login)
        context.setCookie(createRemovalCookie(context.deps))
        return { userId: user.id, deletion }
      }),
  }),
)
