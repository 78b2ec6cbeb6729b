// The users and accounts that integrators may see: none, unless the user allows it. A hidden user,
// a user without accounts and an unknown user give the same result, by the same query. `LinkedUser`
// and `linkVisibility` keep the names of the API.
import { randomUUID } from 'node:crypto'
import { and, asc, desc, eq, exists, gt, inArray, isNull, lt, ne, sql } from 'drizzle-orm'
import { connectedAccounts, type linkVisibilities, loginKey, userIdentities, userLogins, users } from '../db/tables.ts'
import { announceViewerChange } from '../db/viewers.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'

/** The audience of a user's connected accounts. */
export type LinkVisibility = (typeof linkVisibilities)[number]

/** An account as integrators see it. */
export type LinkedAccount = Pick<
  typeof connectedAccounts.$inferSelect,
  'id' | 'userId' | 'provider' | 'providerAccountId' | 'username' | 'status' | 'connectedAt'
>

/** A user as integrators see them. */
export type LinkedUser = {
  id: string
  githubId: number
  /** Null when another user has this login now. */
  login: string | null
  /** The last connected first; never empty. */
  accounts: LinkedAccount[]
}

/** The key by which a user is found. */
export type UserKey = { githubId: number } | { githubLogin: string }

const account = {
  id: connectedAccounts.id,
  userId: connectedAccounts.userId,
  provider: connectedAccounts.provider,
  providerAccountId: connectedAccounts.providerAccountId,
  username: connectedAccounts.username,
  status: connectedAccounts.status,
  connectedAt: connectedAccounts.connectedAt,
}
const user = {
  id: users.id,
  githubId: users.githubId,
  login: users.login,
  loginKey: loginKey(users.login).as('login_key'),
}
const isLinked = ne(connectedAccounts.status, 'DISCONNECTED')
// Without a parameter, so that every plan can use the index `users_visible`.
const isVisible = sql`${users.linkVisibility} = 'INTEGRATORS'`

/**
 * Sets the audience of the user's connected accounts, and returns the user.
 * @throws AppError UNAUTHENTICATED when the user was deleted or is being deleted.
 */
export function setLinkVisibility(
  deps: Deps,
  userId: string,
  visibility: LinkVisibility,
): Promise<typeof users.$inferSelect> {
  return transaction(deps, async (deps) => {
    const changed = await deps.db
      .update(users)
      .set({ linkVisibility: visibility })
      .where(and(eq(users.id, userId), ne(users.linkVisibility, visibility), isNull(users.deletionId)))
      .returning({ id: users.id })
    if (changed.length > 0) {
      await recordEvent(deps, { type: 'link_visibility.changed', userId, reason: visibility })
      await announceViewerChange(deps, userId)
    }
    const [now] = await deps.db.select().from(users).where(eq(users.id, userId))
    if (now === undefined || now.deletionId !== null) throw new AppError('UNAUTHENTICATED')
    return now
  })
}

/** Returns the user with this key if they show a connected account; otherwise null. */
export async function findLinkedUser(deps: Deps, key: UserKey): Promise<LinkedUser | null> {
  // An unknown key is read on as an id that no user has, so that it takes as long as a hidden user.
  const [found] = await listLinkedUsersByIds(deps, [(await findUserId(deps, key)) ?? randomUUID()])
  return found ?? null
}

/**
 * Returns up to `limit` visible users between two ids, in the stable but arbitrary order of their
 * ids.
 */
export async function listLinkedUsers(
  deps: Deps,
  page: { after: string | null; before: string | null; limit: number; backward: boolean },
): Promise<LinkedUser[]> {
  const order = page.backward ? desc : asc
  const found = deps.db
    .select(user)
    .from(users)
    .where(
      and(
        isVisible,
        exists(
          deps.db
            .select({ id: connectedAccounts.id })
            .from(connectedAccounts)
            .where(and(eq(connectedAccounts.userId, users.id), isLinked)),
        ),
        page.after === null ? undefined : gt(users.id, page.after),
        page.before === null ? undefined : lt(users.id, page.before),
      ),
    )
    .orderBy(order(users.id))
    .limit(page.limit)
    .as('found')
  const rows = await deps.db
    .select({
      user: { id: found.id, githubId: found.githubId, login: found.login, loginKey: found.loginKey },
      account,
    })
    .from(found)
    .innerJoin(connectedAccounts, and(eq(connectedAccounts.userId, found.id), isLinked))
    .orderBy(order(found.id), desc(connectedAccounts.connectedAt), desc(connectedAccounts.id))
  return describeUsers(deps, rows)
}

/** Returns the users with these ids, which must be row ids, who show a connected account. */
export async function listLinkedUsersByIds(deps: Deps, ids: readonly string[]): Promise<LinkedUser[]> {
  const rows = await deps.db
    .select({ user, account })
    .from(users)
    .innerJoin(connectedAccounts, and(eq(connectedAccounts.userId, users.id), isLinked))
    .where(and(isVisible, inArray(users.id, [...ids])))
    .orderBy(desc(connectedAccounts.connectedAt), desc(connectedAccounts.id))
  return describeUsers(deps, rows)
}

/** Returns the connected accounts with these ids, which must be row ids, whose users show them. */
export async function listLinkedAccountsByIds(deps: Deps, ids: readonly string[]): Promise<LinkedAccount[]> {
  return deps.db
    .select(account)
    .from(connectedAccounts)
    .innerJoin(users, and(eq(users.id, connectedAccounts.userId), isVisible))
    .where(and(isLinked, inArray(connectedAccounts.id, [...ids])))
}

async function findUserId(deps: Deps, key: UserKey): Promise<string | null> {
  const found =
    'githubId' in key
      ? deps.db
          .select({ userId: userIdentities.userId })
          .from(userIdentities)
          .where(eq(userIdentities.githubId, key.githubId))
      : deps.db
          .select({ userId: userLogins.userId })
          .from(userLogins)
          .where(eq(userLogins.login, loginKey(sql`${key.githubLogin}::text`)))
  return (await found)[0]?.userId ?? null
}

type Row = { user: { id: string; githubId: number; login: string; loginKey: string }; account: LinkedAccount }

// A login that another user has now is not shown: it would name that user.
async function describeUsers(deps: Deps, rows: readonly Row[]): Promise<LinkedUser[]> {
  const byUser = Map.groupBy(rows, (row) => row.user.id)
  const keys = [...new Set(rows.map((row) => row.user.loginKey))]
  // Also without a row, so that a user who is not shown costs as many queries as one who is.
  const asked = keys.length === 0 ? [''] : keys
  const logins = await deps.db.select().from(userLogins).where(inArray(userLogins.login, asked))
  const holders = new Map(logins.map(({ login, userId }) => [login, userId]))
  return [...byUser.values()].flatMap((own) => {
    const [first] = own
    if (first === undefined) return []
    const { id, githubId, login, loginKey } = first.user
    return [
      { id, githubId, login: holders.get(loginKey) === id ? login : null, accounts: own.map((row) => row.account) },
    ]
  })
}
