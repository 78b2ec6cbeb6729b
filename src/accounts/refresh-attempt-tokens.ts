// Refreshes the token pair of a connect attempt that waits for X longer than its access token
// lives.
import { exchangeRefreshToken } from '../auth/oauth-client.ts'
import { sqlIn } from '../db/clock.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { xApp } from '../x/api.ts'
import { parseRetryAt } from '../x/rate-limit-headers.ts'
import { classifyTokenError, parseIssuedTokens } from '../x/token-response.ts'
import {
  ATTEMPT_CLAIM_SECONDS,
  type AttemptWithTokens,
  claimColumns,
  sealAttemptTokens,
  updateAttempt,
} from './attempt-tokens.ts'

/** The result of refreshing an attempt's token pair. */
export type AttemptRefresh =
  | { kind: 'refreshed'; claimed: AttemptWithTokens }
  /** X rejects the refresh token: the grant was replaced or revoked. */
  | { kind: 'dead' }
  | { kind: 'failed'; error: AppError }
  /** Another process has claimed or finished the attempt. */
  | { kind: 'taken-over' }

/** Returns true when there is no access token, or it has expired. */
export function needsRefresh({ tokens, expiresInSeconds, receivedAt }: AttemptWithTokens, deps: Deps): boolean {
  const secondsLeft = expiresInSeconds - (performance.now() - receivedAt) / 1000
  return tokens.accessToken === null || secondsLeft <= deps.timing.usableBeforeEndSeconds
}

/**
 * Refreshes the token pair of a claimed attempt. Sends one request; the new pair is written until
 * the database has taken it.
 */
export async function refreshAttemptTokens(deps: Deps, claimed: AttemptWithTokens): Promise<AttemptRefresh> {
  const { refreshToken } = claimed.tokens
  if (refreshToken === null) return { kind: 'dead' }
  // A process that was suspended beyond its claim must not send a token that another process sends.
  if (!(await updateAttempt(deps, claimed, { nextTryAt: sqlIn(deps.clock, ATTEMPT_CLAIM_SECONDS) })))
    return { kind: 'taken-over' }
  const endpoint = `${deps.config.x.apiUrl}/2/oauth2/token`
  const response = await exchangeRefreshToken(xApp(deps), endpoint, refreshToken, deps.circuitBreakers.X_REFRESH)
  const receivedAt = performance.now()
  const issued = response.kind === 'issued' ? parseIssuedTokens(response.body, deps.timing) : null
  if (issued === null) {
    if (response.kind !== 'issued') {
      const meaning = classifyTokenError(response)
      if (meaning === 'GRANT_DEAD') return { kind: 'dead' }
      if (meaning === 'APP_REJECTED') return { kind: 'failed', error: new AppError('X_CREDENTIALS_REJECTED') }
    }
    const retryAt = response.kind === 'issued' ? null : parseRetryAt(response.report.headers, deps.clock.now())
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE', { retryAt }) }
  }
  const tokens = {
    accessToken: issued.accessToken,
    refreshToken: issued.refreshToken ?? refreshToken,
    scopes: issued.scopes ?? claimed.tokens.scopes,
  }
  const { expiresInSeconds } = issued
  const sealed = sealAttemptTokens(deps, claimed.attempt, tokens)
  const isWritten = await retryUntilWritten(deps, 'store the refreshed tokens of a connect attempt', async () => {
    const values = { tokensSealed: sealed, ...claimColumns(deps, expiresInSeconds, receivedAt) }
    // An earlier try of this write may have been committed, and only its confirmation lost.
    return (await updateAttempt(deps, claimed, values)) || (await updateAttempt(deps, { ...claimed, sealed }, values))
  })
  if (!isWritten) return { kind: 'taken-over' }
  return { kind: 'refreshed', claimed: { attempt: claimed.attempt, sealed, tokens, expiresInSeconds, receivedAt } }
}
