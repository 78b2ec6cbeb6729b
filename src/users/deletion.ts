// Deletes users: their rows here, and their grants at X.
import { eq } from 'drizzle-orm'
import { listConnectedAccounts } from '../accounts/accounts.ts'
import { disconnectAccount } from '../accounts/disconnect.ts'
import { revokeAttemptTokensOfUser } from '../accounts/refuse-connection.ts'
import { deleteRefusedConnectionsOfUser } from '../accounts/refused-connections.ts'
import { deleteSignInAttempts } from '../auth/sign-in-attempt.ts'
import { deleteIdentity, lockForDeletion } from '../auth/user-identity.ts'
import { forgetSecretOwner } from '../auth/user-secret.ts'
import { users } from '../db/tables.ts'
import { announceViewerChange } from '../db/viewers.ts'
import { isUserGone } from '../db/violations.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { deleteOperatorCopies } from '../events/events.ts'

type User = { id: string; githubId: number; login: string }

/**
 * Deletes a user with all of their rows. Their accounts are disconnected first, as by
 * `disconnectAccount`: only the sealed tokens of grants that X has yet to revoke remain, until X
 * has confirmed.
 * @param login the user's own login, repeated as a protection against mistakes.
 * @throws AppError LOGIN_MISMATCH, with nothing done.
 */
export async function deleteUser(deps: Deps, user: User, login: string): Promise<void> {
  if (login.toLowerCase() !== user.login.toLowerCase())
    throw new AppError('LOGIN_MISMATCH', { field: ['input', 'login'] })
  do {
    for (const account of await listConnected(deps, user.id)) await disconnect(deps, user.id, account.id)
  } while (!(await deleteDisconnected(deps, user)))
}

async function disconnect(deps: Deps, userId: string, accountId: string): Promise<void> {
  try {
    await disconnectAccount(deps, userId, accountId)
  } catch (error) {
    // Another request is deleting the same user.
    if (!(error instanceof AppError && error.code === 'ACCOUNT_NOT_FOUND') && !isUserGone(error)) throw error
  }
}

// Not in one transaction with the accounts: an account at X is locked before the user, so that the
// two could deadlock (db/user-lock.ts).
function deleteDisconnected(deps: Deps, user: User): Promise<boolean> {
  const { id: userId } = user
  return transaction(deps, async (deps) => {
    // Waits for a connection that is being stored. A later one finds no user.
    const loginKey = await lockForDeletion(deps, user)
    if (loginKey === null) return true
    if ((await listConnected(deps, userId)).length > 0) return false
    await revokeAttemptTokensOfUser(deps, userId)
    await deleteIdentity(deps, user, loginKey)
    await deleteSignInAttempts(deps, userId)
    await forgetSecretOwner(deps, userId)
    await deleteRefusedConnectionsOfUser(deps, userId)
    await deleteOperatorCopies(deps, userId)
    await deps.db.delete(users).where(eq(users.id, userId))
    await announceViewerChange(deps, userId)
    return true
  })
}

function listConnected(deps: Deps, userId: string) {
  return listConnectedAccounts(deps, userId, { includeDisconnected: false })
}
