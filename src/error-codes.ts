/**
 * The closed list of what can go wrong for a caller, published in the SDL as the enum `ErrorCode`.
 *
 * `sentence` says what to do next. `retry` says what makes another try worth while: `later` (time alone may cure it),
 * `action` (somebody has to do something first, then the same request may succeed) or `never`.
 */
export const errorCodes = {
  // About the request itself: top-level GraphQL errors.
  UNAUTHENTICATED: {
    retry: 'action',
    sentence: 'Sign in first, by opening /auth/github in this browser, or send an API token.',
  },
  CROSS_SITE_ORIGIN: {
    retry: 'action',
    sentence:
      "This page is on another site than the gateway, so that the browser sends no session cookie, and signing in again does not help. The operator has to serve both from one site (docs/front-ends.md), or the page's server has to send an API token.",
  },
  FORBIDDEN: { retry: 'action', sentence: 'What you asked with may not do this.' },
  BAD_USER_INPUT: { retry: 'never', sentence: 'Correct the input and send it again.' },
  PERSISTED_QUERY_NOT_SUPPORTED: {
    retry: 'action',
    sentence: 'Documents are not kept by their hash here. Send the whole document as "query".',
  },
  RATE_LIMITED: {
    retry: 'later',
    sentence: 'X, or this gateway, allows no more of these calls just now. Try again at retryAt.',
  },
  DATABASE_UNAVAILABLE: { retry: 'later', sentence: 'The database does not answer. Try again shortly.' },
  INTERNAL: {
    retry: 'later',
    sentence: 'Something broke on our side. Try again; if it persists, report the request id.',
  },

  // Signing in and linking.
  ATTEMPT_UNKNOWN: { retry: 'action', sentence: 'This sign-in or link attempt is not known here. Start again.' },
  ATTEMPT_EXPIRED: { retry: 'action', sentence: 'This attempt took longer than ten minutes. Start again.' },
  ATTEMPT_ALREADY_USED: {
    retry: 'action',
    sentence: 'This attempt is already finished. Look at its outcome, or start again.',
  },
  CALLBACK_INVALID: {
    retry: 'action',
    sentence: 'The provider sent back something we do not understand. Start again.',
  },
  ISSUER_MISMATCH: {
    retry: 'action',
    sentence:
      'The response came from another provider than the one that was asked. Start again. If that persists at a GitHub Enterprise Server, the operator has to set GITHUB_URL to the address that it has in a browser.',
  },
  SESSION_MISSING: {
    retry: 'action',
    sentence: 'You are not signed in in this browser. Sign in, then start linking again.',
  },
  SESSION_MISMATCH: {
    retry: 'action',
    sentence:
      'This link attempt was started by another session. Nothing was linked. Start again from your own session.',
  },
  ACCESS_DENIED: {
    retry: 'action',
    sentence: 'The request was declined at the provider. Start again if that was a mistake.',
  },
  CODE_REJECTED: { retry: 'action', sentence: 'The provider did not accept the authorization code. Start again.' },
  WRONG_ACCOUNT: {
    retry: 'action',
    sentence: 'X is signed in to another account than the one asked for. Switch accounts at x.com, then start again.',
  },
  ACCOUNT_LINKED_TO_ANOTHER_USER: {
    retry: 'action',
    sentence: 'This X account is linked to another user here. Disconnect it there first.',
  },
  SCOPES_MISSING: {
    retry: 'action',
    sentence:
      'X did not grant the scopes needed to read the profile (tweet.read, users.read). Start again and approve them.',
  },
  RETURN_TO_NOT_ALLOWED: {
    retry: 'never',
    sentence:
      'returnTo must be a path of this gateway, but none below /auth, or a URL of an origin listed in ALLOWED_ORIGINS, of up to 2,000 characters.',
  },
  X_REDIRECT_MISMATCH: {
    retry: 'later',
    sentence:
      "X did not accept this gateway's callback URL. The operator has to give all instances the same PUBLIC_URL, and register PUBLIC_URL/auth/x/callback at X. Then start again.",
  },
  X_CREDENTIALS_REJECTED: {
    retry: 'later',
    sentence:
      "X rejected this gateway's own app credentials. Nothing is wrong with the account; the operator has to check X_CLIENT_ID and X_CLIENT_SECRET.",
  },
  X_UNAVAILABLE: {
    retry: 'later',
    sentence:
      'X could not be reached, answered with an error of its own, or something in front of it answered instead. Try again shortly.',
  },
  GITHUB_CREDENTIALS_REJECTED: {
    retry: 'later',
    sentence:
      "GitHub rejected this gateway's own app credentials. The operator has to check GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET and GITHUB_URL.",
  },
  GITHUB_REDIRECT_MISMATCH: {
    retry: 'later',
    sentence:
      "GitHub did not accept this gateway's callback URL. The operator has to set PUBLIC_URL, and register PUBLIC_URL/auth/github/callback as the callback URL of the app at GitHub.",
  },
  GITHUB_APP_SUSPENDED: {
    retry: 'later',
    sentence:
      "GitHub has suspended this gateway's app. The operator has to settle that with GitHub's support, or register another app.",
  },
  GITHUB_EMAIL_UNVERIFIED: {
    retry: 'action',
    sentence:
      'The primary email address of your GitHub account is not verified. Verify it at GitHub, under Settings, Emails, then sign in again.',
  },
  GITHUB_ACCOUNT_SUSPENDED: {
    retry: 'action',
    sentence: "GitHub has suspended your account. Settle that with GitHub's support, then sign in again.",
  },
  GITHUB_API_FORBIDDEN: {
    retry: 'later',
    sentence:
      'GitHub refused to show your profile to this gateway. The operator has to check whether an IP allow list or a policy at GitHub shuts the gateway or its app out.',
  },
  GITHUB_API_NOT_FOUND: {
    retry: 'later',
    sentence:
      'There is no GitHub API at GITHUB_API_URL. The operator has to correct it: for an Enterprise Server it is GITHUB_URL/api/v3.',
  },
  GITHUB_UNAVAILABLE: { retry: 'later', sentence: 'GitHub could not be reached. Try again shortly.' },

  // Sessions.
  SESSION_NOT_FOUND: {
    retry: 'never',
    sentence: 'You have no session with this id. It may have ended already: list yours with sessions.',
  },
  REAUTH_REQUIRED: {
    retry: 'action',
    sentence:
      'This takes a sign-in within the last ten minutes. Sign in again, by opening /auth/github in this browser, then send it again.',
  },

  // Leaving.
  LOGIN_MISMATCH: {
    retry: 'never',
    sentence: 'To delete everything that is stored of you, repeat your own GitHub login.',
  },

  // Accounts.
  ACCOUNT_NOT_FOUND: {
    retry: 'never',
    sentence: 'You have no connected account with this id. List yours with connectedAccounts.',
  },
  NO_ACTIVE_ACCOUNT: { retry: 'action', sentence: 'You have no active X account. Link one with startXConnect.' },
  ACCOUNT_AMBIGUOUS: { retry: 'action', sentence: 'You have several active X accounts. Say which one with accountId.' },
  ACCOUNT_DISCONNECTED: {
    retry: 'action',
    sentence: 'This account is disconnected. Link it again with startXConnect.',
  },
  ACCOUNT_NEEDS_REAUTH: {
    retry: 'action',
    sentence:
      'X no longer accepts our grant for this account. Link it again with startXConnect(input: {reconnectAccountId}).',
  },
  ACCOUNT_SUSPENDED: { retry: 'action', sentence: 'X has suspended or locked this account. Resolve that at x.com.' },
  SCOPE_MISSING: {
    retry: 'action',
    sentence:
      'The user did not grant the scope this needs (see missingScopes). Link the account again with startXConnect.',
  },
  REFRESH_IN_PROGRESS: {
    retry: 'later',
    sentence: "The account's access token is being renewed. Try again in a few seconds.",
  },

  // Events.
  EVENTS_MISSED: {
    retry: 'never',
    sentence:
      'The events that followed this cursor are not all kept any more. Read connectedAccounts and tweets to see how things stand, then go on without a cursor.',
  },
  STREAM_ENDED: {
    retry: 'later',
    sentence:
      'This stream has ended, as each does after a quarter of an hour and when an instance stops. Nothing is wrong: open it again, after the last cursor that you got.',
  },
  TOO_MANY_STREAMS: {
    retry: 'later',
    sentence:
      'You have five event streams open, which is as many as one may. Close one, or follow several things in one stream.',
  },

  // API tokens.
  API_TOKEN_NOT_FOUND: { retry: 'never', sentence: 'You have no API token with this id. List yours with apiTokens.' },
  API_TOKEN_NAME_INVALID: {
    retry: 'never',
    sentence: 'An API token needs a name of 1 to 100 characters, on one line.',
  },
  API_TOKEN_SCOPES_INVALID: { retry: 'never', sentence: 'Give the API token at least one scope, and only known ones.' },
  API_TOKEN_EXPIRY_INVALID: {
    retry: 'never',
    sentence: 'An API token is good for a whole number of days, from 1 to 366.',
  },
  TOO_MANY_API_TOKENS: {
    retry: 'action',
    sentence: 'You have 50 API tokens, which is as many as can be good at once. Revoke one that is not used any more.',
  },

  // Tweets.
  TEXT_EMPTY: { retry: 'never', sentence: 'A tweet needs text.' },
  TEXT_TOO_LONG: {
    retry: 'never',
    sentence:
      'The text is longer than X allowed this account when it was last connected. Shorten it; or, if its subscription has changed since, connect it again with startXConnect(input: {reconnectAccountId}).',
  },
  TEXT_INVALID_CHARACTERS: {
    retry: 'never',
    sentence: 'The text holds characters that X does not accept (U+FFFE, U+FEFF, U+FFFF, lone surrogates).',
  },
  IDEMPOTENCY_KEY_INVALID: {
    retry: 'never',
    sentence: 'An idempotency key is 1 to 255 characters of well-formed Unicode, without lone surrogates and U+0000.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    retry: 'never',
    sentence: 'This idempotency key was used with other input. Use a new key for a new tweet.',
  },
  REPLY_TARGET_INVALID: { retry: 'never', sentence: 'replyToXTweetId is the decimal id of a tweet at X.' },
  TWEET_NOT_FOUND: { retry: 'never', sentence: 'You have no tweet with this id. List yours with tweets.' },
  TWEET_NOT_POSTED: { retry: 'never', sentence: 'Only a tweet that is POSTED can be deleted.' },
  DUPLICATE_TWEET: { retry: 'never', sentence: 'X refuses the same text twice in a short time. Change the text.' },
  TWEET_REFUSED: {
    retry: 'never',
    sentence: 'X does not permit this account to post this. Its rules on length, cashtags or content may apply.',
  },
  MENTION_NOT_ALLOWED: {
    retry: 'never',
    sentence: "X does not let this gateway's app name people outside of a conversation with them. Take the @names out.",
  },
  REPLY_NOT_ALLOWED: {
    retry: 'never',
    sentence: 'X allows a reply only where the author mentioned or quoted this account, and lets it reply.',
  },
  REPLY_TARGET_GONE: { retry: 'never', sentence: 'The tweet to reply to is deleted or not visible to this account.' },
  X_REJECTED_REQUEST: { retry: 'never', sentence: 'X found a parameter of the request invalid.' },
  X_APP_NOT_ENROLLED: {
    retry: 'action',
    sentence: "This gateway's X app is not enrolled for posting. The operator has to attach it to a project at X.",
  },
  X_APP_READ_ONLY: {
    retry: 'action',
    sentence:
      "This gateway's X app may only read. The operator has to set its permissions to Read and write in X's developer console; then link the account again.",
  },
  X_APP_SUSPENDED: {
    retry: 'action',
    sentence: "X has suspended this gateway's app. The operator has to resolve that with X.",
  },
  X_SUSPECTS_AUTOMATION: {
    retry: 'later',
    sentence: 'X took this for the work of an automaton and refused it for now. Wait a while, then send it again.',
  },
  X_CREDITS_EXHAUSTED: {
    retry: 'action',
    sentence: "This gateway's X credits are used up. The operator has to add credits at X.",
  },
  X_USAGE_CAPPED: {
    retry: 'later',
    sentence:
      "This gateway's usage or spending cap at X is reached. The operator can raise it in X's developer console; otherwise it ends with the billing period.",
  },
  POST_INTERRUPTED: {
    retry: 'later',
    sentence: 'The gateway stopped before the tweet was sent. Nothing was posted; send it again.',
  },
  NOT_POSTED: {
    retry: 'action',
    sentence:
      'X took the request but never posted it. Send it again if it is still wanted; the same idempotency key will do.',
  },
  OUTCOME_UNKNOWN: {
    retry: 'never',
    sentence:
      'X did not tell whether it posted this. It is being looked for in the timeline; ask again in a minute or two. It is never sent twice.',
  },

  // Webhooks.
  WEBHOOK_ENDPOINT_NOT_FOUND: {
    retry: 'never',
    sentence: 'You have no webhook endpoint with this id. List yours with webhookEndpoints.',
  },
  TOO_MANY_WEBHOOK_ENDPOINTS: {
    retry: 'action',
    sentence: 'You have as many webhook endpoints as a user may have. Delete one with deleteWebhookEndpoint first.',
  },
  WEBHOOK_ENDPOINT_DISABLED: {
    retry: 'action',
    sentence:
      'This webhook endpoint is disabled. Enable it with updateWebhookEndpoint(input: {endpointId, enabled: true}).',
  },
  WEBHOOK_URL_NOT_ALLOWED: {
    retry: 'action',
    sentence: 'Webhooks are sent by https to public addresses, at port 443 or 8443. Give another URL.',
  },
  WEBHOOK_DELIVERY_NOT_FOUND: {
    retry: 'never',
    sentence:
      'You have no webhook delivery with this id, or it is older than 30 days. List them with webhookDeliveries.',
  },
  WEBHOOK_DELIVERY_PENDING: {
    retry: 'later',
    sentence:
      'This webhook delivery is still on its way, and is tried again by itself. Replay it once it is DELIVERED or DEAD.',
  },
} as const satisfies Record<string, { retry: 'later' | 'action' | 'never'; sentence: string }>

/** A code of the closed list; the same names as the SDL enum `ErrorCode`. */
export type ErrorCode = keyof typeof errorCodes

/** True for a text that is a code of the list; for what comes back from the database. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text)
}
