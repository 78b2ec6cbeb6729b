import { type ErrorCode, errorCodes } from '../error-codes.ts'

/**
 * The `extensions` of an error, as in every error response: its code and the retry advice of the
 * code.
 * @param more further fields of `extensions`.
 */
export function errorExtensions<More extends Record<string, unknown>>(code: ErrorCode, more?: More) {
  return { code, retry: errorCodes[code].retry, ...more }
}

/**
 * An HTTP error response in the shape of a GraphQL error, so that clients parse one shape on every
 * route. The exception is token revocation, whose errors follow RFC 6749 section 5.2.
 * @param message the code's own sentence unless given. The other options are further fields of
 * `extensions`.
 */
export function errorResponse(
  status: number,
  { code, message, ...more }: { code: ErrorCode; message?: string } & Record<string, unknown>,
  headers: Record<string, string> = {},
): Response {
  const error = { message: message ?? errorCodes[code].sentence, extensions: errorExtensions(code, more) }
  return Response.json({ errors: [error] }, { status, headers })
}

/**
 * A 405 response, with the methods that the path takes in the Allow header (RFC 9110 section
 * 15.5.6).
 */
export function methodNotAllowedResponse(methods: readonly string[], message?: string): Response {
  return errorResponse(
    405,
    { code: 'METHOD_NOT_ALLOWED', ...(message !== undefined && { message }) },
    { allow: methods.join(', ') },
  )
}

/**
 * The message of PERSISTED_QUERY_NOT_SUPPORTED. urql recognizes the error by this message, Apollo
 * Client by the code or by this message.
 */
export const PERSISTED_QUERY_MESSAGE = 'PersistedQueryNotSupported'

/** The headers of a 503 response that another request soon may not get. */
export const OUTAGE_HEADERS = { 'retry-after': '5' }

/** The codes of failures of this gateway that pass: their responses are a 503. */
export type UnavailableCode = Extract<ErrorCode, 'DATABASE_UNAVAILABLE' | 'ENCRYPTION_KEY_MISSING'>

/**
 * The 503 response to a request that this instance cannot serve now.
 * @param requestId identifies the cause in the log.
 */
export function unavailableResponse(code: UnavailableCode, requestId: string): Response {
  return errorResponse(503, { code, requestId }, OUTAGE_HEADERS)
}
