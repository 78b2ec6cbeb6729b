// All users, as the operator sees them.
import { and, eq, inArray, sql } from 'drizzle-orm'
import { type IdPage, idCondition, idOrder } from '../db/keyset.ts'
import { isRowId } from '../db/row-id.ts'
import { connectedAccounts, loginKey, OPERATOR_ID, userLogins, users } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { Actor } from '../events/operator-acts.ts'
import { startUserDeletion, type UserDeletion } from '../users/deletion.ts'
import { hasUsername, MAX_HOLDERS } from './accounts.ts'

/** A user, as the operator sees them. */
export type AdminUser = Pick<
  typeof users.$inferSelect,
  'id' | 'githubId' | 'login' | 'name' | 'linkVisibility' | 'createdAt' | 'blockedAt' | 'deletionId'
>

/** Which users: those with a login, or those who have connected an X account. Null means all. */
export type UserFilter = { githubLogin: string | null; xUsername: string | null }

const shown = {
  id: users.id,
  githubId: users.githubId,
  login: users.login,
  name: users.name,
  linkVisibility: users.linkVisibility,
  createdAt: users.createdAt,
  blockedAt: users.blockedAt,
  deletionId: users.deletionId,
}

/**
 * Returns a page of the users, in the arbitrary order of their ids.
 * @param filter a login finds the user who signed in with it last.
 */
export async function listUsers(
  { db }: Pick<Deps, 'db'>,
  { githubLogin, xUsername }: UserFilter,
  page: IdPage,
): Promise<AdminUser[]> {
  const byLogin = githubLogin === null ? null : await findIdsByLogin(db, githubLogin)
  const byUsername = xUsername === null ? null : await findIdsByUsername(db, xUsername)
  const ids =
    byLogin === null || byUsername === null ? (byLogin ?? byUsername) : byLogin.filter((id) => byUsername.includes(id))
  if (ids?.length === 0) return []
  return (
    db
      .select(shown)
      .from(users)
      // The operator is no person. Their id is the lowest.
      .where(
        and(
          ids === null ? undefined : inArray(users.id, ids),
          idCondition(users.id, { ...page, after: page.after ?? OPERATOR_ID }),
        ),
      )
      .orderBy(idOrder(users.id, page))
      .limit(page.limit)
  )
}

/** Returns the user with this id; null when there is none. */
export async function findUser({ db }: Pick<Deps, 'db'>, userId: string): Promise<AdminUser | null> {
  if (!isRowId(userId) || userId === OPERATOR_ID) return null
  const [user] = await db.select(shown).from(users).where(eq(users.id, userId))
  return user ?? null
}

/**
 * Requests the deletion of a user, as `deleteViewer` does for themselves. Returns an earlier one if there
 * is one.
 * @throws AppError USER_NOT_FOUND
 */
export async function deleteUser(deps: Deps, actor: Actor, userId: string): Promise<UserDeletion> {
  const user = await findUser(deps, userId)
  if (user === null) throw new AppError('USER_NOT_FOUND', { field: ['input', 'userId'] })
  return startUserDeletion(deps, user, user.login, actor)
}

async function findIdsByLogin(db: Deps['db'], login: string): Promise<string[]> {
  // PostgreSQL accepts no NUL.
  if (login.includes('\0')) return []
  const found = await db
    .select({ userId: userLogins.userId })
    .from(userLogins)
    .where(eq(userLogins.login, loginKey(sql`${login}::text`)))
  return found.map(({ userId }) => userId)
}

async function findIdsByUsername(db: Deps['db'], username: string): Promise<string[]> {
  const found = await db
    .selectDistinct({ userId: connectedAccounts.userId })
    .from(connectedAccounts)
    .where(hasUsername(username))
    .limit(MAX_HOLDERS)
  return found.map(({ userId }) => userId)
}
