// The rows of sessions: until when one is good, and how it is removed.
import { and, desc, eq, gt, inArray, lte, or, type SQL } from 'drizzle-orm'
import { isActiveUser } from '../db/active-user.ts'
import { runBatchesByUser } from '../db/batches.ts'
import { sessions } from '../db/tables.ts'
import { lockUsers } from '../db/user-lock.ts'
import { announceViewerChange } from '../db/viewers.ts'
import { type Deps, transaction } from '../deps.ts'
import { recordEvent } from '../events/events.ts'
import { disownConnectAttempts } from './connect-attempt.ts'

/** Why a session has ended. */
export type SessionEnd =
  | 'SIGNED_OUT'
  | 'REVOKED'
  | 'REPLACED'
  | 'LIMIT_REACHED'
  | 'EXPIRED'
  | 'SIGNED_OUT_BY_OPERATOR'
  | 'BLOCKED'

// The user is to be safe from what the browser has started.
const DISOWNING: readonly SessionEnd[] = ['REVOKED', 'SIGNED_OUT_BY_OPERATOR', 'BLOCKED']

/** A signed-in browser. `id` is SHA-256 of the session token, `createdAt` the sign-in. */
export type Session = { id: string; userId: string; createdAt: Date; expiresAt: Date }

/** What identifies a session. */
export type SessionKey = Pick<Session, 'id' | 'userId'>

// An absolute timeout, which limits the use of a stolen session (OWASP Session Management Cheat
// Sheet).
const ABSOLUTE_LIFETIME_MILLISECONDS = 90 * 86_400_000
/**
 * The number of sessions of a user. A sign-in beyond it ends the one that was used least recently,
 * so that a stolen session cannot keep its user out.
 */
export const MAX_SESSIONS = 50
const SWEEP_BATCH = 200

/** Deletes the expired sessions, until the signal. */
export async function sweepSessions(deps: Deps, signal?: AbortSignal): Promise<number> {
  const hasExpired = or(lte(sessions.expiresAt, new Date()), lte(sessions.createdAt, oldestStart(deps)))
  const findExpired = () =>
    deps.db.select({ userId: sessions.userId, id: sessions.id }).from(sessions).where(hasExpired).limit(SWEEP_BATCH)
  const remove = (userId: string, ids: string[]) =>
    transaction(deps, async (deps) => {
      await lockUsers(deps.db, [userId])
      // Checked again: one may have been extended.
      const isOne = and(eq(sessions.userId, userId), inArray(sessions.id, ids), hasExpired)
      return (await removeSessions(deps, isOne, 'EXPIRED')).length
    })
  return runBatchesByUser(SWEEP_BATCH, findExpired, remove, signal)
}

/** The row of a session. */
export type SessionRow = typeof sessions.$inferSelect

/**
 * Deletes sessions and records their end. Of any number of callers, one finds a row and records the
 * event.
 */
export function removeSessions(deps: Deps, which: SQL | undefined, reason: SessionEnd): Promise<SessionRow[]> {
  return transaction(deps, async (deps) => {
    const ended = await deps.db.delete(sessions).where(which).returning()
    if (DISOWNING.includes(reason)) await disownConnectAttempts(deps, ended)
    await recordEvent(deps, ...ended.map(({ userId }) => ({ type: 'session.ended' as const, userId, reason })))
    // Every instance knows by the clock when a session expires.
    if (reason !== 'EXPIRED')
      for (const userId of new Set(ended.map(({ userId }) => userId))) await announceViewerChange(deps, userId)
    return ended
  })
}

/** Ends the sessions of a user beyond `MAX_SESSIONS`. */
export async function endSurplusSessions(deps: Deps, userId: string): Promise<void> {
  const surplus = deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(eq(sessions.userId, userId))
    .orderBy(desc(sessions.lastUsedAt), desc(sessions.createdAt))
    .offset(MAX_SESSIONS)
  await removeSessions(deps, and(eq(sessions.userId, userId), inArray(sessions.id, surplus)), 'LIMIT_REACHED')
}

/**
 * Ends the sessions of all users, without events: for a restored database, in which ended sessions
 * are back. A gateway that runs may accept them for ten seconds.
 * @returns their number.
 */
export async function endAllSessions({ db }: Pick<Deps, 'db'>): Promise<number> {
  return (await db.delete(sessions).returning({ userId: sessions.userId })).length
}

/**
 * The condition for sessions that have not ended, of users who are neither blocked nor being
 * deleted.
 */
export function isLiveSession(deps: Deps): SQL | undefined {
  return and(
    gt(sessions.expiresAt, new Date()),
    gt(sessions.createdAt, oldestStart(deps)),
    isActiveUser(sessions.userId),
  )
}

/**
 * Returns true while a session has not ended, and keeps it from being ended before the transaction
 * of `deps` is.
 */
export async function lockSession(deps: Deps, session: SessionKey): Promise<boolean> {
  const [good] = await lockedSession(deps, session)
  return good !== undefined
}

/**
 * The query that `lockSession` sends, for a part of a statement.
 * @param isTurn a condition that lets it wait for another part.
 */
export function lockedSession(deps: Deps, session: SessionKey, isTurn?: SQL) {
  return deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(isSession(session), isLiveSession(deps), isTurn))
    .for('key share')
}

/** Returns when a session ends without further use, by either timeout. */
export function sessionEnd({ expiresAt, createdAt }: Pick<SessionRow, 'expiresAt' | 'createdAt'>): Date {
  return new Date(Math.min(expiresAt.getTime(), createdAt.getTime() + ABSOLUTE_LIFETIME_MILLISECONDS))
}

/** Sessions that started before this have reached the absolute timeout. */
export function oldestStart({ clock }: Deps): Date {
  return new Date(clock.now().getTime() - ABSOLUTE_LIFETIME_MILLISECONDS)
}

/** The condition for the row of a session. */
export function isSession({ userId, id }: SessionKey): SQL | undefined {
  return and(eq(sessions.userId, userId), eq(sessions.id, id))
}
