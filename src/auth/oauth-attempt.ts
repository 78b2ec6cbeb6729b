// An attempt: one run of the authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636), at
// GitHub or X. It is started, taken exactly once, and finished. All of its state is in the
// database, so that it survives a restart and the callback may reach any instance.
import { setTimeout as sleep } from 'node:timers/promises'
import { and, eq, gt, isNull, lt, or } from 'drizzle-orm'
import { createCodeVerifier, randomToken, type SealContext, seal, sha256, unseal } from '../crypto.ts'
import { sqlIn } from '../db/clock.ts'
import { connectAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'

/** An unfinished or finished attempt. */
export type ConnectAttempt = typeof connectAttempts.$inferSelect

/** The time that a person has at the provider. */
export const ATTEMPT_LIFETIME_SECONDS = 600
// How long the outcome of a connect attempt can be queried.
const CONNECT_KEPT_SECONDS = 86_400
// For a browser that returns late. Not longer, because sign-ins can be started without
// authentication.
const SIGN_IN_KEPT_SECONDS = 3_600
/**
 * How long after its start a sign-in is known, so that a browser can finish it or see its outcome.
 */
export const SIGN_IN_KNOWN_SECONDS = ATTEMPT_LIFETIME_SECONDS + SIGN_IN_KEPT_SECONDS
const WAIT_POLL_MILLISECONDS = 200
/**
 * How long after it was taken an unfinished attempt counts as abandoned: longer than any callback
 * takes with its calls to a provider and its retries of database writes.
 */
export const ABANDONED_SECONDS = 900

type NewAttempt = Pick<
  typeof connectAttempts.$inferInsert,
  'kind' | 'userId' | 'sessionId' | 'browserHash' | 'returnTo'
> & {
  scopes: readonly string[]
  expectedUsername?: string | null
  reconnectAccountId?: string | null
}

/**
 * Stores a new attempt, and returns it with its state and code verifier. The database has only a
 * hash of the state, and the verifier sealed.
 */
export async function startAttempt(
  deps: Deps,
  input: NewAttempt,
): Promise<{ attempt: ConnectAttempt; state: string; codeVerifier: string }> {
  const state = randomToken()
  const codeVerifier = createCodeVerifier()
  const id = crypto.randomUUID()
  const [attempt] = await deps.db
    .insert(connectAttempts)
    .values({
      ...input,
      id,
      scopes: [...input.scopes],
      stateHash: sha256(state),
      verifierSealed: seal(deps.config.encryptionKeys, verifierSealContext(id, input.userId ?? ''), codeVerifier),
      createdAt: deps.clock.sqlNow(),
      expiresAt: sqlIn(deps.clock, ATTEMPT_LIFETIME_SECONDS),
    })
    .returning()
  if (attempt === undefined) throw new Error('Bug: an insert returned no row')
  return { attempt, state, codeVerifier }
}

/** Returns the attempt with this state parameter, at either provider, or null. */
export async function findAttemptByState(deps: Deps, state: string | null): Promise<ConnectAttempt | null> {
  if (state === null) return null
  const [attempt] = await deps.db
    .select()
    .from(connectAttempts)
    .where(eq(connectAttempts.stateHash, sha256(state)))
  return attempt ?? null
}

/** Returns the attempt of this kind with this state parameter. @throws AppError ATTEMPT_UNKNOWN */
export async function getAttemptByState(
  deps: Deps,
  kind: ConnectAttempt['kind'],
  state: string | null,
): Promise<ConnectAttempt> {
  const attempt = await findAttemptByState(deps, state)
  // A state of one provider is invalid at the other's callback (RFC 9700 section 4.4, mix-up).
  if (attempt?.kind !== kind) throw new AppError('ATTEMPT_UNKNOWN')
  return attempt
}

/**
 * Takes an attempt, and returns its code verifier and the time. Of any number of callers one
 * succeeds; all others get null.
 * @throws AppError ATTEMPT_EXPIRED
 */
export async function takeAttempt(
  deps: Deps,
  attempt: ConnectAttempt,
): Promise<{ codeVerifier: string; takenAt: Date } | null> {
  if (attempt.takenAt !== null || attempt.verifierSealed === null) return null
  const [taken] = await deps.db
    .update(connectAttempts)
    .set({ takenAt: deps.clock.sqlNow(), verifierSealed: null })
    .where(
      and(
        eq(connectAttempts.id, attempt.id),
        isNull(connectAttempts.takenAt),
        gt(connectAttempts.expiresAt, deps.clock.sqlNow()),
      ),
    )
    .returning({ takenAt: connectAttempts.takenAt })
  if (taken?.takenAt) {
    const context = verifierSealContext(attempt.id, attempt.userId ?? '')
    const codeVerifier = unseal(deps.config.encryptionKeys, context, attempt.verifierSealed)
    return { codeVerifier, takenAt: taken.takenAt }
  }
  const [now] = await deps.db.select().from(connectAttempts).where(eq(connectAttempts.id, attempt.id))
  if (now?.takenAt) return null
  throw new AppError('ATTEMPT_EXPIRED')
}

/**
 * Returns the attempt once it is no longer PENDING, for a repeated callback. Returns it unfinished
 * after `timing.waitForAttemptSeconds`, and at once when it is abandoned.
 * @throws AppError ATTEMPT_UNKNOWN when it was deleted.
 */
export async function waitForAttempt(deps: Deps, attemptId: string): Promise<ConnectAttempt> {
  const giveUpAt = performance.now() + deps.timing.waitForAttemptSeconds * 1000
  for (;;) {
    const [attempt] = await deps.db.select().from(connectAttempts).where(eq(connectAttempts.id, attemptId))
    // Deleted by the sweep, or with its user.
    if (attempt === undefined) throw new AppError('ATTEMPT_UNKNOWN')
    const takenForSeconds = (deps.clock.now().getTime() - (attempt.takenAt?.getTime() ?? 0)) / 1000
    if (attempt.status !== 'PENDING' || takenForSeconds > ABANDONED_SECONDS || performance.now() > giveUpAt)
      return attempt
    await sleep(WAIT_POLL_MILLISECONDS * (0.5 + Math.random()))
  }
}

/**
 * Returns true for an attempt that was not taken in time. One that was taken is finished, however
 * late.
 */
export function isExpired({ clock }: Pick<Deps, 'clock'>, { status, takenAt, expiresAt }: ConnectAttempt): boolean {
  return status === 'PENDING' && takenAt === null && expiresAt <= clock.now()
}

/** Fails an attempt that was not taken. An attempt that was taken is left to its callback. */
export async function abandonAttempt(deps: Deps, attemptId: string, errorCode: ErrorCode): Promise<void> {
  const now = deps.clock.sqlNow()
  await deps.db
    .update(connectAttempts)
    .set({ status: 'FAILED', errorCode, verifierSealed: null, takenAt: now, finishedAt: now })
    .where(and(eq(connectAttempts.id, attemptId), isNull(connectAttempts.takenAt)))
}

/** The outcome of an attempt. `errorDetail` replaces the sentence of the code. */
export type AttemptOutcome =
  | { status: 'SUCCEEDED'; accountId: string | null }
  | { status: 'FAILED'; errorCode: ErrorCode; errorDetail?: string | null; retryAt?: Date | null }

/** Stores the outcome of an attempt that was taken. */
export async function finishAttempt(deps: Deps, attemptId: string, outcome: AttemptOutcome): Promise<void> {
  await deps.db
    .update(connectAttempts)
    // A WAITING attempt has an error, which is cleared.
    .set({ errorCode: null, errorDetail: null, retryAt: null, ...outcome, finishedAt: deps.clock.sqlNow() })
    .where(eq(connectAttempts.id, attemptId))
}

/**
 * Returns true when this browser has started the attempt: by its session, or by its sign-in cookie.
 */
export function isStartedBy(
  { sessionId, browserHash }: ConnectAttempt,
  browser: { sessionId: string | null; token: string | null },
): boolean {
  if (sessionId !== null && sessionId === browser.sessionId) return true
  return browser.token !== null && browserHash === sha256(browser.token)
}

/** Stores the session that a sign-in has started, and its user. */
export async function recordSignIn(
  deps: Deps,
  attemptId: string,
  { id: sessionId, userId }: { id: string; userId: string },
): Promise<void> {
  await deps.db.update(connectAttempts).set({ sessionId, userId }).where(eq(connectAttempts.id, attemptId))
}

/** Deletes the attempts whose outcome is no longer kept. */
export async function sweepAttempts(deps: Deps): Promise<void> {
  const endedBefore = (seconds: number) => {
    const moment = sqlIn(deps.clock, -seconds)
    // An attempt that waited for X has ended long after it expired.
    const finished = or(isNull(connectAttempts.finishedAt), lt(connectAttempts.finishedAt, moment))
    return and(lt(connectAttempts.expiresAt, moment), finished)
  }
  await deps.db.delete(connectAttempts).where(
    and(
      // It is not waiting for X.
      isNull(connectAttempts.tokensSealed),
      or(
        endedBefore(CONNECT_KEPT_SECONDS),
        and(eq(connectAttempts.kind, 'GITHUB_SIGN_IN'), endedBefore(SIGN_IN_KEPT_SECONDS)),
      ),
    ),
  )
}

function verifierSealContext(attemptId: string, userId: string): SealContext {
  return { table: 'connect_attempts', column: 'verifier_sealed', accountId: attemptId, userId }
}
