import type { DefaultConnectionArguments } from '@pothos/plugin-relay'
import { isViewerGood } from '../../auth/viewer.ts'
import { eventTypes } from '../../db/tables.ts'
import { AppError } from '../../errors.ts'
import {
  EVENTS_KEPT_SECONDS,
  type Event,
  type EventFilter,
  type EventReader,
  type EventType,
  getLastPosition,
  listEvents,
} from '../../events/events.ts'
import { followEvents } from '../../events/streams.ts'
import { MAX_STREAMS_PER_OWNER } from '../../process/event-streams.ts'
import { builder } from '../builder.ts'
import { type GraphqlContext, getUser } from '../context.ts'
import { eventCursor } from '../cursor.ts'
import { pageComplexity, resolvePage } from '../pagination.ts'
import { NodeRef } from './node-interface.ts'

const KEPT_DAYS = EVENTS_KEPT_SECONDS / 86_400

const typeDescriptions: Record<EventType, string> = {
  'account.connected': 'An X account was linked: for the first time, or after it was unlinked.',
  'account.reconnected': 'An X account that was linked was linked once more.',
  'account.recovered':
    'An account that was NEEDS_REAUTH works again: it was linked again, or a pair of tokens that was lost turned up.',
  'account.needs_reauth': 'A link has broken, and only the user can help. `reason` is an AccountStatusReason.',
  'account.disconnected': 'An account was unlinked.',
  'account.profile_changed':
    'At X an account has another name or picture than at its last link. `reason`: USERNAME_CHANGED, DISPLAY_NAME_CHANGED or AVATAR_CHANGED.',
  'tweet.posted': 'X has a tweet.',
  'tweet.failed': 'X does not have a tweet. `reason` is an ErrorCode.',
  'tweet.unknown': 'X did not tell whether it posted a tweet. `reason` is an ErrorCode.',
  'tweet.unknown_settled':
    'It was found out what became of such a tweet. `reason`: POSTED, or the ErrorCode of why it was not.',
  'tweet.deleted': 'A tweet was deleted through this API.',
  'session.started': 'The user signed in.',
  'session.ended':
    'A session has ended. `reason`: SIGNED_OUT, REVOKED (by the user, in any session), REPLACED (by a sign-in in the same browser) or EXPIRED.',
  'token.created': 'An API token was made.',
  'token.revoked':
    'An API token was revoked. `reason`: LEAKED where it was revoked by its secret at /auth/token/revoke; null where its owner revoked it.',
  'link_visibility.changed': 'The user decided who may see their links. `reason` is the new LinkVisibility.',
  'webhook.disabled':
    'A webhook endpoint gets no more deliveries. `reason` is a WebhookDisabledReason: FAILING or GONE.',
  'webhook.test': 'A test was asked for with testWebhookEndpoint.',
}

/** What can happen. */
export const EventTypeRef = builder.enumType('EventType', {
  description: 'What can happen. A webhook writes the same names with a dot.',
  values: Object.fromEntries(
    eventTypes.map((type) => [enumName(type), { description: `\`${type}\`: ${typeDescriptions[type]}`, value: type }]),
  ),
})

/** Something that happened. */
export const EventRef = builder.objectRef<Event>('Event').implement({
  interfaces: [NodeRef],
  description: 'Something that happened. An event is written together with what it tells of, and never changes.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Of this event, for telling whether it is known already.' }),
    type: t.field({ type: EventTypeRef, description: 'What happened.', resolve: ({ type }) => type }),
    reason: t.exposeString('reason', {
      nullable: true,
      description:
        'Why, as a code for programs; which list it is from is said with each type. Null when there is none.',
    }),
    occurredAt: t.expose('occurredAt', { type: 'DateTime', description: 'When.' }),
    userId: t.exposeID('userId', {
      nullable: true,
      description: "User.id of the person whose event it is; null for one of the operator's own.",
    }),
    accountId: t.exposeID('accountId', {
      nullable: true,
      description: 'ConnectedAccount.id, where it is about an account or a tweet.',
    }),
    tweetId: t.exposeID('tweetId', { nullable: true, description: 'Tweet.id, where it is about a tweet.' }),
    apiTokenId: t.exposeID('apiTokenId', {
      nullable: true,
      description: 'The id of an API token, where it is about one. Never the token.',
    }),
    webhookEndpointId: t.exposeID('webhookEndpointId', {
      nullable: true,
      description: 'The id of a webhook endpoint, where it is about one.',
    }),
  }),
})

