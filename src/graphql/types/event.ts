import type { DefaultConnectionArguments } from '@pothos/plugin-relay'
import { credentialOf } from '../../auth/stream-recheck.ts'
import { isViewerGood } from '../../auth/viewer.ts'
import { eventTypes } from '../../db/tables.ts'
import { AppError } from '../../errors.ts'
import type { EventType } from '../../events/events.ts'
import { type EventFilter, type EventReader, MAX_EXAMINED_EVENTS } from '../../events/page-statement.ts'
import { type Event, type EventsRead, listEvents } from '../../events/read.ts'
import { followEvents } from '../../events/streams.ts'
import { EVENTS_KEPT_SECONDS } from '../../events/sweep.ts'
import { DEFAULT_STREAMS_PER_OWNER } from '../../process/event-streams.ts'
import { builder } from '../builder.ts'
import { type GraphqlContext, getUser } from '../context.ts'
import { eventCursor } from '../cursor.ts'
import { operatorReader, readableTypes } from '../event-access.ts'
import { continuePage, filteredPageComplexity, type PageInfo, type PageSize, resolvePage } from '../pagination.ts'
import { ConnectedAccountRef } from './connected-account.ts'
import { LinkedAccountRef } from './linked-user.ts'
import { NodeRef } from './node-interface.ts'
import { TweetRef } from './tweet.ts'

const KEPT_DAYS = EVENTS_KEPT_SECONDS / 86_400

const NO_REASON = 'It has no `reason`.'
const LIMITED_REASON = '`reason`: SCOPES_NOT_GRANTED where the account is LIMITED; null where it is ACTIVE.'

// Each description names all reasons of its type.
const typeDescriptions: Record<EventType, string> = {
  'account.connected': `An X account was connected, for the first time or after it was disconnected. ${LIMITED_REASON}`,
  'account.reconnected': `An X account that was connected was connected again. ${LIMITED_REASON}`,
  'account.recovered': `An account that was NEEDS_REAUTH works again: it was connected again, or a lost token pair was found. ${LIMITED_REASON}`,
  'account.needs_reauth':
    'An account stopped working, and its user has to connect it again. `reason`: the AccountStatusReason GRANT_REVOKED, REFRESH_LOST, DATABASE_RESTORED, REFRESH_TOKEN_MISSING or TOKENS_UNREADABLE.',
  'account.disconnected': 'An account was disconnected. `reason`: DISCONNECTED_BY_USER or DISCONNECTED_BY_OPERATOR.',
  'account.profile_changed':
    'An account has another name or picture at X than when it was last connected. `reason`: USERNAME_CHANGED, DISPLAY_NAME_CHANGED or AVATAR_CHANGED.',
  'tweet.posted': `X has posted a tweet. ${NO_REASON}`,
  'tweet.failed': 'X has not posted a tweet. `reason`: the ErrorCode of the tweet.',
  'tweet.unknown':
    'X did not say whether it posted a tweet. `reason`: the ErrorCode OUTCOME_UNKNOWN or DUPLICATE_TWEET.',
  'tweet.reconciled':
    'The gateway found out whether a tweet that was UNKNOWN was posted. `reason`: POSTED, or the ErrorCode that says why it was not.',
  'tweet.deleted': `A tweet was deleted through this API. ${NO_REASON}`,
  'session.started': `The user signed in. ${NO_REASON}`,
  'session.ended':
    'A session has ended. `reason`: SIGNED_OUT, REVOKED (by the user, in any session), REPLACED (by a sign-in in the same browser), LIMIT_REACHED (by a sign-in with as many sessions as a user may have), EXPIRED, SIGNED_OUT_BY_OPERATOR or BLOCKED (by the operator).',
  'token.created': `An API token was created. ${NO_REASON}`,
  'token.revoked':
    'An API token was revoked. `reason`: LEAKED where it was revoked by its secret at /auth/token/revoke; null where its owner revoked it.',
  'link_visibility.changed':
    'The user decided who may see their connected accounts. `reason`: the new LinkVisibility, NOBODY or INTEGRATORS.',
  'webhook.disabled': 'The gateway disabled a webhook endpoint. `reason`: the WebhookDisabledReason FAILING or GONE.',
  'webhook.test': `A test was requested with testWebhookEndpoint. ${NO_REASON}`,
  'operator.user_blocked': `The operator blocked the user: nothing acts for them until they are unblocked. ${NO_REASON}`,
  'operator.user_unblocked': `The operator unblocked the user. ${NO_REASON}`,
  'operator.user_signed_out': `The operator ended all sessions of the user. ${NO_REASON}`,
  'operator.user_deleted': `The operator requested the deletion of the user. For operators only. ${NO_REASON}`,
  'operator.account_disconnected': `The operator disconnected an X account of the user. ${NO_REASON}`,
  'operator.tweet_reconciled': `The operator had the gateway look for an UNKNOWN tweet in the timeline of its account once more. ${NO_REASON}`,
  'operator.job_retried':
    'The operator had a background job of the user run at once. `reason`: the JobQueue of the job.',
  'operator.invite_created': `The operator created an invite. For operators only. ${NO_REASON}`,
  'operator.invite_revoked': `The operator revoked an invite. For operators only. ${NO_REASON}`,
}

