import { AppError } from '../../errors.ts'
import {
  findLinkedUser,
  type LinkedAccount,
  type LinkedUser,
  listLinkedUsers,
  setLinkVisibility,
  type UserKey,
} from '../../users/link-visibility.ts'
import { builder } from '../builder.ts'
import { consumeChange, getSession } from '../context.ts'
import { userCursor } from '../cursor.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { pageComplexity, resolvePage } from '../pagination.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { AccountStatusRef, ProviderRef } from './connected-account.ts'
import { NodeRef } from './node-interface.ts'
import { LinkVisibilityRef, UserRef } from './user.ts'

/** An X account as integrators see it. */
export const LinkedAccountRef = builder.objectRef<LinkedAccount>('LinkedAccount').implement({
  interfaces: [NodeRef],
  description: 'A connected X account that its user shows to integrators.',
  fields: (t) => ({
    id: t.exposeID('id', {
      description:
        "The gateway's id of the account, as in events. It stays the same when the account is connected again.",
    }),
    provider: t.expose('provider', { type: ProviderRef, description: 'The service that the account belongs to.' }),
    providerAccountId: t.exposeID('providerAccountId', {
      description: "X's id of the account, a decimal string. It never changes.",
    }),
    username: t.exposeString('username', {
      description:
        'The @username at the last connection, without the @. It can change: use `providerAccountId` as a key.',
    }),
    status: t.expose('status', {
      type: AccountStatusRef,
      description: 'The state of the connection. Never DISCONNECTED: disconnected accounts are not shown.',
    }),
    connectedAt: t.expose('connectedAt', { type: 'DateTime', description: 'When the account was last connected.' }),
  }),
})

const LinkedUserRef = builder.objectRef<LinkedUser>('LinkedUser').implement({
  interfaces: [NodeRef],
  description: 'A user who has connected an X account and shows that to integrators.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the user, as in events." }),
    githubId: t.id({
      description: "GitHub's numeric id of the person, which never changes.",
      resolve: ({ githubId }) => String(githubId),
    }),
    login: t.exposeString('login', {
      nullable: true,
      description:
        "The person's GitHub login as of the last sign-in. Null when another user has signed in with it since.",
    }),
    accounts: t.expose('accounts', {
      type: [LinkedAccountRef],
      authScopes: { operator: 'accounts:read' },
      // Most users connect fewer. With the default of ten a full page of users would be too
      // complex.
      complexity: { field: 1, multiplier: 3 },
      description: 'The connected accounts of the user, the last connected first. Never empty.',
    }),
  }),
})

builder.queryFields((t) => ({
  linkedUser: t.field({
    type: LinkedUserRef,
    nullable: true,
    authScopes: { operator: 'accounts:read' },
    description:
      'The user with this GitHub id or login: give one of the two. Null when there is no such user, when the user has connected no account, and when the user does not show it; the response does not distinguish these cases.',
    args: {
      githubId: t.arg.id({ description: "GitHub's numeric id." }),
      githubLogin: t.arg.string({ description: 'A login at GitHub, in any case. It can pass to another person.' }),
    },
    resolve: (_, args, { deps }) => findLinkedUser(deps, readKey(args)),
  }),
  linkedUsers: t.connection(
    {
      type: LinkedUserRef,
      authScopes: { operator: 'accounts:read' },
      description:
        'All users who have connected an account and show it: 20 a page by default, 100 at most. The order has no meaning and stays the same.',
      complexity: pageComplexity,
      resolve: (_, args, { deps }) =>
        resolvePage(args, userCursor, ({ after, before, ...page }) =>
          listLinkedUsers(deps, { ...page, after: after?.id ?? null, before: before?.id ?? null }),
        ),
    },
    {
      name: 'LinkedUserConnection',
      description: 'A page of users. Counting them would read all users at each request, so it has no total count.',
    },
    { name: 'LinkedUserEdge', description: 'A user and their cursor in the list.' },
  ),
}))

const SetLinkVisibilityInput = builder.inputType('SetLinkVisibilityInput', {
  description: 'The audience to set.',
  fields: (t) => ({
    visibility: t.field({
      type: LinkVisibilityRef,
      required: true,
      description: "The audience of the link between the viewer's GitHub user and X accounts.",
    }),
  }),
})

type VisibilitySet = Awaited<ReturnType<typeof setLinkVisibility>>

const SetLinkVisibilityPayloadRef = payloadRef<VisibilitySet>('SetLinkVisibilityPayload').implement({
  description: 'The result of `setLinkVisibility`.',
  fields: (t) => ({
    user: t.field({
      type: UserRef,
      nullable: true,
      description: 'The viewer with the new setting; null when there are userErrors.',
      resolve: ({ thing }) => thing,
    }),
  }),
})

builder.mutationField('setLinkVisibility', (t) =>
  t.field({
    type: SetLinkVisibilityPayloadRef,
    nullable: true,
    authScopes: { session: true },
    complexity: mutationComplexity({ rows: 1, events: 1 }),
    description:
      "Sets who may see that the viewer's GitHub user and X accounts belong together. Takes effect at once. Consumes from the limit `change` (RATE_LIMITED).",
    args: { input: t.arg({ type: SetLinkVisibilityInput, required: true, description: 'The audience to set.' }) },
    resolve: (_, { input }, context) =>
      toPayload(async () => {
        await consumeChange(context)
        return setLinkVisibility(context.deps, getSession(context).user.id, input.visibility)
      }),
  }),
)

// GitHub's ids are far below 2^53; a longer one belongs to no user.
function readKey({ githubId, githubLogin }: { githubId?: string | null; githubLogin?: string | null }): UserKey {
  if (typeof githubId === 'string' && githubLogin == null) {
    if (/^\d{1,15}$/.test(githubId)) return { githubId: Number(githubId) }
    throw new AppError('BAD_USER_INPUT', { field: ['githubId'], detail: '"githubId" is a number of up to 15 digits.' })
  }
  if (typeof githubLogin === 'string' && githubId == null) {
    if (/^[A-Za-z0-9_-]{1,100}$/.test(githubLogin)) return { githubLogin }
    throw new AppError('BAD_USER_INPUT', { field: ['githubLogin'], detail: '"githubLogin" is no login of GitHub.' })
  }
  throw new AppError('BAD_USER_INPUT', { detail: 'Give "githubId" or "githubLogin", and not both.' })
}
