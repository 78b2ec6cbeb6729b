import type { z } from 'zod'

/** An error of X, with the texts that X sends. */
export type Problem = { status: number; body: Record<string, unknown> }

/** The prefix of X's problem types. */
export const TYPE = 'https://api.x.com/2/problems'

/** Returns the OAuth error of a missing parameter. */
export function missingParameter(name: string): Problem {
  return oauth(400, 'invalid_request', `Missing required parameter [${name}].`)
}

/** Returns the OAuth error of an invalid parameter. */
export function invalidParameter(words: string): Problem {
  return oauth(400, 'invalid_request', `Value passed for the ${words} was invalid.`)
}

/** Returns the error of an invalid request to the API. */
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

/** Returns the error of a body that does not fit its schema. */
export function refuseBody(error: z.ZodError): Problem {
  const [issue] = error.issues
  if (issue === undefined) throw new Error('Bug: a refused body without an issue')
  const path = ['$', ...issue.path.map(String)].join('.')
  const message =
    issue.code === 'unrecognized_keys'
      ? `${path}.${issue.keys[0]}: is not defined in the schema and the schema does not allow additional properties`
      : `${path}: ${issue.message}`
  return invalidRequest(message, {})
}

/** Returns the error of a missing post or user, in a 200 with `errors` and no `data`. */
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

/** Returns the error of a post or user that the reader may not see, in a 200 with `errors`. */
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

/**
 * Returns the response: problem documents for the API (OpenAPI, `default` responses), plain JSON
 * for OAuth and numbered errors.
 */
export function problemResponse(problem: Problem): Response {
  const isOAuth = 'error' in problem.body
  const isPlain = isOAuth || !('type' in problem.body)
  return new Response(JSON.stringify(problem.body), {
    status: problem.status,
    headers: {
      'content-type': isPlain ? 'application/json;charset=UTF-8' : 'application/problem+json',
      ...(isOAuth ? { 'cache-control': 'no-store', pragma: 'no-cache' } : {}),
    },
  })
}

/** Returns an OAuth error (RFC 6749 section 5.2). */
export function oauth(status: number, error: string, description: string): Problem {
  return { status, body: { error, error_description: description } }
}

/** Returns a problem document without a type of its own. */
export function blank(status: number, title: string, detail: string): Problem {
  return { status, body: { title, detail, type: 'about:blank', status } }
}

/** Returns a numbered error of API v1.1. */
export function numbered(status: number, code: number, message: string): Problem {
  return { status, body: { errors: [{ code, message }] } }
}

/** Returns the 402 of an app without credits. */
export function paymentRequired(type: string): Problem {
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
