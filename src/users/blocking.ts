// What the operator does to the access of a user. All of it takes effect on every instance before
// it returns.
import { and, eq, isNull, ne, type SQL } from 'drizzle-orm'
import { removeSessions } from '../auth/session-rows.ts'
import { isRowId } from '../db/row-id.ts'
import { OPERATOR_ID, sessions, users } from '../db/tables.ts'
import { announceViewerChange } from '../db/viewers.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type Actor, recordAct } from '../events/operator-acts.ts'

type User = typeof users.$inferSelect

/**
 * Blocks a user: ends their sessions and event streams, and suspends their API tokens. Until they
 * are unblocked they cannot sign in, and nothing is posted, refreshed or looked for at X for them.
 * What they have is kept. Does nothing to a blocked user.
 * @throws AppError USER_NOT_FOUND, also for a user who is being deleted.
 */
export function blockUser(deps: Deps, actor: Actor, userId: string): Promise<User> {
  return transaction(deps, async (deps) => {
    const user = await lockUser(deps, userId)
    if (user.blockedAt !== null) return user
    const blocked = await update(deps, userId, { blockedAt: deps.clock.sqlNow() })
    await endSessions(deps, userId, 'BLOCKED')
    await recordAct(deps, actor, { type: 'operator.user_blocked', userId })
    return blocked
  })
}

/**
 * Unblocks a user: they can sign in, and their API tokens and connections work again. Does nothing
 * to a user who is not blocked.
 * @throws AppError USER_NOT_FOUND, also for a user who is being deleted.
 */
export function unblockUser(deps: Deps, actor: Actor, userId: string): Promise<User> {
  return transaction(deps, async (deps) => {
    const user = await lockUser(deps, userId)
    if (user.blockedAt === null) return user
    const unblocked = await update(deps, userId, { blockedAt: null })
    await announceViewerChange(deps, userId)
    await recordAct(deps, actor, { type: 'operator.user_unblocked', userId })
    return unblocked
  })
}

/**
 * Ends all sessions of a user, and their event streams. API tokens stay valid.
 * @returns the user, and how many sessions have ended.
 * @throws AppError USER_NOT_FOUND, also for a user who is being deleted.
 */
export function signOutUser(deps: Deps, actor: Actor, userId: string): Promise<{ user: User; endedSessions: number }> {
  return transaction(deps, async (deps) => {
    const user = await lockUser(deps, userId)
    const endedSessions = await endSessions(deps, userId, 'SIGNED_OUT_BY_OPERATOR')
    await recordAct(deps, actor, { type: 'operator.user_signed_out', userId })
    return { user, endedSessions }
  })
}

async function lockUser({ db }: Pick<Deps, 'db'>, userId: string): Promise<User> {
  const isIt = and(eq(users.id, userId), ne(users.id, OPERATOR_ID), isNull(users.deletionId))
  const [user] = isRowId(userId) ? await db.select().from(users).where(isIt).for('no key update') : []
  if (user === undefined) throw new AppError('USER_NOT_FOUND', { field: ['input', 'userId'] })
  return user
}

async function update(
  { db }: Pick<Deps, 'db'>,
  userId: string,
  values: { blockedAt: SQL<Date> | null },
): Promise<User> {
  const [user] = await db.update(users).set(values).where(eq(users.id, userId)).returning()
  if (user === undefined) throw new Error('Bug: a locked user is gone')
  return user
}

async function endSessions(deps: Deps, userId: string, reason: 'BLOCKED' | 'SIGNED_OUT_BY_OPERATOR'): Promise<number> {
  // A user has few sessions: MAX_SESSIONS.
  const ended = await removeSessions(deps, eq(sessions.userId, userId), reason)
  // Also where there is no session: API tokens are kept in memory too.
  await announceViewerChange(deps, userId)
  // Wakes the user's streams, which find that their session or token gives no access.
  deps.afterCommit(() => deps.eventNotifier.notify([userId]))
  return ended.length
}