/** An event in a list. */
export const EventEdgeRef = builder.edgeObject({
  type: EventRef,
  name: 'EventEdge',
  description: 'An event and its place in the list.',
})

/** A page of events. */
export const EventConnectionRef = builder.connectionObject(
  {
    type: EventRef,
    name: 'EventConnection',
    description: 'A page of events. Its list is too long to be counted at each request, so it has no total count.',
  },
  EventEdgeRef,
)

const TYPES = 'Only these. Default: all.'
const ACCOUNT_ID = 'Only what is about this account: ConnectedAccount.id.'

builder.queryField('events', (t) =>
  t.connection(
    {
      type: EventRef,
      authScopes: { scope: 'events:read', operator: 'events:read' },
      description: `What happened to the viewer; for an operator's token, to the accounts that users show to integrators, since they do. Oldest first, as a Relay connection: 20 a page unless told otherwise, 100 at most. To follow it, keep \`endCursor\` and ask for what comes \`after\` it: nothing is missed and nothing comes twice. Begin with \`last: 1\` where only what is new matters: \`endCursor\` is there also while nothing has happened. Events are kept for ${KEPT_DAYS} days; a cursor after which some are gone is refused with CURSOR_EXPIRED.`,
      args: {
        types: t.arg({ type: [EventTypeRef], description: TYPES }),
        accountId: t.arg.id({ description: ACCOUNT_ID }),
      },
      complexity: pageComplexity,
      resolve: (_, args, context) => resolveEvents(context, readerOf(context), args),
    },
    EventConnectionRef,
    EventEdgeRef,
  ),
)

builder.subscriptionField('events', (t) =>
  t.field({
    type: EventEdgeRef,
    authScopes: { scope: 'events:read', operator: 'events:read' },
    description: `What \`events\` lists, as it happens: each event once and in order, on whichever instance. Keep the \`cursor\` of the last one. The stream ends with the error STREAM_ENDED after a quarter of an hour, and when an instance stops: open it again \`after\` that cursor, and nothing is missed. It ends with UNAUTHENTICATED soon after the session or API token that opened it. At most ${MAX_STREAMS_PER_OWNER} at once.`,
    args: {
      types: t.arg({ type: [EventTypeRef], description: TYPES }),
      accountId: t.arg.id({ description: ACCOUNT_ID }),
      after: t.arg.string({
        description:
          'A cursor, of this stream or of the query: begin with what came after it. Default: with what is new; take the `endCursor` of the query instead where nothing may be missed.',
      }),
    },
    subscribe: (_, args, context) => {
      const { deps, viewer } = context
      const reader = readerOf(context)
      return followEvents(deps, {
        reader,
        owner: viewer?.kind === 'OPERATOR_TOKEN' ? viewer.apiToken.id : getUser(context).id,
        filter: readFilter(args),
        after: typeof args.after === 'string' ? eventCursor.parse(args.after, 'after').position : null,
        isAllowed: async () => viewer !== null && (await isViewerGood(deps, viewer)),
      })
    },
    resolve: (event) => ({ cursor: eventCursor.write(event), node: event }),
  }),
)

type EventArguments = { types?: readonly EventType[] | null; accountId?: string | null }

/** A page of the events that a reader may see. */
export async function resolveEvents(
  { deps }: GraphqlContext,
  reader: EventReader,
  args: DefaultConnectionArguments & EventArguments,
) {
  const list = () =>
    resolvePage(args, eventCursor, ({ after, before, ...page }) =>
      listEvents(deps, reader, readFilter(args), {
        ...page,
        after: after?.position ?? null,
        before: before?.position ?? null,
      }),
    )
  const page = await list()
  if (page.edges.length > 0 || page.pageInfo.endCursor !== null) return page
  // Before listing again: an event in between is on that page, or comes after this position.
  const position = await getLastPosition(deps)
  const again = await list()
  if (again.edges.length > 0) return again
  return { ...again, pageInfo: { ...again.pageInfo, endCursor: eventCursor.write({ position }) } }
}

function readerOf(context: GraphqlContext): EventReader {
  return context.viewer?.kind === 'OPERATOR_TOKEN'
    ? { kind: 'OPERATOR' }
    : { kind: 'USER', userId: getUser(context).id }
}

function readFilter(args: EventArguments): EventFilter {
  if (args.types?.length === 0)
    throw new AppError('BAD_USER_INPUT', { field: ['types'], detail: 'Name a type in "types", or leave it out.' })
  return { types: args.types ?? null, accountId: args.accountId ?? null }
}

// A name of GraphQL has no dots.
function enumName(type: EventType): string {
  return type.replace('.', '_').toUpperCase()
}
