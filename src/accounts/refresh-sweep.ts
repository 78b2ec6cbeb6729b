// The refreshes that no caller asks for: of accounts that are not used, and of orphaned token
// pairs.
import { and, asc, eq, inArray, isNotNull, isNull, lt, lte, or, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { connectedAccounts, oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { hasTokens } from './account-rows.ts'
import { adoptOrphanedTokens, sweepOrphanedTokens } from './orphaned-tokens.ts'
import { shareRefresh } from './refresh.ts'

// Per minute: enough for a million accounts within half a year, and no burst of requests to X.
const BATCH = 20

/**
 * Refreshes the tokens of accounts that have not been used for months, a few at a time, before
 * their refresh tokens expire. The tokens of other accounts are refreshed when they are used.
 */
export async function refreshIdleAccounts(deps: Deps): Promise<void> {
  const idle = await deps.db
    .select({ id: oauthTokens.accountId, userId: oauthTokens.userId, version: oauthTokens.version })
    .from(oauthTokens)
    .innerJoin(connectedAccounts, hasTokens)
    .where(
      and(
        lt(oauthTokens.refreshIssuedAt, sqlIn(deps.clock, -deps.timing.idleRefreshSeconds)),
        // As in the condition of the index `oauth_tokens_idle`.
        sql`${oauthTokens.state} <> 'DEAD'`,
        // Accounts in their backoff would fill the batch.
        or(isNull(oauthTokens.nextTryAt), lte(oauthTokens.nextTryAt, deps.clock.sqlNow())),
        isNotNull(oauthTokens.refreshTokenSealed),
        inArray(connectedAccounts.status, ['ACTIVE', 'LIMITED']),
      ),
    )
    .orderBy(asc(oauthTokens.refreshIssuedAt))
    .limit(BATCH)
  await refreshEach(deps, idle, false)
}

/**
 * Tries the orphaned token pairs of accounts that need reauthorization. Where X still accepts one,
 * the account works again without its user.
 */
export async function recoverOrphanedTokens(deps: Deps): Promise<void> {
  await adoptOrphanedTokens(deps)
  await sweepOrphanedTokens(deps)
  const adopted = await deps.db
    .select({ id: oauthTokens.accountId, userId: oauthTokens.userId, version: oauthTokens.version })
    .from(oauthTokens)
    .innerJoin(connectedAccounts, hasTokens)
    .where(
      and(
        sql`${oauthTokens.state} = 'UNCERTAIN'`,
        eq(connectedAccounts.status, 'NEEDS_REAUTH'),
        or(isNull(oauthTokens.nextTryAt), lte(oauthTokens.nextTryAt, deps.clock.sqlNow())),
      ),
    )
    .limit(BATCH)
  await refreshEach(deps, adopted, true)
}

async function refreshEach(
  deps: Deps,
  accounts: { id: string; userId: string; version: number }[],
  accessTokenRejected: boolean,
): Promise<void> {
  for (const account of accounts) {
    try {
      const outcome = await shareRefresh(deps, account, account.version, accessTokenRejected)
      // X is unavailable or rejects our credentials, so the remaining accounts would fail too.
      if (outcome.kind === 'failed') return
    } catch (error) {
      // One account's error must not stop the others.
      deps.log.warn({ error, accountId: account.id }, 'Could not refresh the tokens of an account in the sweep')
    }
  }
}