/** The type of an event. */
export const EventTypeRef = builder.enumType('EventType', {
  description: 'The type of an event. Webhooks write the same names in lower case with a dot, as `tweet.posted`.',
  values: Object.fromEntries(
    eventTypes.map((type) => [enumName(type), { description: `\`${type}\`: ${typeDescriptions[type]}`, value: type }]),
  ),
})

/** Something that happened. */
export const EventRef = builder.objectRef<Event>('Event').implement({
  interfaces: [NodeRef],
  description:
    'Something that happened to a user. An event is recorded together with the change itself, and never changes.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "The gateway's id of the event. Deduplicate by it." }),
    type: t.field({ type: EventTypeRef, description: 'The type of the event.', resolve: ({ type }) => type }),
    reason: t.exposeString('reason', {
      nullable: true,
      description:
        'Why the event happened, as a code for programs. Each EventType lists its possible reasons; null where it has none.',
    }),
    actor: t.exposeString('actor', {
      nullable: true,
      description:
        'Who acted for the operator: "token:" and the name of an API token, or "command:" and a name. Shown to operators alone; null for users, and for events that are no acts of the operator.',
    }),
    occurredAt: t.expose('occurredAt', { type: 'DateTime', description: 'When the event happened.' }),
    userId: t.exposeID('userId', {
      nullable: true,
      description: 'The `User.id` of the user that the event is about; null for an event of the operator.',
    }),
    accountId: t.exposeID('accountId', {
      nullable: true,
      description:
        'The `ConnectedAccount.id` of the account that the event, or its tweet, is about; null for other events.',
    }),
    account: t.field({
      type: ConnectedAccountRef,
      nullable: true,
      authScopes: { scope: 'accounts:read' },
      description:
        'The account that the event, or its tweet, is about, as it is now; null for other events. For an operator, see `linkedAccount`.',
      resolve: ({ accountId }, _args, { accounts }) => (accountId === null ? null : accounts.load(accountId)),
    }),
    linkedAccount: t.field({
      type: LinkedAccountRef,
      nullable: true,
      authScopes: { operator: 'accounts:read' },
      description:
        'The account that the event is about, as integrators see it now; null for other events, and where the account is disconnected or its user no longer shows it.',
      resolve: ({ accountId }, _args, { linkedAccounts }) =>
        accountId === null ? null : linkedAccounts.load(accountId),
    }),
    tweetId: t.exposeID('tweetId', {
      nullable: true,
      description: 'The `Tweet.id` of the tweet that the event is about; null for other events.',
    }),
    tweet: t.field({
      type: TweetRef,
      nullable: true,
      authScopes: { scope: 'tweets:read' },
      description: 'The tweet that the event is about, as it is now; null for other events.',
      resolve: ({ tweetId }, _args, { tweets }) => (tweetId === null ? null : tweets.load(tweetId)),
    }),
    apiTokenId: t.exposeID('apiTokenId', {
      nullable: true,
      description:
        'The `ApiToken.id` of the API token that the event is about, never its secret; null for other events.',
    }),
    webhookEndpointId: t.exposeID('webhookEndpointId', {
      nullable: true,
      description: 'The `WebhookEndpoint.id` of the webhook endpoint that the event is about; null for other events.',
    }),
  }),
})

