import { UnsealError } from '../crypto.ts'
import { connectedAccounts, oauthTokens, orphanedTokens } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { type Actor, recordAct } from '../events/operator-acts.ts'
import { lockAccountHolder, releaseAccount } from './account-holder.ts'
import { isAccount, isOrphanOf, isTokensOf } from './account-rows.ts'
import { lockAccount } from './account-status.ts'
import { type ConnectedAccount, findConnectedAccount } from './accounts.ts'
import { requestRevocation } from './revocation.ts'
import { openToken } from './sealed-tokens.ts'

/**
 * Disconnects an account: deletes its tokens at once, and queues a job that revokes its grant at X
 * and is retried until X has confirmed. A disconnected account stays disconnected.
 * @param byOperator who acts for the operator; null for the user.
 * @throws AppError ACCOUNT_NOT_FOUND
 */
export async function disconnectAccount(
  deps: Deps,
  userId: string,
  accountId: string,
  byOperator: Actor | null = null,
): Promise<ConnectedAccount> {
  const statusReason = byOperator === null ? 'DISCONNECTED_BY_USER' : 'DISCONNECTED_BY_OPERATOR'
  const account = await findConnectedAccount(deps, userId, accountId)
  if (account === null) throw new AppError('ACCOUNT_NOT_FOUND', { field: ['input', 'accountId'] })
  await transaction(deps, async (deps) => {
    // Also locked when it is disconnected already: another request may be connecting it again, with
    // tokens that must not be deleted.
    await lockAccountHolder(deps, userId, account.providerAccountId)
    const locked = await lockAccount(deps, account)
    await releaseAccount(deps, userId, account.providerAccountId)
    if (locked === null || locked.status === 'DISCONNECTED') return
    await deps.db
      .update(connectedAccounts)
      .set({
        status: 'DISCONNECTED',
        statusReason,
        statusSince: deps.clock.sqlNow(),
        disconnectedAt: deps.clock.sqlNow(),
      })
      .where(isAccount(account))
    await recordEvent(deps, { type: 'account.disconnected', userId, accountId: account.id, reason: statusReason })
    if (byOperator !== null)
      await recordAct(deps, byOperator, { type: 'operator.account_disconnected', userId, accountId: account.id })
    // A refresh under way finds no row to update, and revokes the token pair that it has received.
    const [tokens] = await deps.db.delete(oauthTokens).where(isTokensOf(account)).returning()
    if (tokens !== undefined)
      await requestRevocationOf(deps, account, tokens, tokens.sentAt !== null || tokens.state !== 'ACTIVE')
    // Orphaned pairs are newer than the row's, and no refresh will adopt them any more.
    const orphans = await deps.db.delete(orphanedTokens).where(isOrphanOf(account)).returning()
    for (const orphan of orphans) await requestRevocationOf(deps, account, orphan, false)
  })
  const disconnected = await findConnectedAccount(deps, userId, accountId)
  if (disconnected === null) throw new AppError('ACCOUNT_NOT_FOUND', { field: ['input', 'accountId'] })
  return disconnected
}

async function requestRevocationOf(
  deps: Deps,
  account: ConnectedAccount,
  tokens: Pick<typeof oauthTokens.$inferSelect, 'accessTokenSealed' | 'refreshTokenSealed'>,
  isMaybeSpent: boolean,
): Promise<void> {
  const { id: accountId, userId, providerAccountId } = account
  const owner = { accountId, userId, providerAccountId }
  const open = async (column: 'refreshTokenSealed' | 'accessTokenSealed') => {
    try {
      return await openToken(deps, owner, column, tokens)
    } catch (error) {
      // An account must be disconnectable even when its tokens were altered.
      if (!(error instanceof UnsealError)) throw error
      deps.log.error({ error, accountId: account.id }, 'A token of a disconnected account could not be decrypted')
      return null
    }
  }
  const refreshToken = await open('refreshTokenSealed')
  if (refreshToken !== null) await requestRevocation(deps, owner, refreshToken, 'refresh_token')
  // X may no longer know the grant of a spent refresh token; it still knows that of the access
  // token.
  const accessToken = refreshToken === null || isMaybeSpent ? await open('accessTokenSealed') : null
  if (accessToken) await requestRevocation(deps, owner, accessToken, 'access_token')
}
