// The viewer, and the lists that belong to the viewer. One query below `viewer` asks for everything
// a front end shows first; signed out, it returns `viewer: null`.
import { listConnectedAccounts } from '../../accounts/accounts.ts'
import { listApiTokens, MAX_LISTED_TOKENS, MAX_LIVE_TOKENS } from '../../auth/api-token.ts'
import { listSessions, MAX_LISTED_SESSIONS } from '../../auth/session-list.ts'
import { listWebhookEndpoints } from '../../webhooks/endpoints.ts'
import { builder } from '../builder.ts'
import { getSession } from '../context.ts'
import { pageComplexity } from '../pagination.ts'
import { ApiTokenRef } from './api-token.ts'
import { ConnectedAccountRef } from './connected-account.ts'
import {
  EventConnectionRef,
  EventEdgeRef,
  EventRef,
  EventTypeRef,
  ONLY_EVENTS_OF_ACCOUNT,
  resolveEvents,
} from './event.ts'
import { RateLimitRef, resolveRateLimit } from './rate-limit.ts'
import { SessionRef } from './session.ts'
import { ONLY_TWEETS_OF_ACCOUNT, resolveTweets, TweetConnectionRef, TweetEdgeRef, TweetRef } from './tweet.ts'
import { UserRef } from './user.ts'
import { WebhookEndpointRef } from './webhook-endpoint.ts'

builder.queryField('viewer', (t) =>
  t.field({
    type: UserRef,
    nullable: true,
    authScopes: { anyone: true },
    description:
      "The signed-in user, or the user that an API token acts for. Null when signed out, and for an operator's API token. A browser signs in by opening /auth/github.",
    resolve: (_, _args, { viewer }) => (viewer === null || viewer.kind === 'OPERATOR_TOKEN' ? null : viewer.user),
  }),
)

builder.objectFields(UserRef, (t) => ({
  connectedAccounts: t.field({
    type: [ConnectedAccountRef],
    authScopes: { scope: 'accounts:read' },
    description: 'The X accounts of the user, the last connected first.',
    args: {
      includeDisconnected: t.arg.boolean({
        defaultValue: false,
        description: 'True for disconnected accounts as well.',
      }),
    },
    resolve: ({ id }, { includeDisconnected }, { deps }) =>
      listConnectedAccounts(deps, id, { includeDisconnected: includeDisconnected ?? false }),
  }),
  tweets: t.connection(
    {
      type: TweetRef,
      authScopes: { scope: 'tweets:read' },
      description: 'The tweets of the user, newest first: 20 a page by default, 100 at most.',
      args: { accountId: t.arg.id({ description: ONLY_TWEETS_OF_ACCOUNT }) },
      complexity: pageComplexity,
      resolve: ({ id }, args, context) => resolveTweets(context, id, args),
    },
    TweetConnectionRef,
    TweetEdgeRef,
  ),
  events: t.connection(
    {
      type: EventRef,
      authScopes: { scope: 'events:read' },
      description: 'The events of the user, oldest first, as `Query.events` lists them.',
      args: {
        types: t.arg({ type: [EventTypeRef], description: 'Only events of these types. Default: all.' }),
        accountId: t.arg.id({ description: ONLY_EVENTS_OF_ACCOUNT }),
      },
      complexity: pageComplexity,
      resolve: ({ id }, args, context) => resolveEvents(context, { kind: 'USER', userId: id }, args),
    },
    EventConnectionRef,
    EventEdgeRef,
  ),
  sessions: t.field({
    type: [SessionRef],
    authScopes: { session: true },
    description: `The browsers in which the user is signed in: that of this request, then the last used; ${MAX_LISTED_SESSIONS} at most.`,
    complexity: { field: 1, multiplier: MAX_LISTED_SESSIONS },
    resolve: (_, _args, context) => listSessions(context.deps, getSession(context).session),
  }),
  apiTokens: t.field({
    type: [ApiTokenRef],
    authScopes: { session: true },
    description: `The API tokens of the user: the active ones, then those that expired or were revoked in the last 30 days; each group newest first, ${MAX_LISTED_TOKENS} at most in all.`,
    complexity: { field: 1, multiplier: MAX_LIVE_TOKENS },
    resolve: ({ id }, _args, { deps }) => listApiTokens(deps, { userId: id }),
  }),
  webhookEndpoints: t.field({
    type: [WebhookEndpointRef],
    authScopes: { scope: 'events:read' },
    description: 'The webhook endpoints of the user, oldest first.',
    resolve: ({ id }, _args, { deps }) => listWebhookEndpoints(deps, id),
  }),
  rateLimit: t.field({
    type: RateLimitRef,
    nullable: true,
    authScopes: { anyone: true },
    description: 'The rate limit that this request counts towards; null when the operator has set none.',
    resolve: (_, _args, context) => resolveRateLimit(context),
  }),
}))
