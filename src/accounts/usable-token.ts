// Reads an account's access token, and has it refreshed when it is about to expire or X has
// rejected it.

import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { UnsealError } from '../crypto.ts'
import { isBlockedUser } from '../db/active-user.ts'
import { connectedAccounts, oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { RefreshOutcome } from '../process/running-refreshes.ts'
import { withTimeout } from '../process/with-timeout.ts'
import { type AccountKey, hasTokens, isAccount } from './account-rows.ts'
import { markNeedsReauth } from './account-status.ts'
import { shareRefresh } from './refresh.ts'
import { isTokenOfAnotherRefused } from './refused-access-tokens.ts'
import { openToken } from './sealed-tokens.ts'

const POLL_MIN_MILLISECONDS = 50
const POLL_MAX_MILLISECONDS = 400

/** An access token that can be sent to X. */
export type UsableToken = {
  accessToken: string
  version: number
  /** True until X has accepted an access token that came by a refresh. */
  isUnproven: boolean
  /**
   * By `performance.now()`: until then the token is not refreshed when X rejects it, because X has
   * only just issued it. 0 for a token that X has accepted.
   */
  keepUntil: number
}

/**
 * Returns an access token of the account, refreshed if necessary.
 * @param rejectedVersion the version whose access token X has just rejected, or null.
 * @param known the row, if the caller has just read it.
 * @throws AppError ACCOUNT_DISCONNECTED, ACCOUNT_NEEDS_REAUTH, USER_BLOCKED, REFRESH_IN_PROGRESS,
 * X_UNAVAILABLE, X_CREDENTIALS_REJECTED
 */
export async function getUsableToken(
  deps: Deps,
  account: AccountKey,
  rejectedVersion: number | null,
  known: TokenRow | null = null,
): Promise<UsableToken> {
  const { timing } = deps
  const giveUpAt = performance.now() + timing.waitForRefreshSeconds * 1000
  const marginSeconds = timing.refreshBeforeEndSeconds + (Math.random() * 2 - 1) * timing.refreshJitterSeconds
  let pauseMilliseconds = POLL_MIN_MILLISECONDS
  let outcome: RefreshOutcome | null = null
  for (let tries = 1; ; tries++) {
    const row = tries === 1 && known !== null ? known : await getTokenRow(deps, account)
    const isRejected = row.version === rejectedVersion
    if (!isRejected && row.secondsLeft > marginSeconds) return open(deps, account, row)
    // After a refresh was tried, any token that has not expired is used: the old one, or a new one
    // to which X gave a short lifetime.
    const isFallback = !isRejected && row.secondsLeft > timing.usableBeforeEndSeconds
    if (outcome !== null && isFallback) return open(deps, account, row)
    if (outcome?.kind === 'failed') throw outcome.error
    if (row.refreshTokenSealed === null) {
      if (isFallback) return open(deps, account, row)
      throw await endWithoutRefreshToken(deps, account, row)
    }
    if (row.waitSeconds > 0 && row.leaseId === null) {
      // The last refresh failed, and its backoff has not passed.
      if (isFallback) return open(deps, account, row)
      const code = row.lastEvent === 'X_CREDENTIALS_REJECTED' ? row.lastEvent : 'X_UNAVAILABLE'
      throw new AppError(code, { retryAt: new Date(deps.clock.now().getTime() + row.waitSeconds * 1000) })
    }
    if (performance.now() > giveUpAt) throw new AppError('REFRESH_IN_PROGRESS')
    outcome = await refreshUntil(giveUpAt, shareRefresh(deps, account, row.version, isRejected || !isFallback))
    if (outcome.kind === 'leased' && !isFallback) {
      await sleep(pauseMilliseconds * (0.5 + Math.random() / 2))
      pauseMilliseconds = Math.min(pauseMilliseconds * 2, POLL_MAX_MILLISECONDS)
    }
  }
}

// X has granted no offline.access. An access token that X rejects before it expires was revoked,
// unless X refuses the whole app, as it does when it refuses new tokens of other accounts.
async function endWithoutRefreshToken(deps: Deps, account: AccountKey, row: TokenRow): Promise<AppError> {
  const isExpired = row.secondsLeft <= deps.timing.usableBeforeEndSeconds
  if (!isExpired && (await isTokenOfAnotherRefused(deps, account))) return new AppError('X_UNAVAILABLE')
  await markNeedsReauth(deps, account, row, isExpired ? 'REFRESH_TOKEN_MISSING' : 'GRANT_REVOKED')
  return new AppError('ACCOUNT_NEEDS_REAUTH')
}

// The refresh continues after its callers have stopped waiting.
function refreshUntil(giveUpAt: number, refresh: Promise<RefreshOutcome>): Promise<RefreshOutcome> {
  const secondsLeft = Math.max(giveUpAt - performance.now(), 0) / 1000
  return withTimeout(secondsLeft, refresh, (): RefreshOutcome => ({ kind: 'leased' }))
}

/** The row of an account's tokens, with its times relative to the moment of the read. */
export type TokenRow = typeof oauthTokens.$inferSelect & {
  secondsLeft: number
  waitSeconds: number
  secondsSinceIssue: number
}

/** @param now the database's time of the read. */
export function toTokenRow(tokens: typeof oauthTokens.$inferSelect, now: Date): TokenRow {
  const secondsUntil = (moment: Date) => (moment.getTime() - now.getTime()) / 1000
  return {
    ...tokens,
    secondsLeft: secondsUntil(tokens.accessExpiresAt),
    waitSeconds: tokens.nextTryAt === null ? 0 : secondsUntil(tokens.nextTryAt),
    secondsSinceIssue: -secondsUntil(tokens.refreshIssuedAt),
  }
}

async function getTokenRow(deps: Deps, account: AccountKey): Promise<TokenRow> {
  const [found] = await deps.db
    .select({
      status: connectedAccounts.status,
      tokens: oauthTokens,
      isOfBlockedUser: sql<boolean>`${isBlockedUser(connectedAccounts.userId)}`,
      now: sql<Date>`${deps.clock.sqlNow()}`.mapWith(oauthTokens.accessExpiresAt),
    })
    .from(connectedAccounts)
    .leftJoin(oauthTokens, hasTokens)
    .where(isAccount(account))
  if (found === undefined || found.status === 'DISCONNECTED' || found.tokens === null)
    throw new AppError('ACCOUNT_DISCONNECTED')
  if (found.isOfBlockedUser) throw new AppError('USER_BLOCKED')
  if (found.status === 'NEEDS_REAUTH') throw new AppError('ACCOUNT_NEEDS_REAUTH')
  return toTokenRow(found.tokens, found.now)
}

async function open(deps: Deps, account: AccountKey, row: TokenRow): Promise<UsableToken> {
  try {
    const owner = { accountId: account.id, userId: account.userId }
    const accessToken = await openToken(deps, owner, 'accessTokenSealed', row)
    const { version, accessUnproven: isUnproven } = row
    const keepSeconds = Math.min(deps.timing.keepRefusedSeconds - row.secondsSinceIssue, row.secondsLeft)
    const keepUntil = isUnproven ? performance.now() + keepSeconds * 1000 : 0
    return { accessToken: accessToken ?? '', version, isUnproven, keepUntil }
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error
    deps.log.error(
      { error, accountId: account.id },
      'The stored tokens of an account were altered outside this program',
    )
    await markNeedsReauth(deps, account, row, 'TOKENS_UNREADABLE')
    throw new AppError('ACCOUNT_NEEDS_REAUTH', { cause: error })
  }
}
