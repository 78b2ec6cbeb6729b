import type { ErrorHandler } from 'hono'
import { isUserGone } from '../db/violations.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { errorResponse, unavailableResponse } from './error-response.ts'
import { findUnavailable, logFailure } from './failure-log.ts'
import type { HttpEnv } from './request-context.ts'

const STATUSES: Partial<Record<ErrorCode, 401 | 429>> = { UNAUTHENTICATED: 401, RATE_LIMITED: 429 }

/**
 * Maps what a route threw to a response. Errors that are not an AppError are logged with their
 * request id.
 */
export function errorHandler(deps: Deps): ErrorHandler<HttpEnv> {
  return (thrown, c) => describeFailure(deps, thrown, c.var.requestId)
}

/** The response to a request whose route has thrown. */
export function describeFailure(deps: Deps, thrown: unknown, requestId: string): Response {
  // The user was deleted while the request ran.
  const error = isUserGone(thrown) ? new AppError('UNAUTHENTICATED', { cause: thrown }) : thrown
  if (error instanceof AppError) {
    const { code, message, retryAt } = error
    return errorResponse(STATUSES[code] ?? 400, { code, message, ...(retryAt && { retryAt }) })
  }
  logFailure(deps, error, requestId)
  const unavailable = findUnavailable(error)
  if (unavailable !== null) return unavailableResponse(unavailable, requestId)
  return errorResponse(500, { code: 'INTERNAL', requestId })
}
