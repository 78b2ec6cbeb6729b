import { endSession } from '../../auth/session.ts'
import type { User } from '../../auth/viewer.ts'
import type { LinkVisibility } from '../../users/link-visibility.ts'
import { builder, describeValues } from '../builder.ts'
import { getSession } from '../context.ts'
import { mutationComplexity } from '../mutation-cost.ts'
import { payloadRef, toPayload } from '../payload.ts'
import { NodeRef } from './node-interface.ts'

const visibilityDescriptions: Record<LinkVisibility, string> = {
  NOBODY: 'Only the user sees them.',
  INTEGRATORS:
    "Programs with an operator's API token see them as well: the GitHub login and id, and each account with its status.",
}

/** The audience of the connection between a GitHub user and their X accounts. */
export const LinkVisibilityRef = builder.enumType('LinkVisibility', {
  description: 'The audience of the connection between a GitHub user and their X accounts.',
  values: describeValues(visibilityDescriptions),
})

/** A person, as they see themselves. */
export const UserRef = builder.objectRef<User>('User').implement({
  interfaces: [NodeRef],
  description: 'A person who signed in with GitHub.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the user. It never changes." }),
    githubId: t.id({
      description: "GitHub's numeric id of the person, which never changes.",
      resolve: ({ githubId }) => String(githubId),
    }),
    login: t.exposeString('login', {
      description:
        "The person's GitHub login as of the last sign-in. It can pass to another person: use `githubId` as a key.",
    }),
    name: t.exposeString('name', {
      nullable: true,
      description: 'The display name at GitHub; null when there is none.',
    }),
    avatarUrl: t.exposeString('avatarUrl', {
      nullable: true,
      description: 'The URL of the picture at GitHub; null when there is none.',
    }),
    linkVisibility: t.expose('linkVisibility', {
      type: LinkVisibilityRef,
      description: 'The audience of the link between the user and their X accounts. `setLinkVisibility` changes it.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the user first signed in.' }),
  }),
})

const SignOutPayloadRef = payloadRef<boolean>('SignOutPayload').implement({
  description: 'The result of `signOut`.',
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
    complexity: mutationComplexity({ rows: 1, events: 1 }),
    description: 'Ends the session of this request. Connected accounts stay connected.',
    resolve: (_, _args, context) =>
      toPayload(async () => {
        const { setCookie } = await endSession(context.deps, getSession(context).session, 'SIGNED_OUT')
        context.setCookie(setCookie)
        return true
      }),
  }),
)
