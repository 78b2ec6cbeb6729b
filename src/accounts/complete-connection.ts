// Completes a connect attempt after X has issued its token pair: finds out which account the pair
// belongs to, and then stores the connection, refuses it, or tries again later. The callback runs
// this while the person waits, and a job runs it afterwards.
import { sql } from 'drizzle-orm'
import { isAttempt } from '../auth/connect-attempt.ts'
import { logFailedFlow } from '../auth/oauth-flow-log.ts'
import { clearProviderProblems } from '../auth/provider-problems.ts'
import { sqlIn } from '../db/clock.ts'
import type { JobData } from '../db/jobs.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import { connectAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import type { XProfile } from '../x/api.ts'
import { canReadProfile } from '../x/scopes.ts'
import { type AttemptWithTokens, claimAttempt, type TakenAttempt, updateAttempt } from './attempt-tokens.ts'
import { findAccountMismatch, isOwnAccount } from './expected-account.ts'
import { identifyAccount } from './identify-account.ts'
import { type Refused, refuseConnection } from './refuse-connection.ts'
import { storeConnection } from './store-connection.ts'

/**
 * The outcome of a connect attempt. `isRepeated` is true when another process has produced it, and
 * logged it.
 */
export type ConnectOutcome = (
  | { status: 'connected' }
  | { status: 'failed'; error: AppError }
  /** X cannot say yet which account was approved. A job asks again. */
  | { status: 'waiting'; error: AppError }
) & { isRepeated?: boolean }

// The time that an operator may need to buy credits. A refresh token lives for half a year.
const KEPT_SECONDS = 7 * 86_400
const MIN_WAIT_SECONDS = 5
const MAX_WAIT_SECONDS = 300
const BLOCKED_WAIT_SECONDS = 60

/** Continues an attempt that waits for X, if it is due. */
export async function resumeConnection(deps: Deps, { userId, id: attemptId }: JobData): Promise<void> {
  const claimed = await claimAttempt(deps, userId, attemptId)
  if (claimed === null) return
  const outcome = await completeConnection(deps, claimed, false)
  if (outcome.isRepeated) return
  if (outcome.status !== 'connected')
    return logFailedFlow(deps, 'X_CONNECT', claimed.attempt, outcome.error, outcome.status)
  await clearProviderProblems(deps, 'X')
  deps.log.info({ attemptId }, 'A connection that waited for X is stored')
}

/**
 * Completes a claimed attempt.
 * @param personWaits true to repeat the call for some seconds after a temporary failure of X.
 */
export async function completeConnection(
  deps: Deps,
  claimed: AttemptWithTokens,
  personWaits: boolean,
): Promise<ConnectOutcome> {
  if (!canReadProfile(claimed.tokens.scopes)) return refuse(deps, claimed, { error: new AppError('SCOPES_MISSING') })
  const identified = await identifyAccount(deps, claimed, personWaits)
  switch (identified.kind) {
    case 'taken-over':
      return readOutcome(deps, claimed.attempt)
    case 'dead':
      return refuse(deps, claimed, { error: new AppError('X_UNAVAILABLE'), isDead: true })
    case 'refused':
      return refuse(deps, identified.claimed, { error: identified.error })
    case 'waiting':
      return wait(deps, identified.claimed, identified.error)
    case 'found':
      return storeOrRefuse(deps, identified.claimed, identified.profile)
  }
}

async function storeOrRefuse(deps: Deps, claimed: AttemptWithTokens, profile: XProfile): Promise<ConnectOutcome> {
  const { attempt } = claimed
  const mismatch = await findAccountMismatch(deps, attempt, profile)
  // X has ended the account's earlier token pair. If the account is connected to this user, the new
  // pair keeps that connection alive, although the attempt fails.
  if (mismatch !== null && !(await isOwnAccount(deps, attempt.userId, profile)))
    return refuse(deps, claimed, { error: mismatch, profile })
  try {
    const stored = await storeConnection(deps, claimed, profile, mismatch)
    switch (stored) {
      case 'stored':
        return mismatch === null ? { status: 'connected' } : { status: 'failed', error: mismatch }
      case 'taken-over':
        return readOutcome(deps, attempt)
      case 'dead':
        return refuse(deps, claimed, { error: replacedError(profile), profile, isDead: true })
      case 'undecided':
        return wait(deps, claimed, new AppError('X_UNAVAILABLE'))
    }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return refuse(deps, claimed, { error, profile })
  }
}

