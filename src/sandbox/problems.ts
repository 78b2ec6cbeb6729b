/**
 * Every refusal of X, word for word (fact sheet, tables of sections 1 and 2). The endpoints answer with them, and a test can
 * inject each by its name.
 */
export type Problem = { status: number; body: Record<string, unknown> }

const TYPE = 'https://api.x.com/2/problems'

/** The token and revocation endpoints (RFC 6749, section 5.2, with X's own words). */
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

/** The API. */
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
  'invalid-request': invalidRequest('$.text: is missing but it is required', {}),
  'invalid-media': invalidRequest('Your media IDs are invalid.', {}),
  'too-many-requests': blank(429, 'Too Many Requests', 'Too Many Requests'),
  'internal-server-error': blank(500, 'Internal Server Error', 'Internal Server Error'),
  'bad-gateway': blank(502, 'Bad Gateway', 'Bad Gateway'),
  'service-unavailable': blank(503, 'Service Unavailable', 'Service Unavailable'),
  'gateway-timeout': blank(504, 'Gateway Timeout', 'Gateway Timeout'),
  // The v2 bodies of these are not established; the sentences are those of X's numbered errors 64 and 326.
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

export type ProblemName = keyof typeof OAUTH_PROBLEMS | keyof typeof API_PROBLEMS

export function findProblem(name: string): Problem | null {
  const all: Record<string, Problem> = { ...OAUTH_PROBLEMS, ...API_PROBLEMS }
  return Object.hasOwn(all, name) ? (all[name] ?? null) : null
}

export function missingParameter(name: string): Problem {
  return oauth(400, 'invalid_request', `Missing required parameter [${name}].`)
}

export function invalidParameter(words: string): Problem {
  return oauth(400, 'invalid_request', `Value passed for the ${words} was invalid.`)
}

export function invalidRequest(message: string, parameters: Record<string, string[]>): Problem {
  return {
    status: 400,
    body: {
      errors: [{ message, parameters }],
      title: 'Invalid Request',
      detail: 'One or more parameters to your request was invalid.',
      type: `${TYPE}/invalid-request`,
    },
  }
}

/** A missing post or user is 200 with `errors` and no `data`. */
export function notFound(resource: 'tweet' | 'user', id: string, parameter: string): Record<string, unknown> {
  return {
    value: id,
    detail: `Could not find ${resource} with ${parameter}: [${id}].`,
    title: 'Not Found Error',
    resource_type: resource,
    parameter,
    resource_id: id,
    type: `${TYPE}/resource-not-found`,
  }
}

export function notVisible(resource: 'tweet' | 'user', id: string, parameter: string): Record<string, unknown> {
  return {
    value: id,
    detail: `Sorry, you are not authorized to see the ${resource} with ${parameter}: [${id}].`,
    title: 'Authorization Error',
    resource_type: resource,
    parameter,
    resource_id: id,
    section: 'data',
    type: `${TYPE}/not-authorized-for-resource`,
  }
}

/** OAuth errors are plain JSON; the API's are problem documents (OpenAPI, every `default` response). */
export function answerProblem(problem: Problem): Response {
  const isOAuth = 'error' in problem.body
  return new Response(JSON.stringify(problem.body), {
    status: problem.status,
    headers: {
      'content-type': isOAuth ? 'application/json;charset=UTF-8' : 'application/problem+json',
      ...(isOAuth ? { 'cache-control': 'no-store', pragma: 'no-cache' } : {}),
    },
  })
}

function oauth(status: number, error: string, description: string): Problem {
  return { status, body: { error, error_description: description } }
}

function blank(status: number, title: string, detail: string): Problem {
  return { status, body: { title, detail, type: 'about:blank', status } }
}

function paymentRequired(type: string): Problem {
  return {
    status: 402,
    body: {
      account_id: '1849302774156890113',
      title: 'Payment Required',
      detail: 'Your enrolled account does not have any credits to fulfill this request.',
      type: `${TYPE}/${type}`,
      status: 402,
    },
  }
}
