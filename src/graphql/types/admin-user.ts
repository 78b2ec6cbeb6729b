import { type AdminUser, deleteUser, type UserFilter } from '../../administration/users.ts'
import { MAX_SESSIONS } from '../../auth/session-rows.ts'
import type { Actor } from '../../events/operator-acts.ts'
import { blockUser, signOutUser, unblockUser } from '../../users/blocking.ts'
import type { UserDeletion } from '../../users/deletion.ts'
import { builder } from '../builder.ts'
import type { GraphqlContext } from '../context.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { LinkVisibilityRef } from './user.ts'
import { UserDeletionRef } from './user-deletion.ts'

/** A user, as the operator sees them. */
export const AdminUserRef = builder
  .objectRef<Omit<AdminUser, 'deletionId'> & { deletionId?: string | null }>('AdminUser')
  .implement({
    description: 'A user of the gateway, as its operator sees them.',
    fields: (t) => ({
      id: t.exposeID('id', { description: "The gateway's id of the user, as in events and in the log." }),
      githubId: t.id({
        description: "GitHub's numeric id of the person, which never changes.",
        resolve: ({ githubId }) => String(githubId),
      }),
      login: t.exposeString('login', {
        description: "The person's GitHub login as of their last sign-in. Another person may have it since.",
      }),
      name: t.exposeString('name', {
        nullable: true,
        description: 'The display name at GitHub; null when there is none.',
      }),
      linkVisibility: t.expose('linkVisibility', {
        type: LinkVisibilityRef,
        description: 'Who may see the link between the GitHub user and their X accounts.',
      }),
      createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the person first signed in.' }),
      blockedAt: t.expose('blockedAt', {
        type: 'DateTime',
        nullable: true,
        description: 'When the operator blocked the user; null when they are not blocked.',
      }),
      isBeingDeleted: t.boolean({
        description: 'True while the rows of the user are being deleted. They have no access any more.',
        resolve: ({ deletionId }) => deletionId != null,
      }),
    }),
  })

/** Which users the list `users` has. */
export const userFilterArguments = {
  githubLogin: 'Only the user who signed in with this GitHub login last, in any case.',
  xUsername: 'Only users who have connected an X account with this username, with or without the @, in any case.',
}

/** Returns the filter of the arguments of `users`. */
export function readUserFilter(args: { githubLogin?: string | null; xUsername?: string | null }): UserFilter {
  return { githubLogin: args.githubLogin ?? null, xUsername: args.xUsername ?? null }
}

/** Returns who acts by a request of an operator's token. */
export function actorOf({ viewer }: GraphqlContext): Actor {
  if (viewer?.kind !== 'OPERATOR_TOKEN') throw new Error('Bug: an act of the operator admitted another caller')
  return { name: `token:${viewer.apiToken.name}`, apiTokenId: viewer.apiToken.id }
}

const userInput = (name: string, description: string) =>
  builder.inputType(name, {
    description,
    fields: (t) => ({ userId: t.id({ required: true, description: 'The id of the user.' }) }),
  })

const userPayload = (name: string, mutation: string) =>
  payloadRef<Omit<AdminUser, 'deletionId'>>(name).implement({
    description: `The result of \`${mutation}\`.`,
    fields: (t) => ({
      user: t.field({
        type: AdminUserRef,
        nullable: true,
        description: 'The user as they are now; null when there are userErrors.',
        resolve: ({ thing }) => thing,
      }),
    }),
  })

const BlockUserInput = userInput('BlockUserInput', 'The user to block.')
const BlockUserPayloadRef = userPayload('BlockUserPayload', 'blockUser')
const UnblockUserInput = userInput('UnblockUserInput', 'The user to unblock.')
const UnblockUserPayloadRef = userPayload('UnblockUserPayload', 'unblockUser')
const SignOutUserInput = userInput('SignOutUserInput', 'The user to sign out.')
const DeleteUserInput = userInput('DeleteUserInput', 'The user to delete.')

