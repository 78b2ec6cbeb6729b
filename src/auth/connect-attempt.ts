// The attempts to connect an X account. Each belongs to the user and session that started it.
import { and, eq, gt, inArray, isNotNull, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import { createCodeVerifier, seal, sha256 } from '../crypto.ts'
import { deleteOfUsers } from '../db/batch-deletion.ts'
import { sqlIn } from '../db/clock.ts'
import { isEncryptionKeyMissing, openSealed } from '../db/sealed-values.ts'
import { connectAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { ATTEMPT_LIFETIME_SECONDS, verifierSealContext, waitForAttempt } from './oauth-attempt.ts'
import { createUserSecret, findSecretOwner } from './user-secret.ts'

/** An unfinished or finished attempt. */
export type ConnectAttempt = typeof connectAttempts.$inferSelect

/** The `sessionId` of an attempt whose session was revoked. */
export const REVOKED_SESSION = ''
// How long the outcome can be queried.
const KEPT_SECONDS = 86_400

type NewAttempt = Pick<
  ConnectAttempt,
  'userId' | 'sessionId' | 'returnTo' | 'expectedUsername' | 'reconnectAccountId'
> & {
  scopes: readonly string[]
}

/**
 * Stores a new attempt, and returns it with its state and code verifier. The state names the user.
 * The database has only a hash of the state, and the verifier sealed.
 */
export async function startConnectAttempt(
  deps: Deps,
  input: NewAttempt,
): Promise<{ attempt: ConnectAttempt; state: string; codeVerifier: string }> {
  const state = createUserSecret(input.userId)
  const codeVerifier = createCodeVerifier()
  const id = crypto.randomUUID()
  const [attempt] = await deps.db
    .insert(connectAttempts)
    .values({
      ...input,
      id,
      scopes: [...input.scopes],
      stateHash: sha256(state),
      verifierSealed: seal(deps.config.encryptionKeys, verifierSealContext(id, input.userId), codeVerifier),
      createdAt: deps.clock.sqlNow(),
      expiresAt: sqlIn(deps.clock, ATTEMPT_LIFETIME_SECONDS),
    })
    .returning()
  if (attempt === undefined) throw new Error('Bug: an insert returned no row')
  return { attempt, state, codeVerifier }
}

/** Marks the attempts of revoked sessions, so that those under way store nothing. */
export async function disownConnectAttempts(
  deps: Pick<Deps, 'db'>,
  sessions: readonly { id: string; userId: string }[],
): Promise<void> {
  for (const [userId, own] of Map.groupBy(sessions, (session) => session.userId)) {
    const ids = own.map(({ id }) => id)
    await deps.db
      .update(connectAttempts)
      .set({ sessionId: REVOKED_SESSION })
      .where(and(eq(connectAttempts.userId, userId), inArray(connectAttempts.sessionId, ids)))
  }
}

/** Returns the attempt with this state parameter, or null. */
export async function findConnectAttemptByState(deps: Deps, state: string | null): Promise<ConnectAttempt | null> {
  if (state === null) return null
  const userId = await findSecretOwner(deps, state)
  if (userId === null) return null
  const [attempt] = await deps.db.select().from(connectAttempts).where(hasState(userId, state))
  return attempt ?? null
}

/** An attempt as its callback finds it. */
export type FoundAttempt = {
  /** The row before it was taken. */
  attempt: ConnectAttempt
  /** Null when this callback has not taken the attempt. */
  taken: { codeVerifier: string; takenAt: Date } | null
}

/**
 * Finds the attempt with this state parameter and takes it, by one statement, if this session has
 * started it and it has not expired. Of any number of callers one takes it.
 * @param session null for a callback without a session, which takes nothing.
 * @returns null when no attempt has this state.
 * @throws EncryptionKeyMissingError; the attempt is then not taken.
 */
export async function takeConnectAttempt(
  deps: Deps,
  state: string | null,
  session: { id: string } | null,
): Promise<FoundAttempt | null> {
  if (state === null || session === null) {
    const attempt = await findConnectAttemptByState(deps, state)
    return attempt && { attempt, taken: null }
  }
  const userId = await findSecretOwner(deps, state)
  if (userId === null) return null
  const now = deps.clock.sqlNow()
  const isIts = hasState(userId, state)
  // It reads the verifier that `taken` deletes: both see the rows as the statement found them.
  const found = deps.db.$with('found').as(deps.db.select().from(connectAttempts).where(isIts))
  const taken = deps.db.$with('taken').as(
    deps.db
      .update(connectAttempts)
      .set({ takenAt: now, verifierSealed: null })
      .where(
        and(
          isIts,
          eq(connectAttempts.sessionId, session.id),
          isNull(connectAttempts.takenAt),
          isNotNull(connectAttempts.verifierSealed),
          gt(connectAttempts.expiresAt, now),
        ),
      )
      .returning({ takenAt: connectAttempts.takenAt }),
  )
  const [row] = await deps.db.with(found, taken).select().from(found).leftJoin(taken, sql`true`)
  if (row === undefined) return null
  const { id, verifierSealed } = row.found
  const takenAt = row.taken?.takenAt ?? null
  if (takenAt === null || verifierSealed === null) return { attempt: row.found, taken: null }
  try {
    const codeVerifier = await openSealed(deps, verifierSealContext(id, userId), verifierSealed)
    return { attempt: row.found, taken: { codeVerifier, takenAt } }
  } catch (error) {
    // The callback can be repeated at another instance.
    if (isEncryptionKeyMissing(error))
      await deps.db
        .update(connectAttempts)
        .set({ takenAt: null, verifierSealed })
        .where(and(isIts, eq(connectAttempts.takenAt, takenAt), isNull(connectAttempts.verifierSealed)))
    throw error
  }
}

/**
 * Requires that another callback has taken an attempt which this one could not take.
 * @throws AppError ATTEMPT_EXPIRED
 */
export async function requireTaken(deps: Deps, attempt: ConnectAttempt): Promise<void> {
  if (attempt.takenAt !== null || attempt.verifierSealed === null) return
  const left = await readAttempt(deps, attempt)
  if (!left?.takenAt) throw new AppError('ATTEMPT_EXPIRED')
}

/** Returns the attempt once it is no longer PENDING, as `waitForAttempt` does. */
export function waitForConnectAttempt(deps: Deps, attempt: ConnectAttempt): Promise<ConnectAttempt> {
  return waitForAttempt(deps, () => readAttempt(deps, attempt))
}

/**
 * Returns true for an attempt that was not taken in time. One that was taken is finished, however
 * late.
 */
export function isExpired({ clock }: Pick<Deps, 'clock'>, { status, takenAt, expiresAt }: ConnectAttempt): boolean {
  return status === 'PENDING' && takenAt === null && expiresAt <= clock.now()
}

/** Fails an attempt that was not taken. An attempt that was taken is left to its callback. */
export async function abandonConnectAttempt(deps: Deps, attempt: ConnectAttempt, errorCode: ErrorCode): Promise<void> {
  const now = deps.clock.sqlNow()
  await deps.db
    .update(connectAttempts)
    .set({ status: 'FAILED', errorCode, verifierSealed: null, takenAt: now, finishedAt: now })
    .where(and(isAttempt(attempt), isNull(connectAttempts.takenAt)))
}

/** The outcome of an attempt. `errorDetail` replaces the sentence of the code. */
export type ConnectAttemptOutcome =
  | { status: 'SUCCEEDED'; accountId: string | null }
  | { status: 'FAILED'; errorCode: ErrorCode; errorDetail?: string | null; retryAt?: Date | null }

/** Stores the outcome of an attempt that was taken. */
export async function finishConnectAttempt(
  deps: Deps,
  attempt: Pick<ConnectAttempt, 'id' | 'userId'>,
  outcome: ConnectAttemptOutcome,
): Promise<void> {
  await deps.db
    .update(connectAttempts)
    // A WAITING attempt has an error, which is cleared.
    .set({ errorCode: null, errorDetail: null, retryAt: null, ...outcome, finishedAt: deps.clock.sqlNow() })
    .where(isAttempt(attempt))
}

/** Deletes the attempts whose outcome is no longer kept, until the signal. */
export async function sweepConnectAttempts(deps: Deps, signal?: AbortSignal): Promise<number> {
  const moment = sqlIn(deps.clock, -KEPT_SECONDS)
  const isOver = and(
    lt(connectAttempts.expiresAt, moment),
    // An attempt that waited for X has ended long after it expired.
    or(isNull(connectAttempts.finishedAt), lt(connectAttempts.finishedAt, moment)),
    // It is not waiting for X.
    isNull(connectAttempts.tokensSealed),
  )
  return deleteOfUsers(deps, connectAttempts, connectAttempts, isOver, signal)
}

/** The condition for the row of an attempt. */
export function isAttempt({ id, userId }: Pick<ConnectAttempt, 'id' | 'userId'>): SQL | undefined {
  return and(eq(connectAttempts.userId, userId), eq(connectAttempts.id, id))
}

function hasState(userId: string, state: string): SQL | undefined {
  return and(eq(connectAttempts.userId, userId), eq(connectAttempts.stateHash, sha256(state)))
}

async function readAttempt(
  deps: Deps,
  attempt: Pick<ConnectAttempt, 'id' | 'userId'>,
): Promise<ConnectAttempt | undefined> {
  const [row] = await deps.db.select().from(connectAttempts).where(isAttempt(attempt))
  return row
}
