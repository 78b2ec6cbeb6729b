// A person who leaves. What is stored of them goes, and what X granted for them is revoked.
import { eq } from 'drizzle-orm'
import { listConnectedAccounts } from '../accounts/accounts.ts'
import { disconnectAccount } from '../accounts/disconnect.ts'
import { revokeAttemptTokensOfUser } from '../accounts/refuse-connection.ts'
import { users } from '../db/tables.ts'
import { isUserGone } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'

/**
 * Deletes a user with every row of theirs. Their accounts are unlinked first, each as by `disconnectAccount`: only the grants that are
 * yet to be revoked at X outlive them, sealed, until X has confirmed.
 * @param login the user's own, repeated so that nobody does this by accident.
 * @throws AppError LOGIN_MISMATCH, with nothing done.
 */
export async function deleteUser(deps: Deps, user: { id: string; login: string }, login: string): Promise<void> {
  if (login.toLowerCase() !== user.login.toLowerCase())
    throw new AppError('LOGIN_MISMATCH', { field: ['input', 'login'] })
  do {
    for (const account of await listLinked(deps, user.id)) await unlink(deps, user.id, account.id)
  } while (!(await deleteUnlinked(deps, user.id)))
}

async function unlink(deps: Deps, userId: string, accountId: string): Promise<void> {
  try {
    await disconnectAccount(deps, userId, accountId)
  } catch (error) {
    // Somebody else deletes the same user just now.
    if (!(error instanceof AppError && error.code === 'ACCOUNT_NOT_FOUND') && !isUserGone(error)) throw error
  }
}

// Not with its accounts in one transaction: linking holds the account before it asks for the user, and the two could wait for each other.
function deleteUnlinked(deps: Deps, userId: string): Promise<boolean> {
  return transaction(deps, async (deps) => {
    // Waits for a link that is being stored. One that comes later finds nobody to belong to.
    await deps.db.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('update')
    if ((await listLinked(deps, userId)).length > 0) return false
    await revokeAttemptTokensOfUser(deps, userId)
    await deps.db.delete(users).where(eq(users.id, userId))
    return true
  })
}

function listLinked(deps: Deps, userId: string) {
  return listConnectedAccounts(deps, userId, { includeDisconnected: false })
}
