import { type ErrorCode, errorCodes } from '../error-codes.ts'

/**
 * An HTTP error response in the shape of a GraphQL error, so that clients parse one shape on every
 * route. The exception is token revocation, whose errors follow RFC 6749 section 5.2.
 * @param extensions further fields of `extensions`.
 */
export function errorResponse(
  status: number,
  { code, message, ...extensions }: { code: ErrorCode; message: string } & Record<string, unknown>,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ errors: [{ message, extensions: { code, ...extensions } }] }, { status, headers })
}

/**
 * The message of PERSISTED_QUERY_NOT_SUPPORTED. urql recognizes the error by this message, Apollo
 * Client by the code or by this message.
 */
export const PERSISTED_QUERY_MESSAGE = 'PersistedQueryNotSupported'

/** The headers of a 503 response while the database is unavailable. */
export const OUTAGE_HEADERS = { 'retry-after': '5' }

/**
 * The response while the database is unavailable.
 * @param requestId identifies the cause in the log.
 */
export function outageResponse(requestId: string): Response {
  const code: ErrorCode = 'DATABASE_UNAVAILABLE'
  return errorResponse(503, { code, message: errorCodes[code].sentence, requestId }, OUTAGE_HEADERS)
}