/** An event in a list. */
export const EventEdgeRef = builder.edgeObject({
  type: EventRef,
  name: 'EventEdge',
  description: 'An event and its cursor in the list.',
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

const TYPES = 'Only events of these types. Default: all.'
export const ONLY_EVENTS_OF_ACCOUNT =
  'Only events about the account with this `ConnectedAccount.id`. Default: all events.'

builder.queryField('events', (t) =>
  t.connection(
    {
      type: EventRef,
      authScopes: { scope: 'events:read', operator: 'events:read' },
      description: `The events of the viewer, without those of sessions for an API token; for an operator's token, the account events of users who show their accounts to integrators, from when they began to show them, and with the scope admin:read the acts of the operator. Oldest first, as a Relay connection: 20 a page by default, 100 at most. To poll, keep \`endCursor\` and ask for the events \`after\` it: none is missed and none comes twice. To begin with new events only, ask for \`last: 1\`: \`endCursor\` is set also while there are no events. A filter passes over up to ${MAX_EXAMINED_EVENTS.toLocaleString('en')} events: a page can then have fewer entries than asked for, or none, and continues after \`endCursor\` while \`hasNextPage\` is true (before \`startCursor\` while \`hasPreviousPage\` is, with \`last\`). Events are kept for ${KEPT_DAYS} days; a cursor after which some have been deleted, or that is ahead of a database that was restored from a backup, is refused with CURSOR_EXPIRED.`,
      args: {
        types: t.arg({ type: [EventTypeRef], description: TYPES }),
        accountId: t.arg.id({ description: ONLY_EVENTS_OF_ACCOUNT }),
      },
      complexity: eventsComplexity,
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
    description: `The events of the query \`events\` as they happen, on any instance: each event once and in order. Keep the \`cursor\` of the last one. The stream ends with the error STREAM_ENDED after a quarter of an hour, and when an instance stops: open it again \`after\` that cursor, and no event is missed. It ends with UNAUTHENTICATED soon after the session or API token that opened it has ended. At most ${DEFAULT_STREAMS_PER_OWNER} streams at once on an instance, unless the operator has set another limit (TOO_MANY_STREAMS). A stream that has to catch up costs 1 for each further page of 50 events, or of ${MAX_EXAMINED_EVENTS.toLocaleString('en')} that its filter passes over, and waits while the rate limit is used up.`,
    args: {
      types: t.arg({ type: [EventTypeRef], description: TYPES }),
      accountId: t.arg.id({ description: ONLY_EVENTS_OF_ACCOUNT }),
      after: t.arg.string({
        description:
          'A cursor of this stream or of the query `events`: the stream begins with the event after it. Default: it begins with new events. To miss none, give the `endCursor` of the query.',
      }),
    },
    subscribe: (_, args, context) => {
      const { deps, viewer } = context
      if (viewer === null) throw new Error('Bug: a stream without a viewer')
      const reader = readerOf(context)
      return followEvents(deps, {
        reader,
        owner: viewer.kind === 'OPERATOR_TOKEN' ? viewer.apiToken.id : getUser(context).id,
        filter: readFilter(context, args),
        after: typeof args.after === 'string' ? eventCursor.parse(args.after, 'after').position : null,
        credential: credentialOf(viewer),
        isAllowed: () => isViewerGood(deps, viewer),
        payForPage: () => context.rateLimiter.consume(1),
      })
    },
    resolve: (event, _args, { accounts, tweets, linkedAccounts }) => {
      // One context serves the whole stream: what an earlier event has loaded may have changed.
      for (const loader of [accounts, tweets, linkedAccounts]) loader.clearAll()
      return { cursor: eventCursor.write(event), node: event }
    },
  }),
)

/** The complexity of a page of events: that of any page, and more for a filter. */
export function eventsComplexity(args: PageSize & EventArguments) {
  return filteredPageComplexity(args, (args.types ?? args.accountId ?? null) !== null)
}

type EventArguments = { types?: readonly EventType[] | null; accountId?: string | null }

/** A page of the events that a reader may see. */
export async function resolveEvents(
  context: GraphqlContext,
  reader: EventReader,
  args: DefaultConnectionArguments & EventArguments,
) {
  const { deps } = context
  const filter = readFilter(context, args)
  const reads: EventsRead[] = []
  const { edges, pageInfo } = await resolvePage(args, eventCursor, async ({ after, before, ...page }) => {
    const asked = { ...page, after: after?.position ?? null, before: before?.position ?? null }
    const read = await listEvents(deps, reader, filter, asked)
    reads.push(read)
    return read.events
  })
  const [read] = reads
  return {
    edges,
    pageInfo: read === undefined ? pageInfo : describePage(pageInfo, read, typeof args.last === 'number'),
  }
}

// A page that was asked for without a cursor and has no events gets the cursor after which all events
// are new.
function describePage(pageInfo: PageInfo, { examinedTo, lastPosition }: EventsRead, backward: boolean): PageInfo {
  const known = { ...pageInfo, endCursor: pageInfo.endCursor ?? eventCursor.write({ position: lastPosition }) }
  return continuePage(known, examinedTo === null ? null : eventCursor.write({ position: examinedTo }), backward)
}

function readerOf(context: GraphqlContext): EventReader {
  return context.viewer?.kind === 'OPERATOR_TOKEN'
    ? operatorReader(context.viewer)
    : { kind: 'USER', userId: getUser(context).id }
}

function readFilter({ viewer }: GraphqlContext, args: EventArguments): EventFilter {
  if (args.types?.length === 0)
    throw new AppError('BAD_USER_INPUT', { field: ['types'], detail: 'Name a type in "types", or leave it out.' })
  return { types: readableTypes(viewer, args.types ?? null), accountId: args.accountId ?? null }
}

// A name of GraphQL has no dots.
function enumName(type: EventType): string {
  return type.replace('.', '_').toUpperCase()
}
