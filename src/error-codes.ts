/**
 * The closed list of error codes, published in the SDL as the enum `ErrorCode`.
 * Free of imports: the console's pages load this file too.
 *
 * `sentence` says what to do next. `retry` is the enum `RetryAdvice` of the SDL.
 */
export const errorCodes = {
  // About the request itself: top-level GraphQL errors, and refusals before GraphQL.
  UNAUTHENTICATED: {
    retry: 'AFTER_ACTION',
    sentence: 'Sign in first by opening /auth/github in this browser, or send an API token.',
  },
  CROSS_SITE_ORIGIN: {
    retry: 'AFTER_ACTION',
    sentence:
      "This page is on another site than the gateway, so the browser sends no session cookie, and signing in again does not help. The operator has to serve both from one site (docs/front-ends.md), or the page's server has to send an API token.",
  },
  FORBIDDEN: {
    retry: 'AFTER_ACTION',
    sentence: 'These credentials do not allow this request. Use a session or an API token that does.',
  },
  BAD_USER_INPUT: { retry: 'NEVER', sentence: 'Correct the input and send it again.' },
  PERSISTED_QUERY_NOT_SUPPORTED: {
    retry: 'NEVER',
    sentence: 'The gateway stores no documents by their hash. Send the whole document as "query".',
  },
  NOT_FOUND: {
    retry: 'NEVER',
    sentence: 'No route has this path. The API is POST /graphql; the console is /.',
  },
  METHOD_NOT_ALLOWED: {
    retry: 'NEVER',
    sentence: 'This path does not take this method. Use a method that the Allow header names.',
  },
  NOT_ACCEPTABLE: {
    retry: 'NEVER',
    sentence: 'The Accept header excludes the media type of the response. Send "accept: application/json".',
  },
  PAYLOAD_TOO_LARGE: { retry: 'NEVER', sentence: 'The body is too large. Send less in one request.' },
  RESPONSE_TOO_LARGE: {
    retry: 'NEVER',
    sentence:
      'The response is larger than this gateway sends. Ask for fewer fields, or for a smaller page. A mutation may have taken effect.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    retry: 'NEVER',
    sentence: 'Send the body as application/json in UTF-8, without a Content-Encoding.',
  },
  RATE_LIMITED: {
    retry: 'LATER',
    sentence: 'You have reached a rate limit of this gateway. Try again at retryAt.',
  },
  DATABASE_UNAVAILABLE: { retry: 'LATER', sentence: 'The database does not respond. Try again shortly.' },
  ENCRYPTION_KEY_MISSING: {
    retry: 'LATER',
    sentence:
      'This instance of the gateway lacks an encryption key that another instance uses. Nothing is lost: try again. The operator has to give all instances the same ENCRYPTION_KEYS.',
  },
  INTERNAL: {
    retry: 'LATER',
    sentence: 'The gateway failed. Try again; if the error persists, report the request id to the operator.',
  },

  // Signing in, and connecting X accounts.
  ATTEMPT_UNKNOWN: {
    retry: 'AFTER_ACTION',
    sentence: 'The gateway knows no such attempt to sign in or to connect an account. Start again.',
  },
  ATTEMPT_EXPIRED: { retry: 'AFTER_ACTION', sentence: 'This attempt took longer than ten minutes. Start again.' },
  ATTEMPT_ALREADY_USED: {
    retry: 'AFTER_ACTION',
    sentence: 'This attempt has already ended. Look at its outcome, or start again.',
  },
  CALLBACK_INVALID: {
    retry: 'AFTER_ACTION',
    sentence: 'The provider sent the browser back with parameters that are not valid. Start again.',
  },
  ISSUER_MISMATCH: {
    retry: 'AFTER_ACTION',
    sentence:
      'The response came from another provider than the one that was asked. Start again. If that persists at a GitHub Enterprise Server, the operator has to set GITHUB_URL to the address that it has in a browser.',
  },
  SESSION_MISSING: {
    retry: 'AFTER_ACTION',
    sentence: 'You are not signed in in this browser. Sign in, then start to connect the account again.',
  },
  SESSION_MISMATCH: {
    retry: 'AFTER_ACTION',
    sentence: 'Another session started this attempt. Nothing was connected. Start again from your own session.',
  },
  ACCESS_DENIED: {
    retry: 'AFTER_ACTION',
    sentence: 'The request was declined at the provider. Start again if that was a mistake.',
  },
  CODE_REJECTED: {
    retry: 'AFTER_ACTION',
    sentence: 'The provider did not accept the authorization code. Start again.',
  },
  WRONG_ACCOUNT: {
    retry: 'AFTER_ACTION',
    sentence: 'X is signed in to another account than the one asked for. Switch accounts at x.com, then start again.',
  },
  ACCOUNT_CONNECTED_TO_ANOTHER_USER: {
    retry: 'AFTER_ACTION',
    sentence: 'This X account is connected to another user of this gateway. Disconnect it there first.',
  },
  SCOPES_MISSING: {
    retry: 'AFTER_ACTION',
    sentence:
      'X did not grant a scope that this requires: tweet.read and users.read to connect an account, tweet.write to post with it. Connect the account again with startXConnect, and approve all scopes.',
  },
  RETURN_TO_NOT_ALLOWED: {
    retry: 'NEVER',
    sentence:
      'returnTo must be a path of this gateway outside of /auth, or a URL of an origin listed in ALLOWED_ORIGINS, of up to 2,000 characters.',
  },
  X_REDIRECT_MISMATCH: {
    retry: 'LATER',
    sentence:
      "X did not accept this gateway's callback URL. The operator has to give all instances the same PUBLIC_URL, and register PUBLIC_URL/auth/x/callback at X. Then start again.",
  },
  X_CREDENTIALS_REJECTED: {
    retry: 'LATER',
    sentence:
      "X rejected this gateway's own app credentials. Nothing is wrong with the account; the operator has to check X_CLIENT_ID and X_CLIENT_SECRET.",
  },
  X_UNAVAILABLE: {
    retry: 'LATER',
    sentence: 'X could not be reached, failed, or a proxy in front of it responded instead. Try again shortly.',
  },
  X_RATE_LIMITED: {
    retry: 'LATER',
    sentence: "This account, or this gateway's app, has reached a rate limit of X. Try again at retryAt.",
  },
  GITHUB_CREDENTIALS_REJECTED: {
    retry: 'LATER',
    sentence:
      "GitHub rejected this gateway's own app credentials. The operator has to check GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET and GITHUB_URL.",
  },
  GITHUB_REDIRECT_MISMATCH: {
    retry: 'LATER',
    sentence:
      "GitHub did not accept this gateway's callback URL. The operator has to set PUBLIC_URL, and register PUBLIC_URL/auth/github/callback as the callback URL of the app at GitHub.",
  },
  GITHUB_APP_SUSPENDED: {
    retry: 'LATER',
    sentence:
      "GitHub has suspended this gateway's app. The operator has to resolve that with GitHub's support, or register another app.",
  },
  GITHUB_EMAIL_UNVERIFIED: {
    retry: 'AFTER_ACTION',
    sentence:
      'The primary email address of your GitHub account is not verified. Verify it at GitHub, under Settings, Emails, then sign in again.',
  },
  GITHUB_ACCOUNT_SUSPENDED: {
    retry: 'AFTER_ACTION',
    sentence: "GitHub has suspended your account. Resolve that with GitHub's support, then sign in again.",
  },
  GITHUB_API_FORBIDDEN: {
    retry: 'LATER',
    sentence:
      'GitHub refused to show your profile to this gateway. The operator has to check whether an IP allow list or a policy at GitHub excludes the gateway or its app.',
  },
  GITHUB_API_NOT_FOUND: {
    retry: 'LATER',
    sentence:
      'There is no GitHub API at GITHUB_API_URL. The operator has to correct it: for an Enterprise Server it is GITHUB_URL/api/v3.',
  },
  GITHUB_ORG_ACCESS_RESTRICTED: {
    retry: 'AFTER_ACTION',
    sentence:
      "Only members of an organization at GitHub may sign in, and it does not show this gateway that you are one. Ask an owner of the organization to approve the gateway's app, or sign in to the organization's single sign-on; then sign in again.",
  },
  SIGN_IN_NOT_ALLOWED: {
    retry: 'AFTER_ACTION',
    sentence: 'Your GitHub account may not sign in to this gateway. Ask its operator to allow it. Nothing was stored.',
  },
  SIGN_IN_CLOSED: {
    retry: 'AFTER_ACTION',
    sentence: 'This gateway takes no new users. Ask its operator. Nothing was stored.',
  },
  INVITE_REQUIRED: {
    retry: 'AFTER_ACTION',
    sentence:
      'This gateway takes new users by invite only. Ask its operator for an invite link, and open it. Nothing was stored.',
  },
  INVITE_INVALID: {
    retry: 'AFTER_ACTION',
    sentence:
      'This invite was used, has expired or was revoked. Ask the operator of this gateway for another. Nothing was stored.',
  },
  USER_BLOCKED: {
    retry: 'AFTER_ACTION',
    sentence: 'The operator of this gateway has blocked your user. Ask them why.',
  },
  GITHUB_UNAVAILABLE: { retry: 'LATER', sentence: 'GitHub could not be reached. Try again shortly.' },

  // Administration, for operators.
  USER_NOT_FOUND: {
    retry: 'NEVER',
    sentence: 'There is no user with this id, or they are being deleted. Find users with admin.users.',
  },
  JOB_NOT_FOUND: {
    retry: 'NEVER',
    sentence:
      'This queue has no job with this id that waits or has failed; it may be running, or have ended. List the jobs with admin.jobs.',
  },
  INVITE_NOT_FOUND: {
    retry: 'NEVER',
    sentence:
      'There is no open invite with this id; it may have been used or revoked, or have expired. List the open ones with admin.invites.',
  },
  INVITE_NOTE_INVALID: {
    retry: 'NEVER',
    sentence: 'The note of an invite has 1 to 200 characters, without control characters and line breaks.',
  },
  INVITE_EXPIRY_INVALID: { retry: 'NEVER', sentence: 'An invite is valid for 1 to 90 whole days.' },
  TOO_MANY_INVITES: {
    retry: 'AFTER_ACTION',
    sentence: 'There are as many open invites as there may be. Revoke one that is no longer needed with revokeInvite.',
  },
  TWEET_NOT_UNKNOWN: {
    retry: 'NEVER',
    sentence: 'The outcome of this tweet is known. Only a tweet with the status UNKNOWN is looked for.',
  },

  // Sessions and the user.
  SESSION_NOT_FOUND: {
    retry: 'NEVER',
    sentence: 'You have no session with this id; it may have ended. List your sessions with sessions.',
  },
  RECENT_SIGN_IN_REQUIRED: {
    retry: 'AFTER_ACTION',
    sentence:
      'This requires a sign-in within the last ten minutes. Sign in again by opening /auth/github in this browser, then send the request again.',
  },
  LOGIN_MISMATCH: {
    retry: 'NEVER',
    sentence: 'To delete your user and all its data, send your own GitHub login as login.',
  },

  // Accounts.
  ACCOUNT_NOT_FOUND: {
    retry: 'NEVER',
    sentence: 'You have no connected account with this id. List yours with connectedAccounts.',
  },
  NO_ACTIVE_ACCOUNT: {
    retry: 'AFTER_ACTION',
    sentence: 'You have no active X account. Connect one with startXConnect.',
  },
  ACCOUNT_AMBIGUOUS: {
    retry: 'NEVER',
    sentence: 'You have several active X accounts. Name one of them with accountId.',
  },
  ACCOUNT_DISCONNECTED: {
    retry: 'AFTER_ACTION',
    sentence: 'This account is disconnected. Connect it again with startXConnect.',
  },
  ACCOUNT_NEEDS_REAUTH: {
    retry: 'AFTER_ACTION',
    sentence:
      "X no longer accepts the gateway's authorization for this account. Connect it again with startXConnect(input: {reconnectAccountId}).",
  },
  TOO_MANY_ACCOUNTS: {
    retry: 'AFTER_ACTION',
    sentence:
      'You have as many X accounts connected as the limit allows. Disconnect one that is no longer used with disconnectAccount, then connect this one again.',
  },
  ACCOUNT_SUSPENDED: {
    retry: 'AFTER_ACTION',
    sentence: 'X has suspended or locked this account. Resolve that at x.com.',
  },
  REFRESH_IN_PROGRESS: {
    retry: 'LATER',
    sentence: "The account's access token is being refreshed. Try again in a few seconds.",
  },

  // Events.
  CURSOR_EXPIRED: {
    retry: 'NEVER',
    sentence:
      'Some of the events after this cursor have been deleted, because they were too old. Read connectedAccounts and tweets for the present state, then go on without a cursor.',
  },
  STREAM_ENDED: {
    retry: 'LATER',
    sentence:
      'This stream has ended, as every stream does after a quarter of an hour and when an instance stops. Nothing is wrong: open it again after the last cursor that you received.',
  },
  TOO_MANY_STREAMS: {
    retry: 'LATER',
    sentence:
      'You have as many event streams open as the limit allows. Close one, or follow several types in one stream.',
  },

  // API tokens.
  API_TOKEN_NOT_FOUND: { retry: 'NEVER', sentence: 'You have no API token with this id. List yours with apiTokens.' },
  API_TOKEN_NAME_INVALID: {
    retry: 'NEVER',
    sentence: 'Name the API token with 1 to 100 characters on one line.',
  },
  API_TOKEN_SCOPES_INVALID: { retry: 'NEVER', sentence: 'Give the API token at least one scope, and only known ones.' },
  API_TOKEN_EXPIRY_INVALID: {
    retry: 'NEVER',
    sentence: 'Let the API token expire after a whole number of days, from 1 to 366.',
  },
  TOO_MANY_API_TOKENS: {
    retry: 'AFTER_ACTION',
    sentence:
      'You have as many active API tokens as the limit allows. Revoke one that is no longer used with revokeApiToken.',
  },

  // Tweets.
  TEXT_EMPTY: { retry: 'NEVER', sentence: 'The tweet has no text. Send one.' },
  TEXT_TOO_LONG: {
    retry: 'NEVER',
    sentence:
      'The text is longer than X allowed this account when it was last connected. Shorten it; or, if its subscription has changed since, connect it again with startXConnect(input: {reconnectAccountId}).',
  },
  TEXT_INVALID_CHARACTERS: {
    retry: 'NEVER',
    sentence:
      'The text contains characters that X does not accept (U+FFFE, U+FEFF, U+FFFF, lone surrogates). Remove them.',
  },
  IDEMPOTENCY_KEY_INVALID: {
    retry: 'NEVER',
    sentence:
      'Send an idempotency key of 1 to 255 characters of well-formed Unicode, without lone surrogates and U+0000.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    retry: 'NEVER',
    sentence:
      'This idempotency key was used with other input. A key is kept for 30 days after its tweet was last sent. Use a new key for a new tweet.',
  },
  REPLY_TARGET_INVALID: {
    retry: 'NEVER',
    sentence: "replyToXTweetId is not the id of a tweet at X. Send X's id as a string of decimal digits.",
  },
  TWEET_NOT_FOUND: { retry: 'NEVER', sentence: 'You have no tweet with this id. List yours with tweets.' },
  TWEET_NOT_DELETABLE: {
    retry: 'NEVER',
    sentence: 'This tweet is not at X. Only a tweet with the status POSTED can be deleted.',
  },
  DUPLICATE_TWEET: {
    retry: 'NEVER',
    sentence: 'X refuses the same text twice within a short time. Change the text.',
  },
  TWEET_REFUSED: {
    retry: 'NEVER',
    sentence:
      "X does not permit this account to post this. Check the text against X's rules on length, cashtags and content.",
  },
  MENTION_NOT_ALLOWED: {
    retry: 'NEVER',
    sentence:
      "X does not let this gateway's app mention people outside of a conversation with them. Remove the @names.",
  },
  REPLY_NOT_ALLOWED: {
    retry: 'NEVER',
    sentence:
      'X does not permit this reply. Reply only where the author has mentioned or quoted this account, and allows its replies.',
  },
  REPLY_TARGET_GONE: {
    retry: 'NEVER',
    sentence: 'The tweet to reply to is deleted, or not visible to this account. Reply to another one.',
  },
  X_REQUEST_INVALID: {
    retry: 'NEVER',
    sentence: 'X found a parameter of the request invalid. Correct the input and send it again.',
  },
  X_APP_NOT_ENROLLED: {
    retry: 'AFTER_ACTION',
    sentence: "This gateway's X app is not enrolled for posting. The operator has to attach it to a project at X.",
  },
  X_APP_READ_ONLY: {
    retry: 'AFTER_ACTION',
    sentence:
      "This gateway's X app may only read. The operator has to set its permissions to Read and write in X's developer console; then connect the account again.",
  },
  X_APP_SUSPENDED: {
    retry: 'AFTER_ACTION',
    sentence: "X has suspended this gateway's app. The operator has to resolve that with X.",
  },
  X_SUSPECTS_AUTOMATION: {
    retry: 'LATER',
    sentence: 'X suspects that this request was automated, and refused it for now. Send it again later.',
  },
  X_CREDITS_EXHAUSTED: {
    retry: 'AFTER_ACTION',
    sentence: "This gateway's X credits are used up. The operator has to add credits at X.",
  },
  X_USAGE_CAPPED: {
    retry: 'LATER',
    sentence:
      "This gateway has reached its usage or spending cap at X. The operator can raise it in X's developer console; otherwise it ends with the billing period.",
  },
  POST_INTERRUPTED: {
    retry: 'LATER',
    sentence: 'The gateway stopped before it sent the tweet. Nothing was posted; send it again.',
  },
  POSSIBLY_POSTED: {
    retry: 'LATER',
    sentence:
      "The operator has restored the database from a backup, and the account's timeline does not show yet whether a tweet with this idempotency key was posted before that. Nothing was posted now. Send it again with the same key; if this stays so and the tweet is not at X, send it without a key.",
  },
  NOT_POSTED: {
    retry: 'AFTER_ACTION',
    sentence:
      'X received the request but did not post the tweet. Send it again if you still want it; you can use the same idempotency key.',
  },
  OUTCOME_UNKNOWN: {
    retry: 'NEVER',
    sentence:
      "X did not say whether it posted this. The gateway looks for it in the account's timeline, and never sends it twice. Read the tweet again in a minute or two.",
  },

  // Webhooks.
  WEBHOOK_ENDPOINT_NOT_FOUND: {
    retry: 'NEVER',
    sentence: 'You have no webhook endpoint with this id. List yours with webhookEndpoints.',
  },
  TOO_MANY_WEBHOOK_ENDPOINTS: {
    retry: 'AFTER_ACTION',
    sentence: 'You have reached the limit of webhook endpoints. Delete one with deleteWebhookEndpoint first.',
  },
  WEBHOOK_ENDPOINT_DISABLED: {
    retry: 'AFTER_ACTION',
    sentence:
      'This webhook endpoint is disabled. Enable it with updateWebhookEndpoint(input: {webhookEndpointId, enabled: true}).',
  },
  WEBHOOK_URL_NOT_ALLOWED: {
    retry: 'AFTER_ACTION',
    sentence: 'Webhooks are sent by https to public addresses, at port 443 or 8443. Give another URL.',
  },
  WEBHOOK_DELIVERY_NOT_FOUND: {
    retry: 'NEVER',
    sentence:
      'You have no webhook delivery with this id, or it is older than 30 days. List them with webhookDeliveries.',
  },
  TOO_MANY_PENDING_DELIVERIES: {
    retry: 'LATER',
    sentence:
      'This webhook endpoint has as many pending deliveries as it may have. Replay this one when some of them are DELIVERED or DEAD.',
  },
  WEBHOOK_DELIVERY_PENDING: {
    retry: 'LATER',
    sentence:
      'This webhook delivery is still pending, and the gateway retries it by itself. Replay it once it is DELIVERED or DEAD.',
  },
} as const satisfies Record<string, { retry: RetryAdvice; sentence: string }>

/**
 * Whether a retry can succeed. `LATER`: time alone may resolve the error. `AFTER_ACTION`: the user
 * or the operator has to do something first, then the same request may succeed. `NEVER`: the same
 * request fails again.
 */
export type RetryAdvice = 'NEVER' | 'LATER' | 'AFTER_ACTION'

/** A code of the closed list; the same names as the SDL enum `ErrorCode`. */
export type ErrorCode = keyof typeof errorCodes

/** True for a text that is a code of the list. Codes come back as text from the database. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text)
}
