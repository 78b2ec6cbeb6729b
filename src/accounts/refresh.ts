// One rotation of a single-use refresh token, across any number of processes: claim, guard, send once, commit.
// A refresh token is spent by being sent, and an answer that is lost takes the grant with it. So: one holder at a time by a lease
// with a fence; a durable mark before the send; no transaction open while X is called; the new pair written until it is written.
import { eq } from 'drizzle-orm'
import { exchangeRefreshToken, type TokenResponse } from '../auth/oauth-client.ts'
import { sqlIn } from '../db/clock.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import { oauthTokens, rotationOrphans } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { CircuitOpenError } from '../outbound/provider-calls.ts'
import type { RefreshOutcome } from '../process/running-refreshes.ts'
import { xApp } from '../x/api.ts'
import { parseRetryAt } from '../x/rate-limit-headers.ts'
import { type IssuedTokens, judgeRefusal, parseIssuedTokens } from '../x/token-response.ts'
import { lockAccount, markNeedsReauth, markRecovered } from './accounts.ts'
import { isConnectWaiting } from './attempt-tokens.ts'
import { takeNewestOrphanedTokens } from './orphaned-tokens.ts'
import {
  acquireRefreshLease,
  type Claim,
  confirmLease,
  FRESH,
  heldBy,
  markDead,
  markUncertain,
  releaseLease,
  secondsToSend,
} from './refresh-lease.ts'
import { requestRevocation } from './revocation.ts'
import { isUnreadable, openToken, sealToken } from './sealed-tokens.ts'

/**
 * Tries to replace the pair that has `version` by a new one.
 * @param accessTokenRejected true when X has refused the access token: then there is nothing left to spare by waiting.
 */
export async function refreshTokens(
  deps: Deps,
  account: { id: string; userId: string },
  version: number,
  accessTokenRejected: boolean,
): Promise<RefreshOutcome> {
  const claim = await acquireRefreshLease(deps, account, version, accessTokenRejected)
  if (claim === null) return { kind: 'held' }
  const progress = { sent: false }
  try {
    return await refreshUnderLease(deps, claim, progress)
  } catch (error) {
    await giveBackAfter(deps, claim, progress.sent)
    throw error
  }
}

// Covers unexpected errors: a row that stays claimed would keep its account from posting until the
// lease lapses. Where an earlier step gave the row back, or it is somebody else's by now, this
// changes nothing.
async function giveBackAfter(deps: Deps, claim: Claim, sent: boolean): Promise<void> {
  try {
    if (sent) await markUncertain(deps, claim)
    else await releaseLease(deps, claim, { event: null, retryInSeconds: null })
  } catch (error) {
    deps.log.error({ error, accountId: claim.accountId }, 'A lease could not be given back; it lapses by itself')
  }
}

async function refreshUnderLease(deps: Deps, claim: Claim, progress: { sent: boolean }): Promise<RefreshOutcome> {
  const { timing } = deps
  if (claim.cause !== null && (await adoptUnderLease(deps, claim))) return { kind: 'moved' }
  const refreshToken = await openRefreshToken(deps, claim)
  const confirmed = await confirmLease(deps, claim)
  // A process that was stopped, or its machine, may find its lease taken over: it gives up without sending.
  if (!confirmed || secondsSince(claim.claimedAt) > timing.leaseSeconds - secondsToSend(deps)) {
    await releaseLease(deps, claim, { event: null, retryInSeconds: 0 })
    return { kind: 'held' }
  }
  const endpoint = `${deps.config.x.apiUrl}/2/oauth2/token`
  progress.sent = true
  const answer = await exchangeRefreshToken(xApp(deps), endpoint, refreshToken, deps.circuitBreakers.X_REFRESH)
  progress.sent = answer.kind !== 'unanswered' || answer.sent
  const receivedAt = performance.now()
  const issued = answer.kind === 'issued' ? parseIssuedTokens(answer.body, timing) : null
  if (issued !== null) {
    await commitTokens(deps, claim, { ...issued, refreshToken: issued.refreshToken ?? refreshToken }, receivedAt)
    // The refresh token that came is kept, but for this caller there is nothing to use.
    return issued.accessToken === null ? { kind: 'failed', error: new AppError('X_UNAVAILABLE') } : { kind: 'moved' }
  }
  return settleWithoutTokens(deps, claim, answer)
}

