// One OAuth round trip, of either provider: begun, taken exactly once, finished. Nothing of it lives in memory, so a restart in
// the middle loses nothing, and the callback may arrive at any instance.
import { setTimeout as sleep } from 'node:timers/promises'
import { and, eq, gt, isNull, lt, or } from 'drizzle-orm'
import { createCodeVerifier, randomToken, type SealContext, seal, sha256, unseal } from '../crypto.ts'
import { sqlIn } from '../db/clock.ts'
import { connectAttempts } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { type ProviderCode, ProviderFailure, parseProviderCode } from '../outbound/provider-failure.ts'

/** One unfinished or finished OAuth round trip. */
export type ConnectAttempt = typeof connectAttempts.$inferSelect

/**
 * What a provider's redirect carried; `iss` names the provider (RFC 9207). A parameter that came
 * twice is `repeated`: it is never guessed which one counts.
 */
export type CallbackParameters =
  | { state: string | null; code: string | null; error: string | null; iss: string | null }
  | 'repeated'

/** How long a person may take at a provider. */
export const ATTEMPT_LIFETIME_SECONDS = 600
// Kept that long after its end for whoever asks what became of it.
const CONNECT_KEPT_SECONDS = 86_400
// Only for whoever comes back late; anybody can start one, so that they must not pile up.
const SIGN_IN_KEPT_SECONDS = 3_600
/**
 * How long a browser may come back with a sign-in, to finish it or to be told what has become of
 * it.
 */
export const SIGN_IN_KNOWN_SECONDS = ATTEMPT_LIFETIME_SECONDS + SIGN_IN_KEPT_SECONDS
const WAIT_POLL_MILLISECONDS = 200
/**
 * How long after it was taken an unfinished attempt is given up: longer than any callback takes,
 * with its calls to a provider and its wait for a database that is away.
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

/** Writes an attempt down, and returns it with the state and the code verifier that only this call ever sees in the clear. */
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

/**
 * The attempt that a state parameter belongs to, of whichever provider; null when there is none.
 */
export async function findAttemptByState(deps: Deps, state: string | null): Promise<ConnectAttempt | null> {
  if (state === null) return null
  const [attempt] = await deps.db
    .select()
    .from(connectAttempts)
    .where(eq(connectAttempts.stateHash, sha256(state)))
  return attempt ?? null
}

/**
 * The attempt at this provider that a state parameter belongs to. @throws AppError ATTEMPT_UNKNOWN
 */
export async function getAttemptByState(
  deps: Deps,
  kind: ConnectAttempt['kind'],
  state: string | null,
): Promise<ConnectAttempt> {
  const attempt = await findAttemptByState(deps, state)
  // Bound to the kind: a state of one provider is nothing at the other's callback (RFC 9700 section 4.4, mix-up).
  if (attempt?.kind !== kind) throw new AppError('ATTEMPT_UNKNOWN')
  return attempt
}

/**
 * Takes an attempt for good, and returns its code verifier and when that was. Of any number of
 * callers one succeeds: the others, and all that come later, get null.
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
    const place = verifierSealContext(attempt.id, attempt.userId ?? '')
    const codeVerifier = unseal(deps.config.encryptionKeys, place, attempt.verifierSealed)
    return { codeVerifier, takenAt: taken.takenAt }
  }
  const [now] = await deps.db.select().from(connectAttempts).where(eq(connectAttempts.id, attempt.id))
  if (now?.takenAt) return null
  throw new AppError('ATTEMPT_EXPIRED')
}

/**
 * The attempt once it is not under way any more, for a callback that comes a second time. After
 * `timing.waitForAttemptSeconds` it is returned as it is; at once where the process that took it must have
 * died.
 */
export async function waitForAttempt(deps: Deps, attemptId: string): Promise<ConnectAttempt> {
  const giveUpAt = performance.now() + deps.timing.waitForAttemptSeconds * 1000
  for (;;) {
    const [attempt] = await deps.db.select().from(connectAttempts).where(eq(connectAttempts.id, attemptId))
    // Swept, or deleted with its user.
    if (attempt === undefined) throw new AppError('ATTEMPT_UNKNOWN')
    const takenForSeconds = (deps.clock.now().getTime() - (attempt.takenAt?.getTime() ?? 0)) / 1000
    if (attempt.status !== 'PENDING' || takenForSeconds > ABANDONED_SECONDS || performance.now() > giveUpAt)
      return attempt
    await sleep(WAIT_POLL_MILLISECONDS * (0.5 + Math.random()))
  }
}

