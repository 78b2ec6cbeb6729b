import { isAttempt, REVOKED_SESSION } from '../auth/connect-attempt.ts'
import { lockSession } from '../auth/session-rows.ts'
import { connectAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { TakenAttempt } from './attempt-tokens.ts'

/**
 * Requires, in the transaction that stores a connection, that the session which started its attempt
 * has not ended: it may have been ended while X was asked. An attempt that waits for X is finished
 * without its user, so of those only a revocation of the session ends one.
 * @throws AppError SESSION_MISSING
 */
export async function requireAttemptSession(deps: Deps, attempt: TakenAttempt): Promise<void> {
  const isLasting =
    attempt.status === 'WAITING'
      ? !(await isSessionRevoked(deps, attempt))
      : await lockSession(deps, { id: attempt.sessionId, userId: attempt.userId })
  if (!isLasting) throw new AppError('SESSION_MISSING')
}

async function isSessionRevoked(deps: Deps, attempt: TakenAttempt): Promise<boolean> {
  const [now] = await deps.db
    .select({ sessionId: connectAttempts.sessionId })
    .from(connectAttempts)
    .where(isAttempt(attempt))
  return now?.sessionId === REVOKED_SESSION
}
