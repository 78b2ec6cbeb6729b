// Handles a revocation of the app's access that X reports. The report may be old, repeated or about
// another grant: the account needs reauthorization at once, and X's response to the next refresh
// decides whether it stays so.
import { connectedAccounts, oauthTokens } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import type { RevokeEvent } from '../x/activity.ts'
import { findAccountHolder } from './account-holder.ts'
import { hasTokens, isAccountAtX, isTokensOf } from './account-rows.ts'
import { lockAccount, markSuperseded } from './account-status.ts'

/**
 * Sets the account that X names to NEEDS_REAUTH (GRANT_REVOKED). Does nothing for an account that
 * nobody has connected, that has been connected since, or that X has refused already.
 * @returns whether the account was changed.
 */
export async function markReportedRevocation(
  deps: Deps,
  { providerAccountId, at }: Pick<RevokeEvent, 'providerAccountId' | 'at'>,
): Promise<boolean> {
  const userId = await findAccountHolder(deps, providerAccountId)
  if (userId === null) return false
  const [account] = await deps.db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(isAccountAtX(userId, providerAccountId))
  if (account === undefined) return false
  const key = { id: account.id, userId }
  return transaction(deps, async (deps) => {
    if ((await lockAccount(deps, key)) === null) return false
    const [row] = await deps.db
      .select({
        version: oauthTokens.version,
        grantId: oauthTokens.grantId,
        state: oauthTokens.state,
        connectedAt: connectedAccounts.connectedAt,
      })
      .from(oauthTokens)
      .innerJoin(connectedAccounts, hasTokens)
      .where(isTokensOf(key))
    if (row === undefined || row.state !== 'ACTIVE' || at <= row.connectedAt) return false
    await markSuperseded(deps, { ...key, ...row }, 'REVOCATION_REPORTED')
    return true
  })
}
