// Access to an account's access token. The one way for anything to act for a linked account.

import { setTimeout as sleep } from 'node:timers/promises'
import { and, asc, eq, inArray, isNotNull, isNull, lt, lte, ne, or, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { connectedAccounts, oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { RefreshOutcome } from '../process/running-refreshes.ts'
import { withTimeout } from '../process/with-timeout.ts'
import type { XResult } from '../x/api.ts'
import { findBlock, isFromX, recordBlocks, type XEndpoint } from '../x/blocks.ts'
import { refusal } from '../x/refusals.ts'
import { markNeedsReauth } from './accounts.ts'
import { adoptOrphanedTokens, sweepOrphanedTokens } from './orphaned-tokens.ts'
import { refreshTokens } from './refresh.ts'
import {
  countRefusedAccessTokens,
  recordAcceptedAccessToken,
  recordRefusedAccessToken,
} from './refused-access-tokens.ts'
import { isUnreadable, openToken } from './sealed-tokens.ts'

const POLL_MIN_MILLISECONDS = 50
const POLL_MAX_MILLISECONDS = 400

// Each minute: enough for a million links in half a year, and no burst at X.
const IDLE_BATCH = 20

type Usable = {
  accessToken: string
  version: number
  isUnproven: boolean
  /**
   * Until when, by this process's monotonic clock, it is not refreshed if X refuses it: X has only
   * just issued it.
   */
  keepUntil: number
}

/**
 * Runs `use` with an access token that is fresh: refreshed before it ends, and once more if X
 * answers 401, with one retry and never a loop. One that X has issued moments ago and never
 * accepted is not refreshed again: X refuses more than this account then. Of any number of callers,
 * in any number of processes, one refreshes and the others wait for its result.
 *
 * A call that X is known to refuse for a while is not made at all.
 *
 * @param endpoint what kind of call `use` makes.
 * @param use makes one call. It is made a second time only after `unauthorized`, by which X promises to have done nothing.
 * @throws AppError ACCOUNT_DISCONNECTED, ACCOUNT_NEEDS_REAUTH, REFRESH_IN_PROGRESS, X_UNAVAILABLE, X_CREDENTIALS_REJECTED: then
 *   `use` has not run, or was refused by X.
 */
export async function withAccessToken<T>(
  deps: Deps,
  account: { id: string; userId: string },
  endpoint: XEndpoint,
  use: (accessToken: string) => Promise<XResult<T>>,
): Promise<Exclude<XResult<T>, { kind: 'unauthorized' }>> {
  const block = await findBlock(deps, account.id, endpoint)
  if (block !== null) return block
  const answer = await callWithToken(deps, account, use)
  try {
    await recordBlocks(deps, account.id, endpoint, answer)
  } catch (error) {
    // What X did is the caller's to write down, also when the database is away just now.
    deps.log.warn({ error, accountId: account.id }, 'Could not remember what X said of its limits')
  }
  return answer
}

async function callWithToken<T>(
  deps: Deps,
  account: { id: string; userId: string },
  use: (accessToken: string) => Promise<XResult<T>>,
): Promise<Exclude<XResult<T>, { kind: 'unauthorized' }>> {
  const first = await getUsableToken(deps, account, null)
  const answer = await use(first.accessToken)
  if (answer.kind !== 'unauthorized') {
    await noteAccepted(deps, account.id, first, answer)
    return answer
  }
  if (first.keepUntil > performance.now()) {
    await recordRefusedAccessToken(deps, account.id, first.version)
  } else {
    const second = await getUsableToken(deps, account, first.version)
    const again = await use(second.accessToken)
    if (again.kind !== 'unauthorized') {
      await noteAccepted(deps, account.id, second, again)
      return again
    }
    await recordRefusedAccessToken(deps, account.id, second.version)
  }
  return refusal('X_UNAVAILABLE')
}

async function noteAccepted(deps: Deps, accountId: string, token: Usable, answer: XResult<unknown>): Promise<void> {
  if (token.isUnproven && isFromX(answer)) await recordAcceptedAccessToken(deps, accountId, token.version)
}

/**
 * Rotates the tokens of links that nobody has used for months, a few at a time, before their refresh tokens die of age. A link that
 * is used is refreshed by its use, and never here.
 */
export async function refreshIdleAccounts(deps: Deps): Promise<void> {
  const idle = await deps.db
    .select({ id: oauthTokens.accountId, userId: connectedAccounts.userId, version: oauthTokens.version })
    .from(oauthTokens)
    .innerJoin(connectedAccounts, eq(connectedAccounts.id, oauthTokens.accountId))
    .where(
      and(
        lt(oauthTokens.refreshIssuedAt, sqlIn(deps.clock, -deps.timing.idleRefreshSeconds)),
        ne(oauthTokens.state, 'DEAD'),
        // Those that must wait would keep the others from their turn.
        or(isNull(oauthTokens.nextTryAt), lte(oauthTokens.nextTryAt, deps.clock.sqlNow())),
        isNotNull(oauthTokens.refreshTokenSealed),
        inArray(connectedAccounts.status, ['ACTIVE', 'LIMITED']),
      ),
    )
    .orderBy(asc(oauthTokens.refreshIssuedAt))
    .limit(IDLE_BATCH)
  await refreshEach(deps, idle, false)
}

/**
 * Tries the pairs that came after their account was given up. One that X still takes brings the account back, without its user.
 */
export async function recoverOrphanedTokens(deps: Deps): Promise<void> {
  await adoptOrphanedTokens(deps)
  await sweepOrphanedTokens(deps)
  const late = await deps.db
    .select({ id: oauthTokens.accountId, userId: connectedAccounts.userId, version: oauthTokens.version })
    .from(oauthTokens)
    .innerJoin(connectedAccounts, eq(connectedAccounts.id, oauthTokens.accountId))
    .where(
      and(
        eq(oauthTokens.state, 'UNCERTAIN'),
        eq(connectedAccounts.status, 'NEEDS_REAUTH'),
        or(isNull(oauthTokens.nextTryAt), lte(oauthTokens.nextTryAt, deps.clock.sqlNow())),
      ),
    )
    .limit(IDLE_BATCH)
  await refreshEach(deps, late, true)
}

async function refreshEach(
  deps: Deps,
  accounts: { id: string; userId: string; version: number }[],
  accessTokenRejected: boolean,
): Promise<void> {
  for (const account of accounts) {
    try {
      const outcome = await shareRotation(deps, account, account.version, accessTokenRejected)
      // X is down, or rejects our credentials: the others can wait, and need not find that out one
      // after the other.
      if (outcome.kind === 'failed') return
    } catch (error) {
      // What is wrong with one account must not keep the others from their turn.
      deps.log.warn({ error, accountId: account.id }, 'The tokens of an account could not be refreshed by the sweep')
    }
  }
}

/** @param rejectedVersion the version whose access token X has just refused, or null. */
async function getUsableToken(
  deps: Deps,
  account: { id: string; userId: string },
  rejectedVersion: number | null,
): Promise<Usable> {
  const { timing } = deps
  const giveUpAt = performance.now() + timing.waitForRefreshSeconds * 1000
  const margin = timing.refreshBeforeEndSeconds + (Math.random() * 2 - 1) * timing.refreshJitterSeconds
  let pause = POLL_MIN_MILLISECONDS
  let outcome: RefreshOutcome | null = null
  for (;;) {
    const row = await getTokenRow(deps, account.id)
    const rejected = row.version === rejectedVersion
    if (!rejected && row.secondsLeft > margin) return open(deps, account, row)
    // Once a refresh was tried, a token that lives is good enough, be it the old one or a new one that X gave a short life.
    const isFallback = !rejected && row.secondsLeft > timing.usableBeforeEndSeconds
    if (outcome !== null && isFallback) return open(deps, account, row)
    if (outcome?.kind === 'failed') throw outcome.error
    if (row.refreshTokenSealed === null) {
      if (isFallback) return open(deps, account, row)
      // X granted no offline.access. A token that it refuses before the two hours are over was revoked.
      const isOver = row.secondsLeft <= timing.usableBeforeEndSeconds
      // Or X refuses the whole app just now, as it does new tokens of other accounts: then this
      // says nothing of the account.
      if (!isOver && (await countRefusedAccessTokens(deps, account.id)).accounts > 0)
        throw new AppError('X_UNAVAILABLE')
      await markNeedsReauth(deps, account.id, row, isOver ? 'REFRESH_TOKEN_MISSING' : 'GRANT_REVOKED')
      throw new AppError('ACCOUNT_NEEDS_REAUTH')
    }
    if (row.waitSeconds > 0 && row.leaseId === null) {
      // X was asked a moment ago and could not; it is left alone until then.
      if (isFallback) return open(deps, account, row)
      const code = row.lastEvent === 'X_CREDENTIALS_REJECTED' ? row.lastEvent : 'X_UNAVAILABLE'
      throw new AppError(code, { retryAt: new Date(deps.clock.now().getTime() + row.waitSeconds * 1000) })
    }
    if (performance.now() > giveUpAt) throw new AppError('REFRESH_IN_PROGRESS')
    outcome = await refreshOnce(deps, account, row.version, rejected || !isFallback, giveUpAt)
    if (outcome.kind === 'held' && !isFallback) {
      await sleep(pause * (0.5 + Math.random() / 2))
      pause = Math.min(pause * 2, POLL_MAX_MILLISECONDS)
    }
  }
}

// In one process all callers of an account share one rotation. It goes on when a caller stops waiting.
async function refreshOnce(
  deps: Deps,
  account: { id: string; userId: string },
  version: number,
  accessTokenEnded: boolean,
  giveUpAt: number,
): Promise<RefreshOutcome> {
  const running = shareRotation(deps, account, version, accessTokenEnded)
  const secondsLeft = Math.max(giveUpAt - performance.now(), 0) / 1000
  return withTimeout(secondsLeft, running, (): RefreshOutcome => ({ kind: 'held' }))
}

function shareRotation(
  deps: Deps,
  account: { id: string; userId: string },
  version: number,
  accessTokenEnded: boolean,
): Promise<RefreshOutcome> {
  return deps.refreshes.share(account.id, () => refreshTokens(deps, account, version, accessTokenEnded))
}

type TokenRow = typeof oauthTokens.$inferSelect & {
  secondsLeft: number
  waitSeconds: number
  secondsSinceIssue: number
}

async function getTokenRow(deps: Deps, accountId: string): Promise<TokenRow> {
  const now = deps.clock.sqlNow()
  const [found] = await deps.db
    .select({
      status: connectedAccounts.status,
      tokens: oauthTokens,
      secondsLeft: sql<number>`extract(epoch from ${oauthTokens.accessExpiresAt} - ${now})::float8`,
      waitSeconds: sql<number>`coalesce(extract(epoch from ${oauthTokens.nextTryAt} - ${now}), 0)::float8`,
      secondsSinceIssue: sql<number>`extract(epoch from ${now} - ${oauthTokens.refreshIssuedAt})::float8`,
    })
    .from(connectedAccounts)
    .leftJoin(oauthTokens, eq(oauthTokens.accountId, connectedAccounts.id))
    .where(eq(connectedAccounts.id, accountId))
  if (found === undefined || found.status === 'DISCONNECTED' || found.tokens === null)
    throw new AppError('ACCOUNT_DISCONNECTED')
  if (found.status === 'NEEDS_REAUTH') throw new AppError('ACCOUNT_NEEDS_REAUTH')
  return {
    ...found.tokens,
    secondsLeft: Number(found.secondsLeft),
    waitSeconds: Number(found.waitSeconds),
    secondsSinceIssue: Number(found.secondsSinceIssue),
  }
}

async function open(deps: Deps, account: { id: string; userId: string }, row: TokenRow): Promise<Usable> {
  try {
    const accessToken = openToken(deps, { accountId: account.id, userId: account.userId }, 'accessTokenSealed', row)
    const { version, accessUnproven: isUnproven } = row
    const keepSeconds = Math.min(deps.timing.keepRefusedSeconds - row.secondsSinceIssue, row.secondsLeft)
    const keepUntil = isUnproven ? performance.now() + keepSeconds * 1000 : 0
    return { accessToken: accessToken ?? '', version, isUnproven, keepUntil }
  } catch (error) {
    if (!(await isUnreadable(deps, error))) throw error
    deps.log.error(
      { error, accountId: account.id },
      'The stored tokens of an account were altered outside this program',
    )
    await markNeedsReauth(deps, account.id, row, 'TOKENS_UNREADABLE')
    throw new AppError('ACCOUNT_NEEDS_REAUTH', { cause: error })
  }
}
