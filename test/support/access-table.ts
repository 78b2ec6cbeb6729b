// The expected access rule of every field in the schema, written by hand and not derived from the
// code. The tests fail for a field that is missing here, and for one with another rule.
import type { ApiScope, UserScope } from '../../src/auth/api-token.ts'

/** All kinds of callers: anonymous, a signed-in browser, and API tokens with these scopes. */
export const askers = {
  nobody: null,
  session: 'session',
  'accounts:read': ['accounts:read'],
  'accounts:write': ['accounts:write'],
  'tweets:read': ['tweets:read'],
  'tweets:write': ['tweets:write'],
  'events:read': ['events:read'],
  'all but accounts:read': ['accounts:write', 'tweets:read', 'tweets:write', 'events:read'],
  'all but accounts:write': ['accounts:read', 'tweets:read', 'tweets:write', 'events:read'],
  'all but tweets:read': ['accounts:read', 'accounts:write', 'tweets:write', 'events:read'],
  'all but tweets:write': ['accounts:read', 'accounts:write', 'tweets:read', 'events:read'],
  'all but events:read': ['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write'],
  'every scope': ['accounts:read', 'accounts:write', 'tweets:read', 'tweets:write', 'events:read'],
  'operator accounts:read': ['accounts:read'],
  'operator events:read': ['events:read'],
  'operator of both': ['accounts:read', 'events:read'],
  'operator admin:read': ['admin:read'],
  'operator admin:write': ['admin:write'],
} as const satisfies Record<string, null | 'session' | readonly ApiScope[]>

export type Asker = keyof typeof askers

export const everybody = Object.keys(askers) as Asker[]

const usersWith: Record<UserScope, readonly Asker[]> = {
  'accounts:read': [
    ...(['session', 'accounts:read', 'all but accounts:write', 'all but tweets:read'] as const),
    ...(['all but tweets:write', 'all but events:read', 'every scope'] as const),
  ],
  'accounts:write': [
    ...(['session', 'accounts:write', 'all but accounts:read', 'all but tweets:read'] as const),
    ...(['all but tweets:write', 'all but events:read', 'every scope'] as const),
  ],
  'tweets:read': [
    ...(['session', 'tweets:read', 'all but accounts:read', 'all but accounts:write'] as const),
    ...(['all but tweets:write', 'all but events:read', 'every scope'] as const),
  ],
  'tweets:write': [
    ...(['session', 'tweets:write', 'all but accounts:read', 'all but accounts:write'] as const),
    ...(['all but tweets:read', 'all but events:read', 'every scope'] as const),
  ],
  'events:read': [
    ...(['session', 'events:read', 'all but accounts:read', 'all but accounts:write'] as const),
    ...(['all but tweets:read', 'all but tweets:write', 'every scope'] as const),
  ],
}

/** The access rules by their text in a field's description, each with the callers it admits. */
export const rules: Record<string, readonly Asker[]> = {
  nothing: everybody,
  'a session or an API token': everybody.filter((asker) => asker !== 'nobody'),
  'a session': ['session'],
  ...usersWith,
  "operator's accounts:read": ['operator accounts:read', 'operator of both'],
  "operator's admin:read": ['operator admin:read'],
  "operator's admin:write": ['operator admin:write'],
  "events:read or operator's events:read": [
    ...usersWith['events:read'],
    ...(['operator events:read', 'operator of both'] as const),
  ],
}

/** The rule of a field that every caller admitted to its parent may read. */
export const PART = 'part'

