// One line in the log for every sign-in and connection that fails, or has to wait for X: why, and
// who can do something about it.
import type { Deps } from '../deps.ts'
import { type ErrorCode, errorCodes } from '../error-codes.ts'
import type { AppError } from '../errors.ts'
import { findProviderFailure, findSocketReason, type SocketReason } from '../outbound/provider-failure.ts'
import { type ConnectAttempt, getAttemptByState } from './oauth-attempt.ts'
import { isProviderProblem, noteProviderProblem } from './provider-problems.ts'

/**
 * The attempt of a callback, for the line about it; null where none has this state, or the database
 * cannot say.
 */
export async function findAttemptForLog(
  deps: Deps,
  kind: ConnectAttempt['kind'],
  state: string | null,
): Promise<ConnectAttempt | null> {
  try {
    return await getAttemptByState(deps, kind, state)
  } catch {
    return null
  }
}

/** Who can cure a failure: the person at the browser, the gateway's operator, or the provider. */
export type Fault = 'PERSON' | 'OPERATOR' | 'PROVIDER'

const PROVIDER_DOWN: readonly ErrorCode[] = ['GITHUB_UNAVAILABLE', 'X_UNAVAILABLE']
// These lie between the gateway and the provider: a certificate, a name server, a firewall or a
// mistyped URL of the operator's.
const OPERATORS_NETWORK: readonly (SocketReason | null)[] = ['CERTIFICATE', 'TLS', 'DNS', 'REFUSED', 'UNREACHABLE']
const WAITING = 'A connection waits for X'
const LEVELS = { PERSON: 'info', PROVIDER: 'warn', OPERATOR: 'error' } as const

/**
 * Writes the line, and remembers for /readyz what only the operator can cure.
 * @param attempt null where none is known, or where it is not this browser's.
 * @param outcome 'waiting' for a connection that is not lost: a job asks X again, and how that ends
 * is a line of its own where it fails.
 */
export async function noteFailedRoundTrip(
  deps: Deps,
  kind: ConnectAttempt['kind'],
  attempt: Pick<ConnectAttempt, 'id' | 'userId'> | null,
  error: AppError,
  outcome: 'failed' | 'waiting' = 'failed',
): Promise<void> {
  const failure = findProviderFailure(error)
  const socketReason = failure?.socketReason ?? findSocketReason(error.cause)
  // The browser brought the provider's word, and anybody may have written it: it accuses nobody.
  const isHearsay = failure !== null && failure.httpStatus === null && failure.providerCode !== null
  const fault = isHearsay ? 'PERSON' : findFault(error.code, socketReason)
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
  if (!isHearsay && isProviderProblem(error.code)) await noteProviderProblem(deps, error.code)
}

function findFault(code: ErrorCode, socketReason: SocketReason | null): Fault {
  if (isProviderProblem(code)) return 'OPERATOR'
  if (!PROVIDER_DOWN.includes(code)) return 'PERSON'
  return OPERATORS_NETWORK.includes(socketReason) ? 'OPERATOR' : 'PROVIDER'
}
