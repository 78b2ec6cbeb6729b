// Decides which user has an X account. One row of `account_holders` for each account that is not
// disconnected; its primary key admits one user, however many connect the account at once.
import { and, eq } from 'drizzle-orm'
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
    // Waits while another transaction has inserted or deleted the row and is not committed.
    const [inserted] = await deps.db
      .insert(accountHolders)
      .values({ providerAccountId, provider: 'X', userId })
      .onConflictDoNothing({ target: [accountHolders.providerAccountId, accountHolders.provider] })
      .returning({ userId: accountHolders.userId })
    if (inserted !== undefined) return { userId, isNew: true }
    const [holder] = await deps.db
      .select({ userId: accountHolders.userId })
      .from(accountHolders)
      .where(isOf(providerAccountId))
      .for('update')
    if (holder !== undefined) return { userId: holder.userId, isNew: false }
    // Deleted between the two statements.
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
