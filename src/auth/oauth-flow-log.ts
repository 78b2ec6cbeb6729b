// Writes one log line for each sign-in or connection that fails or waits for X, with the cause and
// the party that can resolve it.
import type { Deps } from '../deps.ts'
import { type ErrorCode, errorCodes } from '../error-codes.ts'
import type { AppError } from '../errors.ts'
import { findProviderFailure, findSocketReason, type SocketReason } from '../outbound/provider-failure.ts'
import type { AttemptKind } from './oauth-attempt.ts'
import { isProviderProblem, recordProviderProblem } from './provider-problems.ts'

/** An attempt as its log line names it. */
export type LoggedAttempt = { id: string; userId: string | null }

/** Returns the attempt that `find` reads, for its log line; null while the database is away. */
export async function findAttemptForLog<A>(find: () => Promise<A | null>): Promise<A | null> {
  try {
    return await find()
  } catch {
    return null
  }
}

/**
 * The party that can resolve a failure: the person at the browser, the operator, or the provider.
 */
export type Fault = 'PERSON' | 'OPERATOR' | 'PROVIDER'

const PROVIDER_DOWN: readonly ErrorCode[] = ['GITHUB_UNAVAILABLE', 'X_UNAVAILABLE']
// Failures between the gateway and the provider: a certificate, a name server, a firewall, or a
// wrong URL in the configuration.
const OPERATORS_NETWORK: readonly (SocketReason | null)[] = ['CERTIFICATE', 'TLS', 'DNS', 'REFUSED', 'UNREACHABLE']
const WAITING = 'A connection waits for X'
const LEVELS = { PERSON: 'info', PROVIDER: 'warn', OPERATOR: 'error' } as const

/**
 * Logs an OAuth flow that failed or waits, and records for /readyz a problem that only the operator
 * can resolve.
 * @param attempt null when none is known, or for an attempt of another browser.
 * @param outcome 'waiting' for a connection that a job continues. If that fails, it logs a line of
 * its own.
 */
export async function logFailedFlow(
  deps: Deps,
  kind: AttemptKind,
  attempt: LoggedAttempt | null,
  error: AppError,
  outcome: 'failed' | 'waiting' = 'failed',
): Promise<void> {
  const failure = findProviderFailure(error)
  const socketReason = failure?.socketReason ?? findSocketReason(error.cause)
  // An error in the callback's URL may be forged, so that it proves nothing about the deployment.
  const isUnproven = failure !== null && failure.httpStatus === null && failure.providerCode !== null
  const fault = isUnproven ? 'PERSON' : findFault(error.code, socketReason)
  const about = {
    errorCode: error.code,
    providerCode: failure?.providerCode ?? null,
    httpStatus: failure?.httpStatus ?? null,
    socketReason,
    attemptId: attempt?.id ?? null,
    userId: attempt?.userId ?? null,
    fault,
    ...(fault !== 'PERSON' && error.cause !== undefined && { error: error.cause }),
  }
  const what = outcome === 'waiting' ? WAITING : kind === 'GITHUB_SIGN_IN' ? 'A sign-in failed' : 'A connection failed'
  deps.log[LEVELS[fault]](about, fault === 'OPERATOR' ? `${what}: ${errorCodes[error.code].sentence}` : what)
  if (!isUnproven && isProviderProblem(error.code)) await recordProviderProblem(deps, error.code)
}

function findFault(code: ErrorCode, socketReason: SocketReason | null): Fault {
  if (isProviderProblem(code)) return 'OPERATOR'
  if (!PROVIDER_DOWN.includes(code)) return 'PERSON'
  return OPERATORS_NETWORK.includes(socketReason) ? 'OPERATOR' : 'PROVIDER'
}
