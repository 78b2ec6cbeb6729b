// Pairs that X issued to a holder whose lease had passed on, and that came after the next holder's token had been refused. One of them
// may be good: it is tried before the user is left to link the account again.
import { and, eq, exists } from 'drizzle-orm'
import { oauthTokens, rotationOrphans } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { FRESH } from './rotation-claim.ts'

const BATCH = 20

/**
 * Puts late pairs in the place of dead ones, in doubt until a refresh has proved them: the refresh that was refused may have made X end
 * the whole grant.
 */
export async function takeUpLatePairs(deps: Deps): Promise<void> {
  const late = and(
    eq(rotationOrphans.accountId, oauthTokens.accountId),
    eq(rotationOrphans.fromVersion, oauthTokens.version),
  )
  const dead = await deps.db
    .select({ accountId: oauthTokens.accountId, version: oauthTokens.version })
    .from(oauthTokens)
    .where(and(eq(oauthTokens.state, 'DEAD'), exists(deps.db.select().from(rotationOrphans).where(late))))
    .limit(BATCH)
  for (const row of dead) await transaction(deps, (deps) => takeUpLatePair(deps, row))
}

async function takeUpLatePair(deps: Deps, { accountId, version }: { accountId: string; version: number }) {
  const unchanged = and(eq(oauthTokens.accountId, accountId), eq(oauthTokens.version, version))
  // The tokens before their orphans, as everywhere.
  const [held] = await deps.db.select().from(oauthTokens).where(unchanged).for('update')
  if (held === undefined) return
  const [orphan] = await deps.db
    .delete(rotationOrphans)
    .where(and(eq(rotationOrphans.accountId, accountId), eq(rotationOrphans.fromVersion, version)))
    .returning()
  if (orphan === undefined) return
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
