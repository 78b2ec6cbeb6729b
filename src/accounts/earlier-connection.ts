import { and, eq, isNull, sql } from 'drizzle-orm'
import { isAttempt } from '../auth/connect-attempt.ts'
import { lockedSession } from '../auth/session-rows.ts'
import { hasOne, isDone } from '../db/statement-parts.ts'
import { connectAttempts, connectedAccounts, oauthTokens, users } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { isAccountAtX } from './account-rows.ts'
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
 * @throws AppError SESSION_MISSING when the user was deleted or is being deleted, or the session has ended.
 */
export async function lockEarlierConnection(
  deps: Deps,
  attempt: TakenAttempt,
  providerAccountId: string,
): Promise<EarlierConnection | null> {
  const { db } = deps
  const { userId } = attempt
  const isOwner = and(eq(users.id, userId), isNull(users.deletionId))
  const owner = db.$with('owner').as(db.select({ id: users.id }).from(users).where(isOwner).for('share'))
  const session = db.$with('session').as(lockedSession(deps, { id: attempt.sessionId, userId }, hasOne(owner)))
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
      .where(and(isAccountAtX(userId, providerAccountId), isDone(session)))
      .for('no key update'),
  )
  const [found] = await db
    .with(owner, session, account)
    .select({
      isSessionLive: hasOne(session),
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
