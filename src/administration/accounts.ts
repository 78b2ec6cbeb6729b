// The X accounts of all users, as the operator sees them.
import { and, eq, type SQL, sql } from 'drizzle-orm'
import { disconnectAccount } from '../accounts/disconnect.ts'
import { type IdPage, idCondition, idOrder } from '../db/keyset.ts'
import { isRowId } from '../db/row-id.ts'
import { connectedAccounts, usernameKey } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { Actor } from '../events/operator-acts.ts'

/** An X account, connected or not, as the operator sees it: without its tokens. */
export type AdminAccount = typeof connectedAccounts.$inferSelect

/** Which accounts: of one user, or with one username at X. Null means all. */
export type AccountFilter = { userId: string | null; xUsername: string | null }

/** The most users who are found by one username: X gives an abandoned one to other people. */
export const MAX_HOLDERS = 100

/** Returns a page of the accounts, in the arbitrary order of their ids. */
export async function listAccounts(
  { db }: Pick<Deps, 'db'>,
  { userId, xUsername }: AccountFilter,
  page: IdPage,
): Promise<AdminAccount[]> {
  if (userId !== null && !isRowId(userId)) return []
  return db
    .select()
    .from(connectedAccounts)
    .where(
      and(
        userId === null ? undefined : eq(connectedAccounts.userId, userId),
        xUsername === null ? undefined : hasUsername(xUsername),
        idCondition(connectedAccounts.id, page),
      ),
    )
    .orderBy(idOrder(connectedAccounts.id, page))
    .limit(page.limit)
}

/** Returns the account with this id; null when there is none. */
export async function findAccount({ db }: Pick<Deps, 'db'>, accountId: string): Promise<AdminAccount | null> {
  if (!isRowId(accountId)) return null
  const [account] = await db.select().from(connectedAccounts).where(eq(connectedAccounts.id, accountId)).limit(1)
  return account ?? null
}

/**
 * Disconnects an account, and has its grant revoked at X, as its user can.
 * @throws AppError ACCOUNT_NOT_FOUND
 */
export async function disconnectUserAccount(deps: Deps, actor: Actor, accountId: string): Promise<AdminAccount> {
  const account = await findAccount(deps, accountId)
  if (account === null) throw new AppError('ACCOUNT_NOT_FOUND', { field: ['input', 'accountId'] })
  return disconnectAccount(deps, account.userId, account.id, actor)
}

/** The condition for accounts with a username at X, with or without the @, in any case. */
export function hasUsername(username: string): SQL {
  // PostgreSQL accepts no NUL.
  if (username.includes('\0')) return sql`false`
  return sql`${usernameKey(connectedAccounts.username)} = ${usernameKey(sql`${username.replace(/^@/, '')}::text`)}`
}