async function openRefreshToken(deps: Deps, claim: Claim): Promise<string> {
  try {
    const refreshToken = openToken(deps, claim, 'refreshTokenSealed', claim)
    if (refreshToken === null) throw new Error('Bug: a row without a refresh token was claimed')
    return refreshToken
  } catch (error) {
    if (!(await isUnreadable(deps, error))) throw error
    deps.log.error(
      { error, accountId: claim.accountId },
      'The stored tokens of an account were altered outside this program',
    )
    await markNeedsReauth(deps, claim.accountId, claim, 'TOKENS_UNREADABLE')
    throw new AppError('ACCOUNT_NEEDS_REAUTH', { cause: error })
  }
}

type RefreshedTokens = IssuedTokens & { refreshToken: string }
type SealedPair = {
  accessTokenSealed: string
  refreshTokenSealed: string
  secondsLeft: () => number
  secondsSinceIssue: () => number
}

async function commitTokens(deps: Deps, claim: Claim, issued: RefreshedTokens, receivedAt: number): Promise<void> {
  // Sealed once: a retry recognises what an earlier try has written by its bytes.
  const pair: SealedPair = {
    accessTokenSealed: sealToken(deps, claim, 'accessTokenSealed', issued.accessToken ?? ''),
    refreshTokenSealed: sealToken(deps, claim, 'refreshTokenSealed', issued.refreshToken),
    // Counted from the receipt: the write may come much later.
    secondsLeft: () => issued.expiresInSeconds - secondsSince(receivedAt),
    secondsSinceIssue: () => secondsSince(receivedAt),
  }
  const written = await retryUntilWritten(deps, 'write a rotated pair of tokens', () => writePair(deps, claim, pair))
  if (!written)
    await retryUntilWritten(deps, 'keep a pair of tokens that came too late', () =>
      storeOrphanedTokens(deps, claim, pair, issued.refreshToken),
    )
}

async function writePair(deps: Deps, claim: Claim, pair: SealedPair): Promise<boolean> {
  const written = claim.inDoubt
    ? await transaction(deps, async (deps) => {
        const account = await lockAccount(deps, claim.accountId)
        const replaced = await replacePair(deps, claim, pair)
        if (replaced && account !== null) await markRecovered(deps, account)
        return replaced
      })
    : await replacePair(deps, claim, pair)
  if (written) return true
  // The connection may have broken after an earlier try was committed.
  const [row] = await deps.db.select().from(oauthTokens).where(eq(oauthTokens.accountId, claim.accountId))
  return row?.accessTokenSealed === pair.accessTokenSealed
}

async function replacePair(deps: Deps, claim: Claim, pair: SealedPair): Promise<boolean> {
  const [written] = await deps.db
    .update(oauthTokens)
    .set({
      accessTokenSealed: pair.accessTokenSealed,
      refreshTokenSealed: pair.refreshTokenSealed,
      accessExpiresAt: sqlIn(deps.clock, pair.secondsLeft()),
      ...settled(deps, claim),
      refreshIssuedAt: sqlIn(deps.clock, -pair.secondsSinceIssue()),
    })
    .where(heldBy(claim))
    .returning({ version: oauthTokens.version })
  return written !== undefined
}

// Someone else has the row now. A pair of a grant that is no longer ours is revoked, never stored; a pair of the same grant is put
// where the next holder finds it, and never overwrites.
async function storeOrphanedTokens(deps: Deps, claim: Claim, pair: SealedPair, refreshToken: string): Promise<void> {
  await transaction(deps, async (deps) => {
    const [row] = await deps.db
      .select()
      .from(oauthTokens)
      .where(eq(oauthTokens.accountId, claim.accountId))
      .for('update')
    if (row === undefined || row.grantId !== claim.grantId) {
      await requestRevocation(deps, claim, refreshToken, 'refresh_token')
      return
    }
    await deps.db.insert(rotationOrphans).values({
      accountId: claim.accountId,
      fromVersion: claim.version,
      fence: claim.fence,
      accessTokenSealed: pair.accessTokenSealed,
      refreshTokenSealed: pair.refreshTokenSealed,
      accessExpiresAt: sqlIn(deps.clock, pair.secondsLeft()),
      createdAt: deps.clock.sqlNow(),
    })
  })
}

