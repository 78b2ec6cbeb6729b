// Pairs that X issued to a holder whose lease had passed on, and that came after the next holder's token had been refused. One of them
// may be good: it is tried before the user is left to link the account again.
import { and, desc, eq, exists, gt } from 'drizzle-orm'
import { oauthTokens, rotationOrphans } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { FRESH } from './refresh-lease.ts'

const BATCH = 20

/**
 * Puts late pairs in the place of dead ones, in doubt until a refresh has proved them: the refresh that was refused may have made X end
 * the whole grant.
 */
export async function adoptOrphanedTokens(deps: Deps): Promise<void> {
  const late = and(
    eq(rotationOrphans.accountId, oauthTokens.accountId),
    eq(rotationOrphans.fromVersion, oauthTokens.version),
  )
  const dead = await deps.db
    .select({ accountId: oauthTokens.accountId, version: oauthTokens.version })
    .from(oauthTokens)
    .where(and(eq(oauthTokens.state, 'DEAD'), exists(deps.db.select().from(rotationOrphans).where(late))))
    .limit(BATCH)
  for (const row of dead) await transaction(deps, (deps) => adoptNewestOrphanedTokens(deps, row))
}

/**
 * Takes the newest of an account's orphaned pairs, in the transaction that raises the version of
 * its tokens by one. The others come along to that version: should X refuse this one, the next is
 * tried. None is revoked: a token of the same grant would end the pair that was taken (RFC 7009
 * section 2.1), and of another grant X has ended all but one.
 */
export async function takeNewestOrphanedTokens(
  deps: Deps,
  accountId: string,
  version: number,
): Promise<typeof rotationOrphans.$inferSelect | null> {
  const ofVersion = and(eq(rotationOrphans.accountId, accountId), eq(rotationOrphans.fromVersion, version))
  const [newest] = await deps.db
    .select()
    .from(rotationOrphans)
    .where(ofVersion)
    .orderBy(desc(rotationOrphans.fence), desc(rotationOrphans.createdAt))
    .limit(1)
    .for('update')
  if (newest === undefined) return null
  await deps.db.delete(rotationOrphans).where(eq(rotationOrphans.id, newest.id))
  await deps.db
    .update(rotationOrphans)
    .set({ fromVersion: version + 1 })
    .where(ofVersion)
  return newest
}

/**
 * Deletes orphaned pairs of versions that have passed: X has issued a newer pair since, and takes
 * these no more.
 */
export async function sweepOrphanedTokens(deps: Deps): Promise<void> {
  await deps.db.delete(rotationOrphans).where(
    exists(
      deps.db
        .select({ accountId: oauthTokens.accountId })
        .from(oauthTokens)
        .where(
          and(
            eq(oauthTokens.accountId, rotationOrphans.accountId),
            gt(oauthTokens.version, rotationOrphans.fromVersion),
          ),
        ),
    ),
  )
}

async function adoptNewestOrphanedTokens(deps: Deps, { accountId, version }: { accountId: string; version: number }) {
  const unchanged = and(eq(oauthTokens.accountId, accountId), eq(oauthTokens.version, version))
  // The tokens before their orphans, as everywhere.
  const [held] = await deps.db.select().from(oauthTokens).where(unchanged).for('update')
  if (held === undefined) return
  const orphan = await takeNewestOrphanedTokens(deps, accountId, version)
  if (orphan === null) return
  await deps.db
    .update(oauthTokens)
    .set({
      accessTokenSealed: orphan.accessTokenSealed,
      refreshTokenSealed: orphan.refreshTokenSealed,
      accessExpiresAt: orphan.accessExpiresAt,
      ...FRESH,
      state: 'UNCERTAIN',
      cause: 'PAIR_LATE',
      version: version + 1,
      refreshIssuedAt: orphan.createdAt,
    })
    .where(unchanged)
  deps.log.warn({ accountId }, 'A pair of tokens came after its account was given up; it is tried')
}
