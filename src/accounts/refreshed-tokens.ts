// Stores the token pair that a refresh has brought. X has ended the old pair by then, so the write
// is repeated until the database has taken it, and a pair that arrives after its lease has expired
// is kept as an orphan instead of being dropped.
import { sqlIn } from '../db/clock.ts'
import { retryUntilWritten } from '../db/retry-write.ts'
import { oauthTokens, orphanedTokens } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { IssuedTokens } from '../x/token-response.ts'
import { isTokensOf } from './account-rows.ts'
import { lockAccount, markRecovered } from './account-status.ts'
import { findProviderAccountId } from './accounts.ts'
import { takeNewestOrphanedTokens } from './orphaned-tokens.ts'
import { FRESH, leasedAccount, type RefreshLease, underLease } from './refresh-lease.ts'
import { requestRevocation } from './revocation.ts'
import { sealToken } from './sealed-tokens.ts'

type RefreshedTokens = IssuedTokens & { refreshToken: string }
type SealedPair = {
  accessTokenSealed: string
  refreshTokenSealed: string
  secondsLeft: () => number
  secondsSinceIssue: () => number
}

/**
 * Stores a refreshed token pair. If the lease has passed to another process, the pair is kept as an
 * orphan of its grant, or revoked where the account has another grant by now or is disconnected.
 * @param receivedAt by `performance.now()`: when the response arrived.
 */
export async function storeRefreshedTokens(
  deps: Deps,
  lease: RefreshLease,
  issued: RefreshedTokens,
  receivedAt: number,
): Promise<void> {
  const secondsSinceIssue = () => (performance.now() - receivedAt) / 1000
  // Sealed once: a repeated write recognises the result of an earlier one by its bytes.
  const pair: SealedPair = {
    accessTokenSealed: sealToken(deps, lease, 'accessTokenSealed', issued.accessToken ?? ''),
    refreshTokenSealed: sealToken(deps, lease, 'refreshTokenSealed', issued.refreshToken),
    // Measured from the receipt: the write may happen much later.
    secondsLeft: () => issued.expiresInSeconds - secondsSinceIssue(),
    secondsSinceIssue,
  }
  const isWritten = await retryUntilWritten(deps, 'store a refreshed token pair', () => writePair(deps, lease, pair))
  if (!isWritten)
    await retryUntilWritten(deps, 'store an orphaned token pair', () =>
      storeOrphanedTokens(deps, lease, pair, issued.refreshToken),
    )
}

/**
 * Replaces the leased token pair by the newest orphaned pair of its version.
 * @returns false when there is none.
 * @throws AppError REFRESH_IN_PROGRESS when the lease has expired. The transaction is rolled back,
 * and the orphan stays for the next holder.
 */
export async function adoptUnderLease(deps: Deps, lease: RefreshLease): Promise<boolean> {
  return transaction(deps, async (deps) => {
    // Tokens are locked before their orphans: see the lock order in db/user-lock.ts.
    await deps.db
      .select()
      .from(oauthTokens)
      .where(isTokensOf(leasedAccount(lease)))
      .for('update')
    const orphan = await takeNewestOrphanedTokens(deps, leasedAccount(lease), lease.version)
    if (orphan === null) return false
    const [adopted] = await deps.db
      .update(oauthTokens)
      .set({
        accessTokenSealed: orphan.accessTokenSealed,
        refreshTokenSealed: orphan.refreshTokenSealed,
        accessExpiresAt: orphan.accessExpiresAt,
        ...refreshedColumns(deps, lease),
        // X may have ended the pair since it was issued. A rejection then concerns this account
        // alone, and the refresh token gives certainty.
        accessUnproven: false,
        lastEvent: 'RECOVERED',
        refreshIssuedAt: orphan.createdAt,
      })
      .where(underLease(lease))
      .returning({ version: oauthTokens.version })
    if (adopted === undefined) throw new AppError('REFRESH_IN_PROGRESS')
    return true
  })
}

async function writePair(deps: Deps, lease: RefreshLease, pair: SealedPair): Promise<boolean> {
  const isWritten = lease.isUncertain
    ? await transaction(deps, async (deps) => {
        const account = await lockAccount(deps, leasedAccount(lease))
        const isReplaced = await replacePair(deps, lease, pair)
        if (isReplaced && account !== null) await markRecovered(deps, account)
        return isReplaced
      })
    : await replacePair(deps, lease, pair)
  if (isWritten) return true
  // An earlier try may have been committed, and only its confirmation lost.
  const [row] = await deps.db
    .select({ accessTokenSealed: oauthTokens.accessTokenSealed })
    .from(oauthTokens)
    .where(isTokensOf(leasedAccount(lease)))
  return row?.accessTokenSealed === pair.accessTokenSealed
}

async function replacePair(deps: Deps, lease: RefreshLease, pair: SealedPair): Promise<boolean> {
  const [replaced] = await deps.db
    .update(oauthTokens)
    .set({
      accessTokenSealed: pair.accessTokenSealed,
      refreshTokenSealed: pair.refreshTokenSealed,
      accessExpiresAt: sqlIn(deps.clock, pair.secondsLeft()),
      ...refreshedColumns(deps, lease),
      refreshIssuedAt: sqlIn(deps.clock, -pair.secondsSinceIssue()),
    })
    .where(underLease(lease))
    .returning({ version: oauthTokens.version })
  return replaced !== undefined
}

// Another process holds the lease now. A pair of an earlier grant is revoked and never stored; a
// pair of the same grant is kept for the next holder, and never overwrites the row.
async function storeOrphanedTokens(
  deps: Deps,
  lease: RefreshLease,
  pair: SealedPair,
  refreshToken: string,
): Promise<void> {
  await transaction(deps, async (deps) => {
    const [row] = await deps.db
      .select()
      .from(oauthTokens)
      .where(isTokensOf(leasedAccount(lease)))
      .for('update')
    if (row === undefined || row.grantId !== lease.grantId) {
      const owner = { ...lease, providerAccountId: await findProviderAccountId(deps, leasedAccount(lease)) }
      await requestRevocation(deps, owner, refreshToken, 'refresh_token')
      return
    }
    await deps.db.insert(orphanedTokens).values({
      userId: lease.userId,
      accountId: lease.accountId,
      fromVersion: lease.version,
      fencingToken: lease.fencingToken,
      accessTokenSealed: pair.accessTokenSealed,
      refreshTokenSealed: pair.refreshTokenSealed,
      accessExpiresAt: sqlIn(deps.clock, pair.secondsLeft()),
      createdAt: deps.clock.sqlNow(),
    })
  })
}

function refreshedColumns(deps: Deps, lease: RefreshLease) {
  return {
    ...FRESH,
    accessUnproven: true,
    version: lease.version + 1,
    lastEvent: lease.isUncertain ? ('RECOVERED' as const) : ('REFRESHED' as const),
    lastEventAt: deps.clock.sqlNow(),
  }
}
