// The errors of X that the sandbox returns, and that a test can inject by name.
import {
  blank,
  invalidRequest,
  missingParameter,
  numbered,
  oauth,
  type Problem,
  paymentRequired,
  TYPE,
} from './problem-format.ts'

const LOOKS_AUTOMATED =
  "This request looks like it might be automated. To protect our users from spam and other malicious activity, we can't complete this action right now. Please try again later."

/** Errors of the token and revocation endpoints (RFC 6749, section 5.2, with X's texts). */
export const OAUTH_PROBLEMS = {
  'invalid-code': oauth(400, 'invalid_request', 'Value passed for the authorization code was invalid.'),
  'wrong-verifier': oauth(
    400,
    'invalid_request',
    'Value passed for the code verifier did not match the code challenge.',
  ),
  'wrong-redirect': oauth(
    400,
    'invalid_request',
    'Value passed for the redirect uri did not match the uri of the authorization code.',
  ),
  'missing-code-verifier': missingParameter('code_verifier'),
  'missing-token-type-hint': missingParameter('token_type_hint'),
  'invalid-token': oauth(400, 'invalid_request', 'Value passed for the token was invalid.'),
  'invalid-grant': oauth(400, 'invalid_grant', 'Value passed for the token was invalid.'),
  'invalid-client': oauth(400, 'invalid_client', 'Value passed for the client id was invalid.'),
  'unauthorized-client': oauth(401, 'unauthorized_client', 'Missing valid authorization header'),
  'oauth-rate-limited': oauth(429, 'rate_limited', 'Too many requests. Please try again later.'),
  'temporarily-unavailable': oauth(503, 'temporarily_unavailable', 'The service is temporarily unavailable.'),
} as const satisfies Record<string, Problem>

