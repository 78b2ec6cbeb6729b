// The changes of an account's status that follow from the state of its tokens.
import { and, eq, exists, isNotNull, ne, sql } from 'drizzle-orm'
import { connectedAccounts, oauthTokens } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { type Deps, transaction } from '../deps.ts'
import { recordEvent } from '../events/events.ts'
import { workingStatus } from '../x/scopes.ts'
import { type AccountKey, isAccount, isTokensOf } from './account-rows.ts'

type LockedAccount = Pick<typeof connectedAccounts.$inferSelect, 'id' | 'userId' | 'status' | 'scopes'>

/**
 * Locks an account's row for the transaction of `deps`; null when there is none. Locks its user
 * first: see the lock order in db/user-lock.ts.
 */
export async function lockAccount(deps: Deps, account: AccountKey): Promise<LockedAccount | null> {
  await lockUsers(deps.db, [account.userId])
  const [locked] = await deps.db.select().from(connectedAccounts).where(isAccount(account)).for('no key update')
  return locked ?? null
}

/**
 * Sets an account to NEEDS_REAUTH: it works again once its user has connected it again. Does
 * nothing if the tokens were replaced since `seen` was read.
 */
export async function markNeedsReauth(
  deps: Pick<Deps, 'db' | 'clock'> & { log: Deps['log'] | null },
  account: AccountKey,
  seen: { version: number; grantId: string },
  reason: 'GRANT_REVOKED' | 'REFRESH_LOST' | 'DATABASE_RESTORED' | 'REFRESH_TOKEN_MISSING' | 'TOKENS_UNREADABLE',
): Promise<void> {
  const unchanged = deps.db
    .select({ accountId: oauthTokens.accountId })
    .from(oauthTokens)
    .where(and(isTokensOf(account), eq(oauthTokens.version, seen.version), eq(oauthTokens.grantId, seen.grantId)))
  const { id: accountId, userId } = account
  await transaction(deps, async (deps) => {
    await lockUsers(deps.db, [userId])
    const [marked] = await deps.db
      .update(connectedAccounts)
      .set({ status: 'NEEDS_REAUTH', statusReason: reason, statusSince: deps.clock.sqlNow() })
      // Keep the first reason and its timestamp; later callers know nothing more.
      .where(and(isAccount(account), ne(connectedAccounts.status, 'NEEDS_REAUTH'), exists(unchanged)))
      .returning({ id: connectedAccounts.id })
    if (marked === undefined) return
    await recordEvent(deps, { type: 'account.needs_reauth', userId, accountId, reason })
    deps.log?.warn({ accountId, reason }, 'An account needs reauthorization: its user has to connect it again')
  })
}

/**
 * Sets an account to NEEDS_REAUTH because a later approval at X has ended its grant, or because X
 * has reported its revocation. Its tokens become UNCERTAIN, and the sweep tries them once more:
 * that a later approval ends the grant is X's documented rule, and X's response to the refresh
 * decides. Call it in a transaction that has locked the account.
 */
export async function markSuperseded(
  deps: Deps,
  account: AccountKey & { version: number; grantId: string },
  cause: 'SUPERSEDED' | 'REVOCATION_REPORTED' = 'SUPERSEDED',
): Promise<void> {
  await markNeedsReauth(deps, account, account, 'GRANT_REVOKED')
  await deps.db
    .update(oauthTokens)
    .set({ state: 'UNCERTAIN', cause: sql`coalesce(${oauthTokens.cause}, ${cause})`, nextTryAt: null })
    .where(
      and(
        isTokensOf(account),
        eq(oauthTokens.grantId, account.grantId),
        eq(oauthTokens.state, 'ACTIVE'),
        isNotNull(oauthTokens.refreshTokenSealed),
      ),
    )
}

/**
 * Ends an account's NEEDS_REAUTH, in the transaction that stores its new token pair. Does nothing
 * for an account in another status.
 */
export async function markRecovered(deps: Deps, account: LockedAccount): Promise<void> {
  if (account.status !== 'NEEDS_REAUTH') return
  const { id: accountId, userId } = account
  const now = workingStatus(account.scopes)
  await deps.db
    .update(connectedAccounts)
    .set({ ...now, statusSince: deps.clock.sqlNow() })
    .where(isAccount(account))
  await recordEvent(deps, { type: 'account.recovered', userId, accountId, reason: now.statusReason })
}