type SignedOut = Awaited<ReturnType<typeof signOutUser>>

const SignOutUserPayloadRef = payloadRef<SignedOut>('SignOutUserPayload').implement({
  description: 'The result of `signOutUser`.',
  fields: (t) => ({
    user: t.field({
      type: AdminUserRef,
      nullable: true,
      description: 'The user; null when there are userErrors.',
      resolve: ({ thing }) => thing?.user ?? null,
    }),
    endedSessions: t.int({
      nullable: true,
      description: 'How many sessions have ended; null when there are userErrors.',
      resolve: ({ thing }) => thing?.endedSessions ?? null,
    }),
  }),
})

const DeleteUserPayloadRef = payloadRef<UserDeletion>('DeleteUserPayload').implement({
  description: 'The result of `deleteUser`.',
  fields: (t) => ({
    deletion: t.field({
      type: UserDeletionRef,
      nullable: true,
      description: 'The deletion, whose state `userDeletion` returns later; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

// An event for each session, and the act in two lists. Attempts of these sessions lose them.
const ENDS_SESSIONS = mutationComplexity({ rows: MAX_SESSIONS + 1, events: MAX_SESSIONS + 2 })

builder.mutationFields((t) => ({
  blockUser: t.field({
    type: BlockUserPayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    complexity: ENDS_SESSIONS,
    description:
      'Blocks a user: ends their sessions and event streams, and suspends their API tokens, on every instance before it returns. Until `unblockUser` they cannot sign in (USER_BLOCKED), and nothing is posted, refreshed or looked for at X for them. What they have is kept. Does nothing to a blocked user. Recorded as OPERATOR_USER_BLOCKED. Fails with USER_NOT_FOUND, also for a user who is being deleted.',
    args: { input: t.arg({ type: BlockUserInput, required: true, description: 'The user to block.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => blockUser(context.deps, actorOf(context), String(input.userId))),
  }),
  unblockUser: t.field({
    type: UnblockUserPayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    complexity: mutationComplexity({ rows: 1, events: 2 }),
    description:
      'Unblocks a user: they can sign in, and their connections work again, as do their API tokens within ten seconds. Does nothing to a user who is not blocked. Recorded as OPERATOR_USER_UNBLOCKED. Fails with USER_NOT_FOUND.',
    args: { input: t.arg({ type: UnblockUserInput, required: true, description: 'The user to unblock.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => unblockUser(context.deps, actorOf(context), String(input.userId))),
  }),
  signOutUser: t.field({
    type: SignOutUserPayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    complexity: ENDS_SESSIONS,
    description:
      'Ends all sessions of a user and the event streams of these, on every instance before it returns. API tokens stay valid. Recorded as OPERATOR_USER_SIGNED_OUT. Fails with USER_NOT_FOUND.',
    args: { input: t.arg({ type: SignOutUserInput, required: true, description: 'The user to sign out.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => signOutUser(context.deps, actorOf(context), String(input.userId))),
  }),
  deleteUser: t.field({
    type: DeleteUserPayloadRef,
    nullable: true,
    authScopes: { operator: 'admin:write' },
    // As `deleteViewer`.
    complexity: mutationComplexity({ rows: 100 }),
    description:
      'Deletes a user and everything that the gateway stores about them, as `deleteViewer` does for themselves. Cannot be undone, and keeps nobody out: a later sign-in creates a new user, unless SIGN_IN or a list of the configuration forbids it. To keep a person out, use `blockUser` instead. Returns an earlier deletion if there is one. Recorded as OPERATOR_USER_DELETED. Fails with USER_NOT_FOUND.',
    args: { input: t.arg({ type: DeleteUserInput, required: true, description: 'The user to delete.' }) },
    resolve: (_, { input }, context) =>
      toPayload(() => deleteUser(context.deps, actorOf(context), String(input.userId))),
  }),
}))
