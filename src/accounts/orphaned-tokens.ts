// Orphaned token pairs: X issued them to a holder whose lease had passed to another process, so
// they replace nothing by themselves. If X has rejected the other holder's refresh token, an orphan
// may be the pair that is still good, and is tried before the user has to connect the account
// again.
import { and, desc, eq, exists, gt } from 'drizzle-orm'
import { deleteOfUsers } from '../db/batch-deletion.ts'
import { oauthTokens, orphanedTokens } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { type AccountKey, isOrphanOf, isTokensOf } from './account-rows.ts'
import { FRESH } from './refresh-lease.ts'

const BATCH = 20

/**
 * Replaces dead token pairs by the newest orphaned pair of their version. The result is UNCERTAIN
 * until a refresh has proved it: with the rejected refresh token, X may have ended the whole grant.
 */
export async function adoptOrphanedTokens(deps: Deps): Promise<void> {
  const isOrphanOfRow = and(
    eq(orphanedTokens.userId, oauthTokens.userId),
    eq(orphanedTokens.accountId, oauthTokens.accountId),
    eq(orphanedTokens.fromVersion, oauthTokens.version),
  )
  const dead = await deps.db
    .select({ id: oauthTokens.accountId, userId: oauthTokens.userId, version: oauthTokens.version })
    .from(oauthTokens)
    .where(and(eq(oauthTokens.state, 'DEAD'), exists(deps.db.select().from(orphanedTokens).where(isOrphanOfRow))))
    .limit(BATCH)
  for (const row of dead) await transaction(deps, (deps) => adoptOrphan(deps, row))
}

/**
 * Removes and returns the newest orphaned pair of a version, in the transaction that raises the
 * version by one; null when there is none. The other orphans are moved to the new version: if X
 * rejects this pair, the next one is tried. No orphan is revoked: revoking a token of the same
 * grant would end the adopted pair too (RFC 7009 section 2.1).
 */
export async function takeNewestOrphanedTokens(
  deps: Deps,
  account: AccountKey,
  version: number,
): Promise<typeof orphanedTokens.$inferSelect | null> {
  const isOfVersion = and(isOrphanOf(account), eq(orphanedTokens.fromVersion, version))
  const [newest] = await deps.db
    .select()
    .from(orphanedTokens)
    .where(isOfVersion)
    .orderBy(desc(orphanedTokens.fencingToken), desc(orphanedTokens.createdAt))
    .limit(1)
    .for('update')
  if (newest === undefined) return null
  await deps.db
    .delete(orphanedTokens)
    .where(and(eq(orphanedTokens.userId, account.userId), eq(orphanedTokens.id, newest.id)))
  await deps.db
    .update(orphanedTokens)
    .set({ fromVersion: version + 1 })
    .where(isOfVersion)
  return newest
}

/**
 * Deletes the orphaned pairs of earlier versions, until the signal: X has issued a newer pair, and
 * ended these.
 */
export async function sweepOrphanedTokens(deps: Deps, signal?: AbortSignal): Promise<number> {
  const isReplaced = exists(
    deps.db
      .select({ accountId: oauthTokens.accountId })
      .from(oauthTokens)
      .where(
        and(
          eq(oauthTokens.userId, orphanedTokens.userId),
          eq(oauthTokens.accountId, orphanedTokens.accountId),
          gt(oauthTokens.version, orphanedTokens.fromVersion),
        ),
      ),
  )
  return deleteOfUsers(deps, orphanedTokens, orphanedTokens, isReplaced, signal)
}

async function adoptOrphan(deps: Deps, account: AccountKey & { version: number }): Promise<void> {
  const { version } = account
  const isUnchanged = and(isTokensOf(account), eq(oauthTokens.version, version))
  // Tokens are locked before their orphans: see the lock order in db/user-lock.ts.
  const [locked] = await deps.db.select().from(oauthTokens).where(isUnchanged).for('update')
  if (locked === undefined) return
  const orphan = await takeNewestOrphanedTokens(deps, account, version)
  if (orphan === null) return
  await deps.db
    .update(oauthTokens)
    .set({
      accessTokenSealed: orphan.accessTokenSealed,
      refreshTokenSealed: orphan.refreshTokenSealed,
      accessExpiresAt: orphan.accessExpiresAt,
      ...FRESH,
      state: 'UNCERTAIN',
      cause: 'ORPHAN_ADOPTED',
      version: version + 1,
      refreshIssuedAt: orphan.createdAt,
    })
    .where(isUnchanged)
  deps.afterCommit(() =>
    deps.log.warn({ accountId: account.id }, 'An orphaned token pair replaces a rejected one, and will be tried'),
  )
}