async function adoptUnderLease(deps: Deps, claim: Claim): Promise<boolean> {
  return transaction(deps, async (deps) => {
    const orphan = await takeNewestOrphanedTokens(deps, claim.accountId, claim.version)
    if (orphan === null) return false
    const [adopted] = await deps.db
      .update(oauthTokens)
      .set({
        accessTokenSealed: orphan.accessTokenSealed,
        refreshTokenSealed: orphan.refreshTokenSealed,
        accessExpiresAt: orphan.accessExpiresAt,
        ...settled(deps, claim),
        // X may have ended it since it was issued. A refusal speaks of this account alone, and the
        // refresh token tells more.
        accessUnproven: false,
        lastEvent: 'RECOVERED',
        refreshIssuedAt: orphan.createdAt,
      })
      .where(heldBy(claim))
      .returning({ version: oauthTokens.version })
    // Lost the lease meanwhile: the transaction rolls back, and the orphan stays for its new holder.
    if (adopted === undefined) throw new AppError('REFRESH_IN_PROGRESS')
    return true
  })
}

async function settleWithoutTokens(deps: Deps, claim: Claim, answer: TokenResponse): Promise<RefreshOutcome> {
  if (answer.kind === 'issued') {
    // A 200 with no token in it: X says that it rotated.
    await markUncertain(deps, claim)
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE') }
  }
  const meaning = judgeRefusal(answer)
  const evidence = {
    accountId: claim.accountId,
    status: answer.report.status,
    error: answer.kind === 'refused' ? answer.error : undefined,
  }
  if (meaning === 'GRANT_DEAD' && (await isConnectWaiting(deps, claim.accountId))) {
    // The user has approved the account again, which has ended this pair. The new one is here; X
    // only cannot say yet whose it is.
    await releaseLease(deps, claim, { event: 'X_UNAVAILABLE', retryInSeconds: null })
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE') }
  }
  if (meaning === 'GRANT_DEAD') {
    deps.log.warn(evidence, 'X no longer accepts the refresh token of an account')
    await markDead(deps, claim)
    return { kind: 'moved' }
  }
  if (meaning === 'AMBIGUOUS') {
    deps.log.warn(evidence, 'The answer to a refresh was lost; the token may be spent')
    await markUncertain(deps, claim)
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE') }
  }
  if (answer.kind === 'unanswered' && answer.cause instanceof CircuitOpenError) {
    // Nothing was asked of X, so nothing is known against the account: it need not wait as after a
    // failure.
    await releaseLease(deps, claim, {
      event: 'X_UNAVAILABLE',
      retryInSeconds: answer.cause.retryInSeconds,
      tried: false,
    })
    return { kind: 'failed', error: new AppError('X_UNAVAILABLE') }
  }
  const retryAt = parseRetryAt(answer.report.headers, deps.clock.now())
  const retryInSeconds = retryAt === null ? null : (retryAt.getTime() - deps.clock.now().getTime()) / 1000
  const event = meaning === 'APP_REJECTED' ? 'X_CREDENTIALS_REJECTED' : 'X_UNAVAILABLE'
  // X says that it failed, not that it did nothing: the next try is not put off for that, but it tells what became of the token.
  const cause = answer.status !== null && answer.status >= 500 ? 'SERVER_ERROR' : null
  await releaseLease(deps, claim, { event, retryInSeconds, cause })
  if (meaning === 'APP_REJECTED') {
    deps.log.error(
      { ...evidence, errorCode: 'X_CREDENTIALS_REJECTED' },
      "X rejected this gateway's own credentials: check X_CLIENT_ID and X_CLIENT_SECRET. No account was touched",
    )
    return { kind: 'failed', error: new AppError('X_CREDENTIALS_REJECTED') }
  }
  deps.log.warn(evidence, 'X did not refresh a token just now')
  return { kind: 'failed', error: new AppError('X_UNAVAILABLE', { retryAt }) }
}

function settled(deps: Deps, claim: Claim) {
  return {
    ...FRESH,
    accessUnproven: true,
    version: claim.version + 1,
    lastEvent: claim.inDoubt ? ('RECOVERED' as const) : ('REFRESHED' as const),
    lastEventAt: deps.clock.sqlNow(),
  }
}

function secondsSince(moment: number): number {
  return (performance.now() - moment) / 1000
}
