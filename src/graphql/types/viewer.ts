// The viewer, and the lists that belong to the viewer. One query below `viewer` asks for everything
// a front end shows first; signed out, it returns `viewer: null`.
import { builder } from '../builder.ts'
import { apiTokensField } from './api-token.ts'
import { connectedAccountsField } from './connected-account.ts'
import {
  EventConnectionRef,
  EventEdgeRef,
  EventRef,
  EventTypeRef,
  eventsComplexity,
  ONLY_EVENTS_OF_ACCOUNT,
  resolveEvents,
} from './event.ts'
import { rateLimitField } from './rate-limit.ts'
import { sessionsField } from './session.ts'
import { tweetsField } from './tweet.ts'
import { UserRef } from './user.ts'
import { webhookEndpointsField } from './webhook-endpoint.ts'

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
  connectedAccounts: connectedAccountsField(t),
  tweets: tweetsField(t),
  events: t.connection(
    {
      type: EventRef,
      authScopes: { scope: 'events:read' },
      description: 'The events of the user, oldest first, as `Query.events` lists them.',
      args: {
        types: t.arg({ type: [EventTypeRef], description: 'Only events of these types. Default: all.' }),
        accountId: t.arg.id({ description: ONLY_EVENTS_OF_ACCOUNT }),
      },
      complexity: eventsComplexity,
      resolve: ({ id }, args, context) => resolveEvents(context, { kind: 'USER', userId: id }, args),
    },
    EventConnectionRef,
    EventEdgeRef,
  ),
  sessions: sessionsField(t),
  apiTokens: apiTokensField(t),
  webhookEndpoints: webhookEndpointsField(t),
  rateLimit: rateLimitField(t),
}))