function replacedError({ username }: XProfile): AppError {
  return new AppError('X_UNAVAILABLE', {
    detail: `@${username} was approved at X a second time meanwhile, which ended this approval. Start again.`,
  })
}

async function refuse(deps: Deps, claimed: AttemptWithTokens, refused: Refused): Promise<ConnectOutcome> {
  const result = await refuseConnection(deps, claimed, refused)
  if (result.kind === 'refused') return { status: 'failed', error: result.error }
  if (result.kind === 'taken-over') return readOutcome(deps, claimed.attempt)
  return wait(deps, claimed, new AppError('X_UNAVAILABLE'))
}

async function wait(deps: Deps, claimed: AttemptWithTokens, error: AppError): Promise<ConnectOutcome> {
  const { attempt } = claimed
  const ageSeconds = (deps.clock.now().getTime() - attempt.takenAt.getTime()) / 1000
  if (ageSeconds > KEPT_SECONDS) return refuse(deps, claimed, { error })
  const seconds = secondsToWait(deps, attempt, error)
  const retryAt = new Date(deps.clock.now().getTime() + seconds * 1000)
  const values = {
    status: 'WAITING',
    errorCode: error.code,
    errorDetail: null,
    retryAt,
    nextTryAt: sqlIn(deps.clock, seconds),
    tries: sql`${connectAttempts.tries} + 1`,
  } as const
  const isWritten = await retryUntilWritten(deps, 'store that a connect attempt waits for X', () =>
    updateAttempt(deps, claimed, values),
  )
  if (!isWritten) return readOutcome(deps, attempt)
  return { status: 'waiting', error: new AppError(error.code, { retryAt, cause: error }) }
}

function secondsToWait(deps: Deps, attempt: TakenAttempt, { code, retryAt }: AppError): number {
  // An operator may raise the cap before it ends.
  if (code === 'X_USAGE_CAPPED') return MAX_WAIT_SECONDS
  if (retryAt !== null) return Math.max((retryAt.getTime() - deps.clock.now().getTime()) / 1000, 1)
  if (code !== 'X_UNAVAILABLE') return code === 'X_RATE_LIMITED' ? BLOCKED_WAIT_SECONDS : MAX_WAIT_SECONDS
  const maxSeconds = Math.min(MIN_WAIT_SECONDS * 2 ** Math.min(attempt.tries, 10), MAX_WAIT_SECONDS)
  return maxSeconds / 2 + (Math.random() * maxSeconds) / 2
}

// Another process has finished the attempt, or it was deleted with its user.
async function readOutcome(deps: Deps, attempt: TakenAttempt): Promise<ConnectOutcome> {
  const [row] = await deps.db.select().from(connectAttempts).where(isAttempt(attempt))
  if (row === undefined) return { status: 'failed', error: new AppError('SESSION_MISSING'), isRepeated: true }
  if (row.status === 'SUCCEEDED') return { status: 'connected', isRepeated: true }
  const error = recordedError(row) ?? new AppError('X_UNAVAILABLE')
  return { status: row.status === 'FAILED' ? 'failed' : 'waiting', error, isRepeated: true }
}

/** Returns the error with which an attempt failed or waits; null where there is none. */
export function recordedError({
  errorCode,
  errorDetail,
  retryAt,
}: Pick<typeof connectAttempts.$inferSelect, 'errorCode' | 'errorDetail' | 'retryAt'>): AppError | null {
  if (errorCode === null) return null
  return new AppError(isErrorCode(errorCode) ? errorCode : 'INTERNAL', {
    ...(errorDetail !== null && { detail: errorDetail }),
    retryAt,
  })
}
