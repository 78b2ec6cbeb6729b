// What sign-ins and connections have in common. An attempt is one run of the authorization code
// flow with PKCE (RFC 6749 section 4.1, RFC 7636), at GitHub or X. It is started, taken exactly
// once, and finished. All of its state is in the database, so that it survives a restart and the
// callback may reach any instance.
import { setTimeout as sleep } from 'node:timers/promises'
import type { SealContext } from '../crypto.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'

/** The provider at which an attempt runs, and what it is for. */
export type AttemptKind = 'GITHUB_SIGN_IN' | 'X_CONNECT'

/** The time that a person has at the provider. */
export const ATTEMPT_LIFETIME_SECONDS = 600
/**
 * How long after it was taken an unfinished attempt counts as abandoned: longer than any callback
 * takes with its calls to a provider and its retries of database writes.
 */
export const ABANDONED_SECONDS = 900
const WAIT_POLL_MILLISECONDS = 200

/**
 * Returns the attempt once it is no longer PENDING, for a repeated callback. Returns it unfinished
 * after `timing.waitForAttemptSeconds`, and at once when it is abandoned.
 * @param find reads the attempt.
 * @throws AppError ATTEMPT_UNKNOWN when it was deleted.
 */
export async function waitForAttempt<A extends { status: string; takenAt: Date | null }>(
  deps: Deps,
  find: () => Promise<A | undefined>,
): Promise<A> {
  const giveUpAt = performance.now() + deps.timing.waitForAttemptSeconds * 1000
  for (;;) {
    const attempt = await find()
    // Deleted by the sweep, or with its user.
    if (attempt === undefined) throw new AppError('ATTEMPT_UNKNOWN')
    const takenForSeconds = (deps.clock.now().getTime() - (attempt.takenAt?.getTime() ?? 0)) / 1000
    if (attempt.status !== 'PENDING' || takenForSeconds > ABANDONED_SECONDS || performance.now() > giveUpAt)
      return attempt
    await sleep(WAIT_POLL_MILLISECONDS * (0.5 + Math.random()))
  }
}

/**
 * Returns the seal context of a code verifier. Sign-ins were once rows of connect_attempts too, and
 * keep its name here: with another one, those under way during the migration would not open.
 * @param userId the user who started a connection; empty for a sign-in.
 */
export function verifierSealContext(attemptId: string, userId: string): SealContext {
  return { table: 'connect_attempts', column: 'verifier_sealed', accountId: attemptId, userId }
}