/** Every field of every type in the schema, grouped by its access rule. */
export const table: Record<string, Record<string, string>> = {
  Query: {
    nothing: 'viewer rateLimit userDeletion',
    'a session or an API token': 'node nodes',
    'a session': 'apiTokens sessions',
    'accounts:read': 'connectAttempt connectedAccount connectedAccounts',
    'tweets:read': 'tweet tweets',
    'events:read': 'webhookDeliveries webhookEndpoints',
    "events:read or operator's events:read": 'events',
    "operator's accounts:read": 'linkedUser linkedUsers',
    "operator's admin:read": 'admin',
  },
  Mutation: {
    'a session': `createApiToken createWebhookEndpoint deleteViewer deleteWebhookEndpoint replayWebhookDelivery revokeApiToken
      revokeOtherSessions revokeSession rotateWebhookSecret setLinkVisibility signOut startXConnect testWebhookEndpoint updateWebhookEndpoint`,
    'accounts:write': 'disconnectAccount',
    'tweets:write': 'deleteTweet postTweet',
    "operator's admin:write": `blockUser createInvite deleteUser disconnectUserAccount reconcileUserTweet retryJob revokeInvite signOutUser
      unblockUser`,
  },
  Subscription: { "events:read or operator's events:read": 'events' },

  User: {
    nothing: 'rateLimit',
    'a session': 'apiTokens sessions',
    'accounts:read': 'connectedAccounts',
    'tweets:read': 'tweets',
    'events:read': 'events webhookEndpoints',
    part: 'avatarUrl createdAt githubId id linkVisibility login name',
  },
  UserDeletion: { part: 'finishedAt id requestedAt status' },
  LinkedUser: { "operator's accounts:read": 'accounts', part: 'githubId id login' },
  LinkedUserConnection: { part: 'edges nodes pageInfo' },
  LinkedUserEdge: { part: 'cursor node' },
  LinkedAccount: { part: 'connectedAt id provider providerAccountId status username' },
  ConnectedAccount: {
    part: `accessTokenExpiresAt avatarUrl connectedAt disconnectedAt displayName id lastUsedAt maxTweetLength missingScopes nextAction
      provider providerAccountId scopes status statusReason statusSince tokenHealth username`,
  },
  TokenHealth: { part: 'lastEvent lastEventAt nextTryAt' },
  ConnectAttempt: {
    'accounts:read': 'account',
    part: 'createdAt error expectedUsername expiresAt finishedAt id returnTo scopes status',
  },
  Tweet: {
    'accounts:read': 'account',
    part: 'createdAt error id madeWithAi postedAt replySettings replyToXTweetId status text url xTweetId',
  },
  TweetConnection: { part: 'edges nodes pageInfo totalCount' },
  TweetEdge: { part: 'cursor node' },
  Event: {
    'accounts:read': 'account',
    'tweets:read': 'tweet',
    "operator's accounts:read": 'linkedAccount',
    part: 'accountId actor apiTokenId id occurredAt reason tweetId type userId webhookEndpointId',
  },
  EventConnection: { part: 'edges nodes pageInfo' },
  EventEdge: { part: 'cursor node' },
  Session: { part: 'createdAt current device expiresAt id lastUsedAt' },
  ApiToken: { part: 'createdAt expiresAt id lastFour lastUsedAt name prefix revokedAt scopes status' },
  WebhookEndpoint: {
    'a session': 'url',
    part: 'createdAt description disabledReason failingSince id previousSecretEndsAt slowUntil status types',
  },
  WebhookDelivery: {
    part: `attempts createdAt deliveredAt eventId eventType id lastAttemptAt lastError lastHttpStatus nextAttemptAt
      status`,
  },
  WebhookDeliveryConnection: { part: 'edges nodes pageInfo' },
  WebhookDeliveryEdge: { part: 'cursor node' },
  RateLimit: { part: 'cost limit remaining resetAt windowSeconds' },
  PageInfo: { part: 'endCursor hasNextPage hasPreviousPage startCursor' },
  UserError: { part: 'code field message retry retryAt retryable' },

  Admin: {
    part: 'account accounts invites jobs stats tweet tweets unknownTweets user users',
  },
  AdminUser: { part: 'blockedAt createdAt githubId id isBeingDeleted linkVisibility login name' },
  AdminUserConnection: { part: 'edges nodes pageInfo' },
  AdminUserEdge: { part: 'cursor node' },
  AdminAccount: {
    part: `connectedAt disconnectedAt id lastUsedAt provider providerAccountId scopes status statusReason statusSince userId
      username`,
  },
  AdminAccountConnection: { part: 'edges nodes pageInfo' },
  AdminAccountEdge: { part: 'cursor node' },
  AdminTweet: {
    part: `accountId attempt createdAt errorCode errorDetail id postedAt status timelineReads unknownSince userId
      xTweetId`,
  },
  AdminTweetConnection: { part: 'edges nodes pageInfo' },
  AdminTweetEdge: { part: 'cursor node' },
  UnknownTweetConnection: { part: 'edges nodes pageInfo' },
  UnknownTweetEdge: { part: 'cursor node' },
  AdminJob: { part: 'createdAt dueAt id objectId queue retries status userId' },
  AdminJobConnection: { part: 'edges nodes pageInfo' },
  AdminJobEdge: { part: 'cursor node' },
  AdminInvite: { part: 'createdAt createdBy expiresAt id note' },
  AdminStats: { part: 'accounts deletions jobs pendingTweets tweets unknownTweets users' },
  RowCount: { part: 'count isExact' },
  JobCount: { part: 'count failed queue' },

  BlockUserPayload: { part: 'user userErrors' },
  CreateInvitePayload: { part: 'invite url userErrors' },
  DeleteUserPayload: { part: 'deletion userErrors' },
  DisconnectUserAccountPayload: { part: 'account userErrors' },
  ReconcileUserTweetPayload: { part: 'tweet userErrors' },
  RetryJobPayload: { part: 'job userErrors' },
  RevokeInvitePayload: { part: 'invite userErrors' },
  SignOutUserPayload: { part: 'endedSessions user userErrors' },
  UnblockUserPayload: { part: 'user userErrors' },
  CreateApiTokenPayload: { part: 'apiToken secret userErrors' },
  CreateWebhookEndpointPayload: { part: 'webhookEndpoint secret userErrors' },
  DeleteTweetPayload: { part: 'tweet userErrors' },
  DeleteViewerPayload: { part: 'deletedUserId deletion userErrors' },
  DeleteWebhookEndpointPayload: { part: 'deletedWebhookEndpointId userErrors' },
  DisconnectAccountPayload: { part: 'account userErrors' },
  PostTweetPayload: { part: 'tweet userErrors' },
  ReplayWebhookDeliveryPayload: { part: 'webhookDelivery userErrors' },
  RevokeApiTokenPayload: { part: 'apiToken userErrors' },
  RevokeOtherSessionsPayload: { part: 'revokedCount userErrors' },
  RevokeSessionPayload: { part: 'session userErrors' },
  RotateWebhookSecretPayload: { part: 'webhookEndpoint secret userErrors' },
  SetLinkVisibilityPayload: { part: 'user userErrors' },
  SignOutPayload: { part: 'signedOut userErrors' },
  StartXConnectPayload: { part: 'authorizationUrl connectAttempt userErrors' },
  TestWebhookEndpointPayload: { part: 'webhookEndpoint userErrors' },
  UpdateWebhookEndpointPayload: { part: 'webhookEndpoint userErrors' },
}

/** Returns each field of the table, such as `Tweet.account`, with its access rule. */
export const fields: readonly { type: string; name: string; rule: string }[] = Object.entries(table).flatMap(
  ([type, byRule]) =>
    Object.entries(byRule).flatMap(([rule, names]) => names.split(/\s+/).map((name) => ({ type, name, rule }))),
)

/** Returns the callers that an access rule admits. */
export function whoMay(rule: string): readonly Asker[] {
  const allowed = rule === PART ? everybody : rules[rule]
  if (allowed === undefined) throw new Error(`The table has no rule "${rule}"`)
  return allowed
}
