// The last refused connection of each X account. The approval at X has ended the grants that were
// approved before it, also those of another user whose connection is still being stored.
import { and, eq, gte, lt, ne, sql } from 'drizzle-orm'
import { deleteLookUps } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { refusedConnections } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

// Longer than any connection takes that is not waiting for X.
const KEPT_SECONDS = 86_400

/**
 * Stores that this attempt at connecting an X account was refused, in the transaction of `deps`.
 */
export async function recordRefusedConnection(
  deps: Deps,
  attempt: { id: string; userId: string },
  providerAccountId: string,
): Promise<void> {
  const { id: attemptId, userId } = attempt
  await deps.db
    .insert(refusedConnections)
    .values({ providerAccountId, provider: 'X', userId, attemptId, refusedAt: deps.clock.sqlNow() })
    .onConflictDoUpdate({
      target: [refusedConnections.providerAccountId, refusedConnections.provider],
      set: {
        userId: sql`excluded.user_id`,
        attemptId: sql`excluded.attempt_id`,
        refusedAt: sql`excluded.refused_at`,
      },
    })
}

/**
 * Returns the id of the attempt that was refused last, of an X account, unless that was before
 * `since` or is `attemptId` itself; otherwise null.
 */
export async function findRefusedConnection(
  deps: Deps,
  providerAccountId: string,
  { attemptId, since }: { attemptId: string; since: Date },
): Promise<string | null> {
  const [refused] = await deps.db
    .select({ attemptId: refusedConnections.attemptId })
    .from(refusedConnections)
    .where(
      and(
        eq(refusedConnections.providerAccountId, providerAccountId),
        eq(refusedConnections.provider, 'X'),
        gte(refusedConnections.refusedAt, since),
        ne(refusedConnections.attemptId, attemptId),
      ),
    )
  return refused?.attemptId ?? null
}

/** Deletes the rows of more than a day ago, until the signal. */
export async function sweepRefusedConnections(deps: Deps, signal?: AbortSignal): Promise<number> {
  const { providerAccountId, refusedAt } = refusedConnections
  const isOld = lt(refusedAt, sqlIn(deps.clock, -KEPT_SECONDS))
  return deleteLookUps(deps, refusedConnections, providerAccountId, isOld, signal)
}
