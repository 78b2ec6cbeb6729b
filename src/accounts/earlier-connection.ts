import { and, eq, sql } from 'drizzle-orm'
import { isAttempt } from '../auth/connect-attempt.ts'
import { isLiveSession, isSession } from '../auth/session-rows.ts'
import { connectAttempts, connectedAccounts, oauthTokens, sessions, users } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { isAttemptAllowed } from './attempt-session.ts'
import type { TakenAttempt } from './attempt-tokens.ts'

/** The user's row of an account that was connected before. `grantId` is null where it has no tokens. */
export type EarlierConnection = Pick<
  typeof connectedAccounts.$inferSelect,
  'id' | 'status' | 'username' | 'displayName' | 'avatarUrl' | 'connectedAt' | 'disconnectedAt'
> & { grantId: string | null }

/**
 * Locks the user, the session and the user's account by one statement, in the transaction of `deps`
 * that stores a connection, and returns the account as it was connected before; null when it never
 * was. The transaction has the lock of the account's holder, under which alone `grantId` changes.
 * @throws AppError SESSION_MISSING when the user was deleted, or the session has ended.
 */
export async function lockEarlierConnection(
  deps: Deps,
  attempt: TakenAttempt,
  providerAccountId: string,
): Promise<EarlierConnection | null> {
  const { db } = deps
  const { userId } = attempt
  const owner = db.$with('owner').as(db.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('share'))
  const session = db.$with('session').as(
    db
      .select({ id: sessions.id })
      .from(sessions)
      .where(
        and(
          isSession({ id: attempt.sessionId, userId }),
          isLiveSession(deps),
          sql`(select count(*) from ${owner}) = 1`,
        ),
      )
      .for('key share'),
  )
  const account = db.$with('account').as(
    db
      .select({
        id: connectedAccounts.id,
        status: connectedAccounts.status,
        username: connectedAccounts.username,
        displayName: connectedAccounts.displayName,
        avatarUrl: connectedAccounts.avatarUrl,
        connectedAt: connectedAccounts.connectedAt,
        disconnectedAt: connectedAccounts.disconnectedAt,
      })
      .from(connectedAccounts)
      .where(
        and(
          eq(connectedAccounts.userId, userId),
          eq(connectedAccounts.provider, 'X'),
          eq(connectedAccounts.providerAccountId, providerAccountId),
          sql`(select count(*) from ${session}) >= 0`,
        ),
      )
      .for('no key update'),
  )
  const [found] = await db
    .with(owner, session, account)
    .select({
      isSessionLive: sql<boolean>`(select count(*) from ${session}) = 1`,
      sessionId: connectAttempts.sessionId,
      account: {
        id: account.id,
        status: account.status,
        username: account.username,
        displayName: account.displayName,
        avatarUrl: account.avatarUrl,
        connectedAt: account.connectedAt,
        disconnectedAt: account.disconnectedAt,
      },
      grantId: oauthTokens.grantId,
    })
    .from(owner)
    .leftJoin(account, sql`true`)
    .leftJoin(oauthTokens, and(eq(oauthTokens.userId, userId), eq(oauthTokens.accountId, account.id)))
    .leftJoin(connectAttempts, isAttempt(attempt))
  if (found === undefined || !isAttemptAllowed(attempt, found)) throw new AppError('SESSION_MISSING')
  return found.account && { ...found.account, grantId: found.grantId }
}
