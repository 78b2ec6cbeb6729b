import { isAttempt, REVOKED_SESSION } from '../auth/connect-attempt.ts'
import { lockSession } from '../auth/session-rows.ts'
import { connectAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import type { TakenAttempt } from './attempt-tokens.ts'

/**
 * Requires, in the transaction that stores a connection, that the session which started its attempt
 * has not ended: it may have been ended while X was asked.
 * @throws AppError SESSION_MISSING
 */
export async function requireAttemptSession(deps: Deps, attempt: TakenAttempt): Promise<void> {
  const isSessionLive =
    attempt.status === 'WAITING' || (await lockSession(deps, { id: attempt.sessionId, userId: attempt.userId }))
  const sessionId = attempt.status === 'WAITING' ? await readSessionId(deps, attempt) : null
  if (!isAttemptAllowed(attempt, { isSessionLive, sessionId })) throw new AppError('SESSION_MISSING')
}

/**
 * Returns false when the session that started an attempt has ended. An attempt that waits for X is
 * finished without its user, so of those only a revocation of the session ends one.
 * @param now `sessionId` is that of the attempt's row.
 */
export function isAttemptAllowed(
  { status }: TakenAttempt,
  now: { isSessionLive: boolean; sessionId: string | null },
): boolean {
  return status === 'WAITING' ? now.sessionId !== REVOKED_SESSION : now.isSessionLive
}

async function readSessionId(deps: Deps, attempt: TakenAttempt): Promise<string | null> {
  const [now] = await deps.db
    .select({ sessionId: connectAttempts.sessionId })
    .from(connectAttempts)
    .where(isAttempt(attempt))
  return now?.sessionId ?? null
}
