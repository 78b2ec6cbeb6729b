import { type ErrorCode, errorCodes } from '../error-codes.ts'

/**
 * An answer that refuses a request, in the shape of the API's own errors wherever it comes from, so that a client reads one shape.
 * The endpoint for burning tokens alone answers otherwise, as RFC 6749 section 5.2 has it.
 * @param extensions what a program may read beside the code
 */
export function refuse(
  status: number,
  { code, message, ...extensions }: { code: ErrorCode; message: string } & Record<string, unknown>,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ errors: [{ message, extensions: { code, ...extensions } }] }, { status, headers })
}

/**
 * The message of PERSISTED_QUERY_NOT_SUPPORTED. urql knows the error by these words, Apollo by the
 * code or by these words.
 */
export const PERSISTED_QUERY_MESSAGE = 'PersistedQueryNotSupported'

/** The headers that go with the status 503 while the database is away. */
export const OUTAGE_HEADERS = { 'retry-after': '5' }

/** What everybody is told while the database is away. @param requestId by which the log tells more */
export function refuseForOutage(requestId: string): Response {
  const code: ErrorCode = 'DATABASE_UNAVAILABLE'
  return refuse(503, { code, message: errorCodes[code].sentence, requestId }, OUTAGE_HEADERS)
}
