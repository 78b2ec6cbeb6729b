// Refreshes the single-use refresh tokens of OAuth 2.1 (refresh token rotation, RFC 9700 section
// 4.14.2) from any number of processes. Sending a refresh token spends it, and a lost response loses
// the grant. Therefore: one holder at a time, by a lease with a fencing token; a durable mark
// (`sentAt`) before the request; no transaction open during the request; and the new token pair is
// written until the database has taken it.
//
// The states of an account's tokens (`oauth_tokens.state`), and the functions that change them:
//
//                        storeRefreshedTokens,
//                        adoptUnderLease,
//                        releaseLease                                      releaseLease, markUncertain
//                           ┌─────┐                                            ┌─────┐
//                           │     ▼                                            │     ▼
//                        ┌──────────┐  markUncertain, markSuperseded        ┌───────────┐
//     storeConnection    │          │ ────────────────────────────────────▶ │           │
//   ───────────────────▶ │  ACTIVE  │                                       │ UNCERTAIN │
//    (from any state)    │          │ ◀──────────────────────────────────── │           │
//                        └──────────┘  storeRefreshedTokens,                └───────────┘
//                             │        adoptUnderLease                        │       ▲
//                    markDead │                                      markDead │       │ adoptOrphanedTokens
//                             ▼                                               ▼       │
//                        ┌────────────────────────────────────────────────────────────────┐
//                        │                              DEAD                              │
//                        └────────────────────────────────────────────────────────────────┘
//
//   any       → ACTIVE      storeConnection         the user has connected the account
//   ACTIVE    → ACTIVE      storeRefreshedTokens    X has issued a new token pair
//   ACTIVE    → ACTIVE      adoptUnderLease         an orphaned pair has arrived after a 5xx of X
//   ACTIVE    → ACTIVE      releaseLease            the refresh token was not spent
//   ACTIVE    → UNCERTAIN   markUncertain           the response was lost: the token may be spent
//   ACTIVE    → UNCERTAIN   markSuperseded          a later approval at X may have ended the grant,
//                                                   or X has reported its revocation
//   ACTIVE    → DEAD        markDead                X has rejected the refresh token
//   UNCERTAIN → ACTIVE      storeRefreshedTokens    the refresh token was still good
//   UNCERTAIN → ACTIVE      adoptUnderLease         an orphaned pair replaces the uncertain one
//   UNCERTAIN → UNCERTAIN   releaseLease            X could not be asked
//   UNCERTAIN → UNCERTAIN   markUncertain           the response was lost again
//   UNCERTAIN → DEAD        markDead                X has rejected the refresh token: it was spent
//   DEAD      → UNCERTAIN   adoptOrphanedTokens     an orphaned pair has arrived after the rejection
//
// `acquireRefreshLease` changes no state. A row whose lease has expired counts as UNCERTAIN, because
// its holder may have sent the token: the next lease then ends in one of the transitions from
// UNCERTAIN. So does an ACTIVE row of a restored database whose token may be spent.
// `disconnectAccount` deletes the row in any state.
import { exchangeRefreshToken, type TokenResponse } from '../auth/oauth-client.ts'
import { UnsealError } from '../crypto.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { CircuitOpenError } from '../outbound/provider-calls.ts'
import type { RefreshOutcome } from '../process/running-refreshes.ts'
import type { RefreshCountOutcome } from '../telemetry/metrics.ts'
import { xApp } from '../x/api.ts'
import { parseRetryAt } from '../x/rate-limit-headers.ts'
import { classifyTokenError, parseIssuedTokens } from '../x/token-response.ts'
import type { AccountKey } from './account-rows.ts'
import { markNeedsReauth } from './account-status.ts'
import { isConnectWaiting } from './attempt-tokens.ts'
import {
  acquireRefreshLease,
  confirmLease,
  leasedAccount,
  markDead,
  markUncertain,
  type RefreshLease,
  releaseLease,
  secondsToSend,
} from './refresh-lease.ts'
import { adoptUnderLease, storeRefreshedTokens } from './refreshed-tokens.ts'
import { beginProbe, endProbe, type ProbeResult } from './restored-tokens.ts'
import { openToken } from './sealed-tokens.ts'

