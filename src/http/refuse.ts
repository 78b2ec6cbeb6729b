import type { ErrorCode } from '../errors.ts'

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

/** The message of PERSISTED_QUERY_NOT_SUPPORTED. urql knows the error by these words, Apollo by the code or by these words. */
export const PERSISTED_QUERY_MESSAGE = 'PersistedQueryNotSupported'

/** What everybody is told while the database is away. @param requestId by which the log tells more */
export function refuseForOutage(requestId: string): Response {
  const message = 'The database does not answer. Try again shortly.'
  return refuse(503, { code: 'INTERNAL', message, requestId }, { 'retry-after': '5' })
}