/** Errors of the API. */
export const API_PROBLEMS = {
  unauthorized: blank(401, 'Unauthorized', 'Unauthorized'),
  'duplicate-content': blank(403, 'Forbidden', 'You are not allowed to create a Tweet with duplicate content.'),
  'not-permitted': blank(403, 'Forbidden', 'You are not permitted to perform this action.'),
  'missing-scope': blank(403, 'Forbidden', 'Forbidden'),
  'reply-not-allowed': {
    status: 403,
    body: {
      title: 'Forbidden',
      detail: 'You can only reply to or quote posts where you are mentioned or are the author.',
      type: `${TYPE}/not-authorized-for-resource`,
      status: 403,
      resource_type: 'tweet',
    },
  },
  // With this text since 2026.
  'reply-not-engaged': blank(
    403,
    'Forbidden',
    'Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the author of the post you are replying to.',
  ),
  'mentions-not-allowed': blank(
    403,
    'Forbidden',
    'Creating posts with @mentions is not allowed for your access package.',
  ),
  'looks-automated': blank(403, 'Forbidden', LOOKS_AUTOMATED),
  'daily-limit': blank(
    403,
    'Forbidden',
    'You have reached your daily limit for sending Tweets and messages. Please try again later.',
  ),
  'text-too-long': invalidRequest('Your Tweet text is too long. For more information on how Twitter calculates…', {}),
  'app-read-only': {
    status: 403,
    body: {
      title: 'Forbidden',
      status: 403,
      detail: 'Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.',
      type: `${TYPE}/oauth1-permissions`,
    },
  },
  'app-suspended': blank(403, 'Forbidden', 'This app has been suspended and is not permitted to make this request.'),
  'spend-cap-reached': {
    status: 403,
    body: {
      account_id: '1849302774156890113',
      title: 'SpendCapReached',
      detail: 'Your account has reached its billing cycle spend cap.',
      reset_date: '2026-12-12',
      type: `${TYPE}/credits`,
    },
  },
  'spend-cap-reached-typed': {
    status: 403,
    body: { title: 'Forbidden', detail: 'Forbidden', status: 403, type: `${TYPE}/spend-cap-reached` },
  },
  'reply-target-gone': blank(
    403,
    'Forbidden',
    'You attempted to reply to a Tweet that is deleted or not visible to you.',
  ),
  'not-your-tweet': blank(403, 'Forbidden', 'You are not authorized to delete this Tweet.'),
  'client-not-enrolled': {
    status: 403,
    body: {
      client_id: '29000000',
      detail:
        'When authenticating requests to the X API v2 endpoints, you must use keys and tokens from an enrolled app.',
      registration_url: 'https://developer.x.com/en/docs/projects/overview',
      title: 'Client Forbidden',
      required_enrollment: 'Appropriate Level of API Access',
      reason: 'client-not-enrolled',
      type: `${TYPE}/client-forbidden`,
    },
  },
  'credits-depleted': paymentRequired('credits-depleted'),
  'credits-depleted-older': paymentRequired('credits'),
  'usage-capped': {
    status: 429,
    body: {
      account_id: '1849302774156890113',
      product_name: 'pay-per-use',
      title: 'UsageCapExceeded',
      period: 'Monthly',
      scope: 'Product',
      detail: 'Usage cap exceeded: Monthly product cap',
      type: `${TYPE}/usage-capped`,
    },
  },
  // The format of API v1.1, which v2 uses in some cases.
  'v1-over-daily-limit': numbered(403, 185, 'User is over daily status update limit.'),
  'v1-too-long': numbered(403, 186, 'Tweet needs to be a bit shorter.'),
  'v1-duplicate': numbered(403, 187, 'Status is a duplicate.'),
  'v1-looks-automated': numbered(403, 226, LOOKS_AUTOMATED),
  'v1-app-read-only': numbered(403, 261, 'Application cannot perform write actions. Contact X Platform Operations.'),
  'v1-daily-limit': numbered(403, 344, 'You have reached your daily limit for sending Tweets and messages.'),
  'v1-reply-target-gone': numbered(
    403,
    385,
    'You attempted to reply to a Tweet that is deleted or not visible to you.',
  ),
  'v1-app-suspended': numbered(403, 416, 'The application has been suspended and cannot perform write actions.'),
  'v1-reply-restricted': numbered(403, 433, 'The original Tweet author restricted who can reply to this Tweet.'),
  'v1-access-level': numbered(403, 453, 'You currently have access to a subset of X API V2 endpoints only.'),
  'v1-suspended': numbered(403, 64, 'Your account is suspended and is not permitted to access this feature.'),
  'v1-locked': numbered(403, 326, 'To protect our users from spam, this account is temporarily locked.'),
  'v1-internal-error': numbered(403, 131, 'Internal error.'),
  'v1-unauthorized': numbered(401, 89, 'Invalid or expired token.'),
  'v1-rate-limited': numbered(429, 88, 'Rate limit exceeded'),
  'invalid-request': invalidRequest('$.text: is missing but it is required', {}),
  'invalid-media': invalidRequest('Your media IDs are invalid.', {}),
  'segments-do-not-add-up': invalidRequest('Segments do not add up to provided total file size.', {}),
  'duplicate-subscription': {
    status: 409,
    body: { title: 'Conflict', detail: 'DuplicateSubscription', status: 409, type: 'about:blank' },
  },
  'too-many-subscriptions': blank(400, 'Invalid Request', 'You have reached the limit of subscriptions.'),
  'too-many-streams': {
    status: 429,
    body: {
      title: 'ConnectionException',
      detail: 'This stream is currently at the maximum allowed connection limit.',
      connection_issue: 'TooManyConnections',
      type: `${TYPE}/streaming-connection`,
    },
  },
  'video-too-long': blank(403, 'Forbidden', 'This user is not allowed to post a video longer than 20 minutes.'),
  'too-many-requests': blank(429, 'Too Many Requests', 'Too Many Requests'),
  'internal-server-error': blank(500, 'Internal Server Error', 'Internal Server Error'),
  'bad-gateway': blank(502, 'Bad Gateway', 'Bad Gateway'),
  'service-unavailable': blank(503, 'Service Unavailable', 'Service Unavailable'),
  'gateway-timeout': blank(504, 'Gateway Timeout', 'Gateway Timeout'),
  // X does not document the v2 bodies of these; the texts are of the numbered errors 64 and 326.
  suspended: blank(403, 'Forbidden', 'Your account is suspended and is not permitted to access this feature.'),
  'suspended-unauthorized': blank(
    401,
    'Unauthorized',
    'Your account is suspended and is not permitted to access this feature.',
  ),
  locked: blank(
    403,
    'Forbidden',
    'To protect our users from spam and other malicious activity, this account is temporarily locked. Please log in to https://x.com to unlock your account.',
  ),
} as const satisfies Record<string, Problem>

/** The name of an error, by which a test can inject it. */
export type ProblemName = keyof typeof OAUTH_PROBLEMS | keyof typeof API_PROBLEMS

/** Returns the error with this name, or null. */
export function findProblem(name: string): Problem | null {
  const all: Record<string, Problem> = { ...OAUTH_PROBLEMS, ...API_PROBLEMS }
  return Object.hasOwn(all, name) ? (all[name] ?? null) : null
}
