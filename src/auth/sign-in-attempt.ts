// The attempts to sign in at GitHub. They have no user yet, and are found by their state.
import { and, eq, gt, isNull, lt, or } from 'drizzle-orm'
import { createCodeVerifier, randomToken, seal, sha256 } from '../crypto.ts'
import { deleteLookUps } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { openSealed } from '../db/sealed-values.ts'
import { signInAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { ATTEMPT_LIFETIME_SECONDS, verifierSealContext, waitForAttempt } from './oauth-attempt.ts'

/** An unfinished or finished sign-in. */
export type SignInAttempt = typeof signInAttempts.$inferSelect

// For a browser that returns late. Not longer, because sign-ins can be started without
// authentication.
const KEPT_SECONDS = 3_600
/**
 * How long after its start a sign-in is known, so that a browser can finish it or see its outcome.
 */
export const SIGN_IN_KNOWN_SECONDS = ATTEMPT_LIFETIME_SECONDS + KEPT_SECONDS

/**
 * Stores a new sign-in, and returns its state and code verifier. The database has only a hash of
 * the state, and the verifier sealed.
 * @param browserToken the secret of the browser that may finish it.
 * @param invite the secret of an invite; only its hash is stored.
 */
export async function startSignInAttempt(
  deps: Deps,
  { browserToken, returnTo, invite }: { browserToken: string; returnTo: string | null; invite: string | null },
): Promise<{ state: string; codeVerifier: string }> {
  const state = randomToken()
  const codeVerifier = createCodeVerifier()
  const id = crypto.randomUUID()
  await deps.db.insert(signInAttempts).values({
    stateHash: sha256(state),
    id,
    browserHash: sha256(browserToken),
    verifierSealed: seal(deps.config.encryptionKeys, verifierSealContext(id, ''), codeVerifier),
    returnTo,
    inviteHash: invite === null ? null : sha256(invite),
    createdAt: deps.clock.sqlNow(),
    expiresAt: sqlIn(deps.clock, ATTEMPT_LIFETIME_SECONDS),
  })
  return { state, codeVerifier }
}

/** Returns the sign-in with this state parameter, or null. */
export async function findSignInAttempt(deps: Deps, state: string | null): Promise<SignInAttempt | null> {
  return state === null ? null : ((await readAttempt(deps, sha256(state))) ?? null)
}

/** Returns true when this browser has started the sign-in. */
export function isBrowserOf({ browserHash }: SignInAttempt, browserToken: string | null): boolean {
  return browserToken !== null && browserHash === sha256(browserToken)
}

/**
 * Takes a sign-in, and returns its code verifier. Of any number of callers one succeeds; all others
 * get null.
 * @throws AppError ATTEMPT_EXPIRED
 * @throws EncryptionKeyMissingError before the attempt is taken.
 */
export async function takeSignInAttempt(deps: Deps, attempt: SignInAttempt): Promise<string | null> {
  const { id, stateHash, verifierSealed } = attempt
  if (attempt.takenAt !== null || verifierSealed === null) return null
  // Before it is taken: with a missing key the callback can be repeated at another instance.
  const codeVerifier = await openSealed(deps, verifierSealContext(id, ''), verifierSealed)
  const now = deps.clock.sqlNow()
  const [taken] = await deps.db
    .update(signInAttempts)
    .set({ takenAt: now, verifierSealed: null })
    .where(
      and(eq(signInAttempts.stateHash, stateHash), isNull(signInAttempts.takenAt), gt(signInAttempts.expiresAt, now)),
    )
    .returning({ id: signInAttempts.id })
  if (taken !== undefined) return codeVerifier
  const left = await readAttempt(deps, stateHash)
  if (left?.takenAt) return null
  throw new AppError('ATTEMPT_EXPIRED')
}

/** Returns the sign-in once it is no longer PENDING, as `waitForAttempt` does. */
export function waitForSignInAttempt(deps: Deps, { stateHash }: SignInAttempt): Promise<SignInAttempt> {
  return waitForAttempt(deps, () => readAttempt(deps, stateHash))
}

/** The outcome of a sign-in: the session that it has started, or an error. */
export type SignInOutcome =
  | { status: 'SUCCEEDED'; userId: string; sessionId: string }
  | { status: 'FAILED'; errorCode: ErrorCode }

/** Stores the outcome of a sign-in that was taken. */
export async function finishSignInAttempt(
  deps: Deps,
  { stateHash }: SignInAttempt,
  outcome: SignInOutcome,
): Promise<void> {
  await deps.db
    .update(signInAttempts)
    .set({ ...outcome, finishedAt: deps.clock.sqlNow() })
    .where(eq(signInAttempts.stateHash, stateHash))
}

/** Deletes the sign-ins whose outcome is no longer kept, until the signal. */
export async function sweepSignInAttempts(deps: Deps, signal?: AbortSignal): Promise<number> {
  const moment = sqlIn(deps.clock, -KEPT_SECONDS)
  const isOver = and(
    lt(signInAttempts.expiresAt, moment),
    or(isNull(signInAttempts.finishedAt), lt(signInAttempts.finishedAt, moment)),
  )
  return deleteLookUps(deps, signInAttempts, signInAttempts.stateHash, isOver, signal)
}

async function readAttempt(deps: Deps, stateHash: string): Promise<SignInAttempt | undefined> {
  const [attempt] = await deps.db.select().from(signInAttempts).where(eq(signInAttempts.stateHash, stateHash))
  return attempt
}
