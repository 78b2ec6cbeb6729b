import { and, eq, ne } from 'drizzle-orm'
import { disconnectAccount } from '../accounts/disconnect.ts'
import { connectedAccounts } from '../db/tables.ts'
import { isUserGone } from '../db/violations.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'

/**
 * Disconnects the accounts of a user whose deletion was requested: deletes their tokens, and queues the
 * revocation of their grants. One by one, because each is a transaction that locks the account at X
 * before the user (db/user-lock.ts).
 * @param mayGoOn is asked before each account, with the number of those before it.
 * @returns true when none is left.
 */
export async function disconnectAll(deps: Deps, userId: string, mayGoOn: (done: number) => boolean): Promise<boolean> {
  for (let done = 0; ; done++) {
    const accountId = await findConnected(deps, userId)
    if (accountId === null) return true
    if (!mayGoOn(done)) return false
    await disconnect(deps, userId, accountId)
  }
}

/** Returns the id of an account of the user that is not disconnected; null when there is none. */
export async function findConnected({ db }: Pick<Deps, 'db'>, userId: string): Promise<string | null> {
  const [account] = await db
    .select({ id: connectedAccounts.id })
    .from(connectedAccounts)
    .where(and(eq(connectedAccounts.userId, userId), ne(connectedAccounts.status, 'DISCONNECTED')))
    .limit(1)
  return account?.id ?? null
}

async function disconnect(deps: Deps, userId: string, accountId: string): Promise<void> {
  try {
    await disconnectAccount(deps, userId, accountId)
  } catch (error) {
    // The request and the job may do this at the same time.
    if (!(error instanceof AppError && error.code === 'ACCOUNT_NOT_FOUND') && !isUserGone(error)) throw error
  }
}
