// The deletion of a user. Its request commits one short transaction, whatever the user has: from
// then on nobody has access as this user, and nothing acts for them. A job then deletes the rows
// (deletion-job.ts).
import { and, eq, lt } from 'drizzle-orm'
import { deleteIdentity, lockForDeletion } from '../auth/user-identity.ts'
import { deleteLookUps } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { userDeletions, users, webhookEndpoints } from '../db/tables.ts'
import { announceViewerChange } from '../db/viewers.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type Actor, recordAct } from '../events/operator-acts.ts'
import { disconnectAll } from './disconnect-all.ts'

/** The deletion of a user, as the person sees it. It does not name the user. */
export type UserDeletion = Omit<typeof userDeletions.$inferSelect, 'userId'>

type User = { id: string; githubId: number; login: string }

// For the person who comes back and asks.
const KEPT_SECONDS = 7 * 86_400
const DISCONNECTED_AT_ONCE = 10

const shown = {
  id: userDeletions.id,
  requestedAt: userDeletions.requestedAt,
  finishedAt: userDeletions.finishedAt,
}

/**
 * Requests the deletion of a user. Once it has returned, their sessions, API tokens and event
 * streams have ended on every instance, their accounts are hidden, their webhooks are off, no token
 * is refreshed and no tweet is sent for them. The next sign-in of the same GitHub user creates a
 * new user. Returns the earlier deletion if there is one.
 * @param login the user's own login, repeated as a protection against mistakes.
 * @param byOperator who acts for the operator; null for the user.
 * @throws AppError LOGIN_MISMATCH, with nothing done; UNAUTHENTICATED when the user is gone
 * already; USER_BLOCKED for a user who was blocked meanwhile, and is not deleted by the operator.
 */
export async function startUserDeletion(
  deps: Deps,
  user: User,
  login: string,
  byOperator: Actor | null = null,
): Promise<UserDeletion> {
  if (login.toLowerCase() !== user.login.toLowerCase())
    throw new AppError('LOGIN_MISMATCH', { field: ['input', 'login'] })
  const deletion = await recordDeletion(deps, user, byOperator)
  await disconnectFirst(deps, user.id)
  return deletion
}

function recordDeletion(deps: Deps, user: User, byOperator: Actor | null): Promise<UserDeletion> {
  const { id: userId } = user
  return transaction(deps, async (deps) => {
    const { db, clock, jobs, eventNotifier } = deps
    // Waits for a connection that is being stored, and for a sign-in.
    const locked = await lockForDeletion(deps, user)
    if (locked === null) throw new AppError('UNAUTHENTICATED')
    const earlier = locked.deletionId === null ? null : await findUserDeletion(deps, locked.deletionId)
    if (earlier !== null) return earlier
    // A request that was under way: the deletion would let the person sign in again as a new user.
    if (locked.blockedAt !== null && byOperator === null) throw new AppError('USER_BLOCKED')
    const [deletion] = await db
      .insert(userDeletions)
      .values({ id: crypto.randomUUID(), userId, requestedAt: clock.sqlNow() })
      .returning(shown)
    if (deletion === undefined) throw new Error('Bug: an insert returned no row')
    await db.update(users).set({ deletionId: deletion.id, linkVisibility: 'NOBODY' }).where(eq(users.id, userId))
    await deleteIdentity(deps, user, locked.login)
    // At most MAX_WEBHOOK_ENDPOINTS_PER_USER. Their pending deliveries are not sent.
    await db
      .update(webhookEndpoints)
      .set({ status: 'DISABLED', disabledReason: 'BY_OWNER' })
      .where(and(eq(webhookEndpoints.userId, userId), eq(webhookEndpoints.status, 'ENABLED')))
    await jobs.enqueue(deps, 'delete-user', { userId, id: deletion.id })
    if (byOperator !== null) await recordAct(deps, byOperator, { type: 'operator.user_deleted', userId })
    await announceViewerChange(deps, userId)
    // Wakes the user's streams, which find that their session or token has ended.
    deps.afterCommit(() => eventNotifier.notify([userId]))
    return deletion
  })
}

// Most users have few accounts. Theirs are free when the request ends, and not only when the job
// runs.
async function disconnectFirst(deps: Deps, userId: string): Promise<void> {
  try {
    await disconnectAll(deps, userId, (done) => done < DISCONNECTED_AT_ONCE)
  } catch (error) {
    deps.log.debug({ error }, 'The accounts of a user are not disconnected at once; the job does it')
  }
}

/**
 * Returns the deletion with this id, also for a week after its end; null when there is none. The id
 * is random and secret: knowing it is enough to read the deletion.
 */
export async function findUserDeletion({ db }: Pick<Deps, 'db'>, deletionId: string): Promise<UserDeletion | null> {
  if (!isRowId(deletionId)) return null
  const [deletion] = await db.select(shown).from(userDeletions).where(eq(userDeletions.id, deletionId))
  return deletion ?? null
}

/** Deletes the deletions that ended more than a week ago. */
export async function sweepUserDeletions(deps: Pick<Deps, 'db' | 'clock'>, signal?: AbortSignal): Promise<number> {
  const isOld = lt(userDeletions.finishedAt, sqlIn(deps.clock, -KEPT_SECONDS))
  return deleteLookUps(deps, userDeletions, userDeletions.id, isOld, signal)
}