/**
 * True for an attempt whose time is over and that nobody has come back with. One that was taken in
 * time is finished, however late.
 */
export function isExpired({ clock }: Pick<Deps, 'clock'>, { status, takenAt, expiresAt }: ConnectAttempt): boolean {
  return status === 'PENDING' && takenAt === null && expiresAt <= clock.now()
}

// What a provider's redirect says in place of a code. GitHub sends the last two (docs.github.com,
// "Troubleshooting authorization request errors").
const REDIRECT_ERRORS: Partial<Record<ProviderCode, ErrorCode>> = {
  access_denied: 'ACCESS_DENIED',
  application_suspended: 'GITHUB_APP_SUSPENDED',
  redirect_uri_mismatch: 'GITHUB_REDIRECT_MISMATCH',
}

/**
 * The authorization code of a redirect. An `iss` that is not the provider's own is refused, of an
 * error too, and a missing one is not: an Enterprise Server may be older than the parameter (RFC
 * 9207 section 2.4).
 * @param issuer the `iss` of the provider that was asked, compared character by character; null for
 * one that sends none.
 * @throws AppError ISSUER_MISMATCH, ACCESS_DENIED, GITHUB_APP_SUSPENDED, GITHUB_REDIRECT_MISMATCH;
 * CALLBACK_INVALID where it brought none.
 */
export function parseCode(
  { code, error, iss }: Exclude<CallbackParameters, 'repeated'>,
  issuer: string | null,
): string {
  if (iss !== null && iss !== issuer) throw new AppError('ISSUER_MISMATCH')
  if (error !== null) {
    const providerCode = parseProviderCode(error)
    const cause = new ProviderFailure({ report: null, providerCode })
    throw new AppError(REDIRECT_ERRORS[providerCode] ?? 'CALLBACK_INVALID', { cause })
  }
  if (code === null) throw new AppError('CALLBACK_INVALID')
  return code
}

/** Ends an attempt that nobody has taken yet. One that was taken is for whoever took it to finish. */
export async function abandonAttempt(deps: Deps, attemptId: string, errorCode: ErrorCode): Promise<void> {
  const now = deps.clock.sqlNow()
  await deps.db
    .update(connectAttempts)
    .set({ status: 'FAILED', errorCode, verifierSealed: null, takenAt: now, finishedAt: now })
    .where(and(eq(connectAttempts.id, attemptId), isNull(connectAttempts.takenAt)))
}

/**
 * How an attempt ended. `errorDetail` replaces the code's own sentence, where that does not say it
 * all.
 */
export type AttemptOutcome =
  | { status: 'SUCCEEDED'; accountId: string | null }
  | { status: 'FAILED'; errorCode: ErrorCode; errorDetail?: string | null; retryAt?: Date | null }

/** Writes down how an attempt that was taken has ended. */
export async function finishAttempt(deps: Deps, attemptId: string, outcome: AttemptOutcome): Promise<void> {
  await deps.db
    .update(connectAttempts)
    // Clears the error that a WAITING attempt had.
    .set({ errorCode: null, errorDetail: null, retryAt: null, ...outcome, finishedAt: deps.clock.sqlNow() })
    .where(eq(connectAttempts.id, attemptId))
}

/**
 * True for an attempt that this browser has started: by its session, or by its token of this
 * sign-in.
 */
export function isStartedBy(
  { sessionId, browserHash }: ConnectAttempt,
  browser: { sessionId: string | null; token: string | null },
): boolean {
  if (sessionId !== null && sessionId === browser.sessionId) return true
  return browser.token !== null && browserHash === sha256(browser.token)
}

/** Writes down which session a sign-in has started, and whose it is. */
export async function recordSignIn(
  deps: Deps,
  attemptId: string,
  { id: sessionId, userId }: { id: string; userId: string },
): Promise<void> {
  await deps.db.update(connectAttempts).set({ sessionId, userId }).where(eq(connectAttempts.id, attemptId))
}

/** Deletes attempts that nobody will ask for any more. */
export async function sweepAttempts(deps: Deps): Promise<void> {
  const endedBefore = (seconds: number) => {
    const moment = sqlIn(deps.clock, -seconds)
    // One that waited for X has ended long after its ten minutes.
    const finished = or(isNull(connectAttempts.finishedAt), lt(connectAttempts.finishedAt, moment))
    return and(lt(connectAttempts.expiresAt, moment), finished)
  }
  await deps.db.delete(connectAttempts).where(
    and(
      // One that waits for X.
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
