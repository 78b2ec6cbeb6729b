// Which user a GitHub user is, and which user has a login. Both are look-ups by a value that is
// unique over all users. The order of their locks is in db/user-lock.ts.
import { and, eq, type SQLWrapper, sql } from 'drizzle-orm'
import { loginKey, userIdentities, userLogins, users } from '../db/tables.ts'
import { announceViewerChange } from '../db/viewers.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { admitNewUser } from './sign-in-policy.ts'

/** What GitHub says about a person. */
export type GithubProfile = { githubId: number; login: string; name: string | null; avatarUrl: string | null }

/** Why a person may sign in, and the invite with which a new user does. */
export type Admission = { isByLogin: boolean; inviteHash: string | null }

/**
 * Inserts or updates the user of a GitHub user. The login belongs to this user from now on: any
 * earlier user with this login loses it.
 * @throws AppError USER_BLOCKED, SIGN_IN_CLOSED, INVITE_REQUIRED, INVITE_INVALID,
 * SIGN_IN_NOT_ALLOWED; nothing is stored then.
 */
export function storeGithubUser(
  deps: Deps,
  profile: GithubProfile,
  { isByLogin, inviteHash }: Admission,
): Promise<typeof users.$inferSelect> {
  const { githubId, ...values } = profile
  return transaction(deps, async (deps) => {
    const { userId, login } = await lockIdentity(deps, profile)
    const [before] = await deps.db
      .select({
        loginKey: key(users.login),
        login: users.login,
        name: users.name,
        avatarUrl: users.avatarUrl,
        blockedAt: users.blockedAt,
      })
      .from(users)
      .where(eq(users.id, userId))
      .for('no key update')
    if (before !== undefined && before.blockedAt !== null) throw new AppError('USER_BLOCKED')
    if (isByLogin) await assertOwnLogin(deps, userId, login)
    if (before === undefined) await admitNewUser(deps, inviteHash)
    const [user] = await deps.db
      .insert(users)
      .values({ id: userId, githubId, ...values, createdAt: deps.clock.sqlNow() })
      .onConflictDoUpdate({ target: users.id, set: values })
      .returning()
    if (user === undefined) throw new Error('Bug: an upsert returned no row')
    await takeLogin(deps, userId, before?.loginKey ?? null, login)
    const isShown = (row: typeof before) =>
      row?.login === user.login && row.name === user.name && row.avatarUrl === user.avatarUrl
    if (before !== undefined && !isShown(before)) await announceViewerChange(deps, userId)
    return user
  })
}

/**
 * Locks a user whose deletion is requested, after their identity. Returns the key of their login,
 * an earlier deletion, and whether they are blocked; null when the user is gone already.
 */
export async function lockForDeletion(
  deps: Pick<Deps, 'db'>,
  { id, githubId }: { id: string; githubId: number },
): Promise<{ login: string; deletionId: string | null; blockedAt: Date | null } | null> {
  await deps.db.select().from(userIdentities).where(eq(userIdentities.githubId, githubId)).for('update')
  const [user] = await deps.db
    .select({ login: key(users.login), deletionId: users.deletionId, blockedAt: users.blockedAt })
    .from(users)
    .where(eq(users.id, id))
    .for('no key update')
  return user ?? null
}

/**
 * Frees the identity and the login of a user whose deletion is requested, in the transaction of
 * `deps`: the next sign-in of the same GitHub user creates a new user.
 */
export async function deleteIdentity(
  deps: Pick<Deps, 'db'>,
  { id, githubId }: { id: string; githubId: number },
  login: string,
): Promise<void> {
  await deps.db.delete(userIdentities).where(and(eq(userIdentities.githubId, githubId), eq(userIdentities.userId, id)))
  await freeLogin(deps, id, login)
}

// GitHub gives an abandoned login to other people, who must not become allowed by it: an allowed
// login belongs to the user who signed in with it last.
async function assertOwnLogin(deps: Pick<Deps, 'db'>, userId: string, login: string): Promise<void> {
  const [holder] = await deps.db
    .select({ userId: userLogins.userId })
    .from(userLogins)
    .where(eq(userLogins.login, login))
  if (holder !== undefined && holder.userId !== userId) throw new AppError('SIGN_IN_NOT_ALLOWED')
}

// Of concurrent first sign-ins one inserts the row; the others wait for it and get its user.
async function lockIdentity(
  deps: Pick<Deps, 'db'>,
  { githubId, login }: GithubProfile,
): Promise<{ userId: string; login: string }> {
  const [identity] = await deps.db
    .insert(userIdentities)
    .values({ githubId, userId: crypto.randomUUID() })
    .onConflictDoUpdate({ target: userIdentities.githubId, set: { userId: sql`${userIdentities.userId}` } })
    .returning({ userId: userIdentities.userId, login: key(sql`${login}::text`) })
  if (identity === undefined) throw new Error('Bug: an upsert returned no row')
  return identity
}

async function takeLogin(deps: Pick<Deps, 'db'>, userId: string, before: string | null, now: string): Promise<void> {
  const logins = [...new Set([before ?? now, now])].toSorted()
  for (const login of logins) {
    if (login !== now) await freeLogin(deps, userId, login)
    else
      await deps.db
        .insert(userLogins)
        .values({ login, userId })
        .onConflictDoUpdate({ target: userLogins.login, set: { userId: sql`excluded.user_id` } })
  }
}

// Not a login that another user has now.
async function freeLogin(deps: Pick<Deps, 'db'>, userId: string, login: string): Promise<void> {
  await deps.db.delete(userLogins).where(and(eq(userLogins.login, login), eq(userLogins.userId, userId)))
}

function key(login: SQLWrapper) {
  return loginKey(login).as('login_key')
}