/**
 * Refreshes the token pair that has `version`, or joins the refresh of the account that is under
 * way in this process. The refresh continues when a caller stops waiting for it.
 * @param accessTokenRejected true when X has rejected the access token: see `acquireRefreshLease`.
 */
export function shareRefresh(
  deps: Deps,
  account: AccountKey,
  version: number,
  accessTokenRejected: boolean,
): Promise<RefreshOutcome> {
  return deps.refreshes.share(account.id, () => refreshTokens(deps, account, version, accessTokenRejected))
}

async function refreshTokens(
  deps: Deps,
  account: AccountKey,
  version: number,
  accessTokenRejected: boolean,
): Promise<RefreshOutcome> {
  const probe = await beginProbe(deps, account, accessTokenRejected)
  if (probe === 'WAIT') return { kind: 'leased' }
  const progress: Progress = { sent: false, result: null }
  try {
    const lease = await acquireRefreshLease(deps, account, version, { accessTokenRejected, isProbe: probe !== null })
    if (lease === null) return { kind: 'leased' }
    try {
      return await refreshUnderLease(deps, lease, progress)
    } catch (error) {
      await releaseAfterError(deps, lease, progress.sent)
      throw error
    }
  } finally {
    if (probe !== null) await endProbe(deps, probe, progress.result)
  }
}

// The causes of uncertain tokens whose grant the user has probably ended.
const ENDED_BY_USER = ['SUPERSEDED', 'REVOCATION_REPORTED']

// What has become of the refresh so far: whether it was sent, and whether X has accepted the token.
type Progress = { sent: boolean; result: ProbeResult }

// For unexpected errors: with a lease left behind, the account could not post until it expires.
// Does nothing where an earlier step has released the lease, or another process has acquired it.
async function releaseAfterError(deps: Deps, lease: RefreshLease, sent: boolean): Promise<void> {
  try {
    if (sent) await markUncertain(deps, lease)
    else await releaseLease(deps, lease, { event: null, retryInSeconds: null })
  } catch (error) {
    deps.log.error({ error, accountId: lease.accountId }, 'Could not release a refresh lease; it will expire')
  }
}

async function refreshUnderLease(deps: Deps, lease: RefreshLease, progress: Progress): Promise<RefreshOutcome> {
  const { timing } = deps
  if (lease.cause !== null && (await adoptUnderLease(deps, lease))) return { kind: 'changed' }
  const refreshToken = await openRefreshToken(deps, lease)
  const isConfirmed = await confirmLease(deps, lease)
  const leasedSeconds = (performance.now() - lease.acquiredAt) / 1000
  // The process, or its machine, may have been suspended beyond the end of its lease.
  if (!isConfirmed || leasedSeconds > timing.leaseSeconds - secondsToSend(deps)) {
    await releaseLease(deps, lease, { event: null, retryInSeconds: 0 })
    return { kind: 'leased' }
  }
  const endpoint = `${deps.config.x.apiUrl}/2/oauth2/token`
  progress.sent = true
  const response = await exchangeRefreshToken(xApp(deps), endpoint, refreshToken, deps.circuitBreakers.X_REFRESH)
  progress.sent = response.kind !== 'unusable' || response.sent
  const receivedAt = performance.now()
  const issued = response.kind === 'issued' ? parseIssuedTokens(response.body, timing) : null
  deps.metrics?.countRefresh(describeOutcome(response, issued !== null), response.report.status)
  if (issued === null) return endWithoutTokens(deps, lease, response, progress)
  progress.result = 'ACCEPTED'
  // RFC 6749 section 6: without a new refresh token in the response, the old one stays valid.
  await storeRefreshedTokens(deps, lease, { ...issued, refreshToken: issued.refreshToken ?? refreshToken }, receivedAt)
  return issued.accessToken === null ? { kind: 'failed', error: new AppError('X_UNAVAILABLE') } : { kind: 'changed' }
}

