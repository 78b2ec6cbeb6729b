// Asks X which account the token pair of a connect attempt belongs to.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { fetchMe, type XProfile, type XResult } from '../x/api.ts'
import { findBlock, recordBlocks } from '../x/blocks.ts'
import type { AttemptWithTokens } from './attempt-tokens.ts'
import { needsRefresh, refreshAttemptTokens } from './refresh-attempt-tokens.ts'

/**
 * The account of a token pair, or the reason why it is not known. `claimed` has the pair after a
 * refresh.
 */
export type IdentifiedAccount =
  | { kind: 'found'; claimed: AttemptWithTokens; profile: XProfile }
  /** X refuses for good, or for now. */
  | { kind: 'refused' | 'waiting'; claimed: AttemptWithTokens; error: AppError }
  /** X has ended the grant. */
  | { kind: 'dead' }
  | { kind: 'taken-over' }

const FIRST_PAUSE_MILLISECONDS = 400

// Refusals of users/me that are final. All others are temporary: an outage, a rate limit, missing
// credits, an app that has to be enrolled.
const FINAL: readonly ErrorCode[] = ['SCOPES_MISSING', 'ACCOUNT_SUSPENDED']
// The temporary refusals whose code is reported. The codes of the others describe a refused tweet.
const TEMPORARY: readonly ErrorCode[] = [
  'X_RATE_LIMITED',
  'X_CREDITS_EXHAUSTED',
  'X_USAGE_CAPPED',
  'X_APP_NOT_ENROLLED',
  'X_CREDENTIALS_REJECTED',
]

/**
 * Reads the profile of the account at X, and refreshes the token pair where necessary.
 * @param personWaits true to repeat the call for some seconds after a temporary failure of X.
 */
export async function identifyAccount(
  deps: Deps,
  first: AttemptWithTokens,
  personWaits: boolean,
): Promise<IdentifiedAccount> {
  const startedAt = performance.now()
  let claimed = first
  let isRefreshed = false
  let isRejected = false
  for (let pauseMilliseconds = FIRST_PAUSE_MILLISECONDS; ; pauseMilliseconds *= 2) {
    if (needsRefresh(claimed, deps) || (isRejected && !isRefreshed && claimed.tokens.refreshToken !== null)) {
      const refreshed = await refreshAttemptTokens(deps, claimed)
      if (refreshed.kind === 'dead' || refreshed.kind === 'taken-over') return refreshed
      if (refreshed.kind === 'failed') return { kind: 'waiting', claimed, error: refreshed.error }
      claimed = refreshed.claimed
      isRefreshed = true
    }
    const { accessToken } = claimed.tokens
    if (accessToken === null) return { kind: 'waiting', claimed, error: new AppError('X_UNAVAILABLE') }
    const result = await readProfile(deps, claimed, accessToken)
    if (result.kind === 'done') return { kind: 'found', claimed, profile: result.value }
    const isFirstRejection = result.kind === 'unauthorized' && !isRejected
    isRejected ||= result.kind === 'unauthorized'
    // A later approval may have replaced the rejected access token: X's response to the refresh
    // token decides.
    if (isFirstRejection && claimed.tokens.refreshToken !== null) continue
    if (result.kind === 'refused' && FINAL.includes(result.code))
      return { kind: 'refused', claimed, error: new AppError(result.code) }
    const error = temporaryError(result)
    const waitedSeconds = (performance.now() - startedAt + pauseMilliseconds) / 1000
    const isWorthWaiting = personWaits && error.code === 'X_UNAVAILABLE' && error.retryAt === null
    if (!isWorthWaiting || waitedSeconds > deps.timing.interactiveRetrySeconds)
      return { kind: 'waiting', claimed, error }
    await sleep(pauseMilliseconds)
  }
}

async function readProfile(
  deps: Deps,
  { attempt }: AttemptWithTokens,
  accessToken: string,
): Promise<XResult<XProfile>> {
  const block = await findBlock(deps, attempt, 'READ_PROFILE')
  if (block.refusal !== null) return block.refusal
  const result = await fetchMe(deps, accessToken)
  // The attempt itself stores when it is tried again after a limit of its account. Limits of the
  // whole app, and the proof that there is none, are stored for all.
  if (result.kind === 'refused' && result.to === 'ACCOUNT') return result
  try {
    await recordBlocks(deps, attempt, 'READ_PROFILE', block, result)
  } catch (error) {
    deps.log.warn({ error, attempt: attempt.id }, 'Could not record a rate limit of X')
  }
  return result
}

function temporaryError(result: Exclude<XResult<XProfile>, { kind: 'done' }>): AppError {
  if (result.kind !== 'refused')
    return new AppError('X_UNAVAILABLE', { cause: result.kind === 'unknown' ? result.cause : undefined })
  const code = TEMPORARY.includes(result.code) ? result.code : 'X_UNAVAILABLE'
  return new AppError(code, { retryAt: result.retryAt })
}
