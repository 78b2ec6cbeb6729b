// Decides which user has an X account. One row of `account_holders` for each account that is not
// disconnected; its primary key admits one user, however many connect the account at once.
import { and, eq, sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import { accountHolders } from '../db/tables.ts'
import type { Deps } from '../deps.ts'

/**
 * The user who has an X account. `isNew` is true when this transaction has inserted the row: no
 * user had the account before.
 */
export type AccountHolder = { userId: string; isNew: boolean }

/**
 * Locks an account at X for the transaction of `deps`, whether or not it is connected: inserts its
 * row for this user, or locks the row of the user who has it. Two transactions on one account run
 * one after the other, each seeing the other's result. Comes first in its transaction: see the lock
 * order in db/user-lock.ts. A caller that does not connect the account deletes a new row again.
 */
export async function lockAccountHolder(deps: Deps, userId: string, providerAccountId: string): Promise<AccountHolder> {
  for (;;) {
    // The insert waits while another transaction has inserted or deleted the row and is not
    // committed. A row that exists is not inserted but locked.
    const [holder] = await queryRows(
      deps.db,
      sql`
        with inserted as (
          insert into ${accountHolders} (provider_account_id, provider, user_id)
          values (${providerAccountId}, 'X', ${userId})
          on conflict (provider_account_id, provider) do nothing
          returning user_id
        ), locked as (
          select user_id from ${accountHolders} where ${isOf(providerAccountId)} for update
        )
        select user_id, true as is_new from inserted union all select user_id, false from locked`,
    )
    if (holder !== undefined) return { userId: String(holder.user_id), isNew: holder.is_new === true }
    // Inserted by another transaction after this statement began, or deleted since.
  }
}

/** Returns the id of the user who has an X account; null when no user has. */
export async function findAccountHolder(deps: Deps, providerAccountId: string): Promise<string | null> {
  const [holder] = await deps.db
    .select({ userId: accountHolders.userId })
    .from(accountHolders)
    .where(isOf(providerAccountId))
  return holder?.userId ?? null
}

/** Deletes the user's row of an X account, which any user can connect then. */
export async function releaseAccount(deps: Deps, userId: string, providerAccountId: string): Promise<void> {
  await deps.db.delete(accountHolders).where(and(isOf(providerAccountId), eq(accountHolders.userId, userId)))
}

function isOf(providerAccountId: string) {
  return and(eq(accountHolders.providerAccountId, providerAccountId), eq(accountHolders.provider, 'X'))
}