function describeOutcome(response: TokenResponse, hasTokens: boolean): RefreshCountOutcome {
  if (response.kind === 'issued') return hasTokens ? 'REFRESHED' : 'LOST'
  if (response.kind === 'unusable' && !response.sent) return 'NOT_SENT'
  const meanings = {
    GRANT_DEAD: 'REJECTED',
    AMBIGUOUS: 'LOST',
    APP_REJECTED: 'APP_REJECTED',
    RETRY_LATER: 'UNAVAILABLE',
  } as const
  return meanings[classifyTokenError(response)]
}

async function openRefreshToken(deps: Deps, lease: RefreshLease): Promise<string> {
  try {
    const refreshToken = await openToken(deps, lease, 'refreshTokenSealed', lease)
    if (refreshToken === null) throw new Error('Bug: a row without a refresh token was leased')
    return refreshToken
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error
    deps.log.error(
      { error, accountId: lease.accountId },
      'The stored tokens of an account were altered outside this program',
    )
    await markNeedsReauth(deps, leasedAccount(lease), lease, 'TOKENS_UNREADABLE')
    throw new AppError('ACCOUNT_NEEDS_REAUTH', { cause: error })
  }
}

async function endWithoutTokens(
  deps: Deps,
  lease: RefreshLease,
  response: TokenResponse,
  progress: Progress,
): Promise<RefreshOutcome> {
  if (response.kind === 'issued') {
    // A 200 without any token: X may have rotated the refresh token.
    await markUncertain(deps, lease)
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE') }
  }
  const meaning = classifyTokenError(response)
  const evidence = {
    accountId: lease.accountId,
    status: response.report.status,
    error: response.kind === 'refused' ? response.error : undefined,
  }
  if (meaning === 'GRANT_DEAD' && (await isConnectWaiting(deps, leasedAccount(lease)))) {
    // The user has approved the account again, which ended this grant. The new token pair is stored
    // with the attempt, and X has yet to say which account it belongs to.
    await releaseLease(deps, lease, { event: 'X_UNAVAILABLE', retryInSeconds: null })
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE') }
  }
  if (meaning === 'GRANT_DEAD') {
    // Without a failure before, the user has ended the grant: at X, or by connecting the account
    // elsewhere.
    const isLost = lease.cause !== null && !ENDED_BY_USER.includes(lease.cause)
    const line = { ...evidence, fault: isLost ? 'PROVIDER' : 'PERSON', cause: lease.cause }
    deps.log[isLost ? 'warn' : 'info'](line, 'X no longer accepts the refresh token of an account')
    await markDead(deps, lease)
    progress.result = 'REFUSED'
    return { kind: 'changed' }
  }
  if (meaning === 'AMBIGUOUS') {
    deps.log.warn(evidence, 'The response to a refresh was lost; the refresh token may be spent')
    await markUncertain(deps, lease)
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE') }
  }
  if (response.kind === 'unusable' && response.cause instanceof CircuitOpenError) {
    // No request was sent, so this is no failure of the account, and its backoff does not grow.
    await releaseLease(deps, lease, {
      event: 'X_UNAVAILABLE',
      retryInSeconds: response.cause.retryInSeconds,
      tried: false,
    })
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE') }
  }
  const retryAt = parseRetryAt(response.report.headers, deps.clock.now())
  const retryInSeconds = retryAt === null ? null : (retryAt.getTime() - deps.clock.now().getTime()) / 1000
  const event = meaning === 'APP_REJECTED' ? 'X_CREDENTIALS_REJECTED' : 'X_UNAVAILABLE'
  // A 5xx says that X failed, not that it did nothing. The next try is not delayed for that, and
  // shows whether the token was spent.
  const cause = response.status !== null && response.status >= 500 ? 'SERVER_ERROR' : null
  await releaseLease(deps, lease, { event, retryInSeconds, cause })
  if (meaning === 'APP_REJECTED') {
    deps.log.error(
      { ...evidence, errorCode: 'X_CREDENTIALS_REJECTED' },
      "X rejected this gateway's own credentials: check X_CLIENT_ID and X_CLIENT_SECRET. No account was changed",
    )
    return { kind: 'failed', error: new AppError('X_CREDENTIALS_REJECTED') }
  }
  deps.log.warn(evidence, 'X did not refresh a token; it will be tried again')
  return { kind: 'failed', error: new AppError('X_UNAVAILABLE', { retryAt }) }
}
