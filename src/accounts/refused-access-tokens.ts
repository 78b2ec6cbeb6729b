// Access tokens that X rejects shortly after it has issued them, as it does while it suspends or
// restricts an app. A refresh would bring another such token and spend a refresh token for each
// post, so the rejection is stored with the token pair, for all instances.
import { and, eq, gt, isNull, ne, sql } from 'drizzle-orm'
import { sqlIn } from '../db/clock.ts'
import { oauthTokens } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type AccountKey, isTokensOf } from './account-rows.ts'

// Older rejections are not counted: an account that is not used cannot show that X accepts its
// token again.
const COUNTED_SECONDS = 3_600

/** Stores that X rejected the access token of `version`, which it had just issued. Never throws. */
export async function recordRefusedAccessToken(deps: Deps, account: AccountKey, version: number): Promise<void> {
  try {
    const [recorded] = await deps.db
      .update(oauthTokens)
      .set({ accessRefusedAt: deps.clock.sqlNow() })
      .where(and(isTokensOf(account), eq(oauthTokens.version, version), isNull(oauthTokens.accessRefusedAt)))
      .returning({ accountId: oauthTokens.accountId })
    if (recorded !== undefined)
      deps.log.warn({ accountId: account.id }, 'X refused an access token that it had just issued')
  } catch (error) {
    deps.log.warn({ error, accountId: account.id }, 'Could not record that X refused an access token')
  }
}

/**
 * Stores that X has accepted the access token of `version`. Never throws: the result of the call
 * must reach its caller.
 */
export async function recordAcceptedAccessToken(deps: Deps, account: AccountKey, version: number): Promise<void> {
  try {
    await deps.db
      .update(oauthTokens)
      .set({ accessUnproven: false, accessRefusedAt: null })
      .where(and(isTokensOf(account), eq(oauthTokens.version, version)))
  } catch (error) {
    deps.log.warn({ error, accountId: account.id }, 'Could not record that X accepted an access token')
  }
}

/**
 * Counts the accounts whose new access token X has rejected within the last hour and not accepted
 * since, and returns when the first of these rejections was.
 */
export async function countRefusedAccessTokens(deps: Deps): Promise<{ accounts: number; since: Date | null }> {
  const [found] = await deps.db
    .select({
      accounts: sql<number>`count(*)::int`,
      since: sql<Date | null>`min(${oauthTokens.accessRefusedAt})`.mapWith(oauthTokens.accessRefusedAt),
    })
    .from(oauthTokens)
    .where(isRefused(deps))
  return { accounts: found?.accounts ?? 0, since: found?.since ?? null }
}

/** Returns true if `countRefusedAccessTokens` would count an account other than this one. */
export async function isTokenOfAnotherRefused(deps: Deps, account: AccountKey): Promise<boolean> {
  // X may refuse the tokens of all accounts: one is enough.
  const found = await deps.db
    .select({ accountId: oauthTokens.accountId })
    .from(oauthTokens)
    .where(and(isRefused(deps), ne(oauthTokens.accountId, account.id)))
    .limit(1)
  return found.length > 0
}

function isRefused(deps: Deps) {
  return gt(oauthTokens.accessRefusedAt, sqlIn(deps.clock, -COUNTED_SECONDS))
}
