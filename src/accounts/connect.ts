// Linking an X account. The trap to close: an attacker starts an attempt and has the victim finish it, or finishes with the victim's
// code. So an attempt belongs to one user in one session, and the callback must come from that very session.
import { and, eq, isNull, lt } from 'drizzle-orm'
import {
  ABANDONED_SECONDS,
  abandonAttempt,
  type CallbackParameters,
  type ConnectAttempt,
  finishAttempt,
  getAttemptByState,
  parseCode,
  startAttempt,
  takeAttempt,
  waitForAttempt,
} from '../auth/oauth-attempt.ts'
import { createAuthorizationUrl, describeRefusal, exchangeCode } from '../auth/oauth-client.ts'
import { parseReturnTo } from '../auth/return-to.ts'
import { noteFailedRoundTrip } from '../auth/round-trip-log.ts'
import type { SessionViewer } from '../auth/viewer.ts'
import { sqlIn } from '../db/clock.ts'
import { isRowId } from '../db/row-id.ts'
import { connectAttempts } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { consumeRateLimit } from '../rate-limit/limiter.ts'
import { xApp } from '../x/api.ts'
import { findAppBlock } from '../x/blocks.ts'
import { parseRetryAt } from '../x/rate-limit-headers.ts'
import { parseScopes } from '../x/scopes.ts'
import { type IssuedTokens, isRedirectRefused, judgeRefusal, parseIssuedTokens } from '../x/token-response.ts'
import { findConnectedAccount } from './accounts.ts'
import { storeAttemptTokens, type TakenAttempt } from './attempt-tokens.ts'
import { type ConnectOutcome, completeConnection, recordedError } from './complete-connection.ts'
import { queueConnectionChecks, revokeAttemptTokens } from './refuse-connection.ts'

/** What a caller may ask of a new link; all of it optional. */
export type StartXConnectInput = {
  returnTo: string | null
  scopes: readonly string[] | null
  expectedUsername: string | null
  reconnectAccountId: string | null
}

/**
 * How a round trip ended; `isRepeated` marks the outcome of an earlier callback. A null attempt is
 * one that does not belong to this browser: nothing of it is told.
 */
export type FinishedXConnect =
  | { status: 'connected'; attempt: ConnectAttempt; isRepeated: boolean }
  /** X cannot say yet whose account it is: a job asks again, and the attempt tells how it ends. */
  | { status: 'waiting'; attempt: ConnectAttempt; error: AppError; isRepeated: boolean }
  | { status: 'failed'; attempt: ConnectAttempt | null; error: AppError; isRepeated: boolean }

// X sends no `iss`: one that comes all the same is another provider's (RFC 9207 section 2.4 leaves
// that to the client).
const X_ISSUER = null

/**
 * Starts linking an X account to the viewer.
 * @throws AppError RETURN_TO_NOT_ALLOWED, BAD_USER_INPUT, ACCOUNT_NOT_FOUND, RATE_LIMITED;
 * X_CREDITS_EXHAUSTED, X_USAGE_CAPPED and X_RATE_LIMITED, with `retryAt`, while X is known to tell no
 * account of this app.
 */
export async function startXConnect(
  deps: Deps,
  viewer: SessionViewer,
  input: StartXConnectInput,
): Promise<{ authorizationUrl: string; attempt: ConnectAttempt }> {
  const scopes = parseScopes(input.scopes)
  const returnTo = parseReturnTo(deps.config, input.returnTo, ['input', 'returnTo'])
  const reconnect =
    input.reconnectAccountId === null
      ? null
      : await findConnectedAccount(deps, viewer.user.id, input.reconnectAccountId)
  if (input.reconnectAccountId !== null && reconnect === null) {
    throw new AppError('ACCOUNT_NOT_FOUND', { field: ['input', 'reconnectAccountId'] })
  }
  const expectedUsername = parseUsername(input.expectedUsername)
  // X would take the person through its consent, and then not say whose account it is.
  const block = await findAppBlock(deps, 'READ_PROFILE')
  if (block !== null) throw new AppError(block.code, { retryAt: block.retryAt })
  await consumeRateLimit(deps, 'connect', viewer.user.id, 1)
  const { attempt, state, codeVerifier } = await startAttempt(deps, {
    kind: 'X_CONNECT',
    userId: viewer.user.id,
    sessionId: viewer.session.id,
    scopes,
    returnTo,
    expectedUsername,
    reconnectAccountId: reconnect?.id ?? null,
  })
  const authorizationUrl = createAuthorizationUrl(xApp(deps), `${deps.config.x.url}/i/oauth2/authorize`, {
    state,
    codeVerifier,
    scopes,
  })
  return { authorizationUrl, attempt }
}

/** The viewer's own attempt, or null. */
export async function findConnectAttempt(
  deps: Deps,
  userId: string,
  attemptId: string,
): Promise<ConnectAttempt | null> {
  if (!isRowId(attemptId)) return null
  const [attempt] = await deps.db
    .select()
    .from(connectAttempts)
    .where(
      and(eq(connectAttempts.id, attemptId), eq(connectAttempts.userId, userId), eq(connectAttempts.kind, 'X_CONNECT')),
    )
  return attempt ?? null
}

/**
 * Finishes linking, with what X's redirect brought to this browser. Never throws for what a person, X or an attacker did: every such
 * end is an outcome, written down with the attempt.
 */
export async function finishXConnect(
  deps: Deps,
  viewer: SessionViewer | null,
  parameters: CallbackParameters,
): Promise<FinishedXConnect> {
  let attempt: ConnectAttempt | null = null
  let isRepeated = false
  try {
    if (parameters === 'repeated') throw new AppError('CALLBACK_INVALID')
    const found = await getAttemptByState(deps, 'X_CONNECT', parameters.state)
    const isOwners = viewer !== null && found.userId === viewer.user.id
    // One that was taken can't be finished by anybody else: what came of it is told to its owner in
    // any session, as by the API.
    if (!isOwners || (found.sessionId !== viewer.session.id && found.takenAt === null)) {
      const error = new AppError(viewer === null ? 'SESSION_MISSING' : 'SESSION_MISMATCH')
      // Whoever holds the state now is not who started: the attempt is over.
      await abandonAttempt(deps, found.id, error.code)
      throw error
    }
    attempt = found
    const takenNow = await takeAttempt(deps, found)
    isRepeated = takenNow === null
    if (takenNow === null) return await repeatOutcome(deps, found)
    const { codeVerifier, takenAt } = takenNow
    const outcome = await complete(deps, { ...found, userId: viewer.user.id, takenAt }, codeVerifier, parameters)
    return { isRepeated: false, ...outcome, attempt: found }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { status: 'failed', attempt, error, isRepeated }
  }
}

// Ended by a visit that was not from the session that started it: that visit's outcome is not this
// session's.
const ENDED_BY_OTHERS: readonly string[] = ['SESSION_MISSING', 'SESSION_MISMATCH']

// For the same callback again: what the first one came to, waiting while it is under way.
async function repeatOutcome(deps: Deps, found: ConnectAttempt): Promise<FinishedXConnect> {
  const attempt = await waitForAttempt(deps, found.id)
  if (attempt.status === 'SUCCEEDED') return { status: 'connected', attempt, isRepeated: true }
  if (attempt.status === 'PENDING' || ENDED_BY_OTHERS.includes(attempt.errorCode ?? ''))
    throw new AppError('ATTEMPT_ALREADY_USED')
  const error = recordedError(attempt) ?? new AppError('INTERNAL')
  return { status: attempt.status === 'WAITING' ? 'waiting' : 'failed', attempt, error, isRepeated: true }
}

/**
 * Ends attempts that were taken by a process that died before it had kept the tokens, or before X
 * had issued any.
 */
export async function endAbandonedAttempts(deps: Deps): Promise<void> {
  const abandoned = and(
    eq(connectAttempts.kind, 'X_CONNECT'),
    eq(connectAttempts.status, 'PENDING'),
    isNull(connectAttempts.tokensSealed),
    lt(connectAttempts.takenAt, sqlIn(deps.clock, -ABANDONED_SECONDS)),
  )
  const ended = await transaction(deps, async (deps) => {
    const ended = await deps.db
      .update(connectAttempts)
      .set({ status: 'FAILED', errorCode: 'X_UNAVAILABLE', finishedAt: deps.clock.sqlNow() })
      .where(abandoned)
      .returning()
    for (const { userId, reconnectAccountId } of ended)
      if (userId !== null) await queueConnectionChecks(deps, { userId, reconnectAccountId })
    return ended
  })
  for (const attempt of ended) await noteFailedRoundTrip(deps, 'X_CONNECT', attempt, new AppError('X_UNAVAILABLE'))
}

async function complete(
  deps: Deps,
  attempt: TakenAttempt,
  codeVerifier: string,
  parameters: Exclude<CallbackParameters, 'repeated'>,
): Promise<ConnectOutcome> {
  // The code lives 30 seconds: nothing slow comes before this.
  const exchanged = await exchange(deps, codeVerifier, parameters)
  if ('error' in exchanged) {
    const { error, isMaybeGranted } = exchanged
    await transaction(deps, async (deps) => {
      // A response that was lost may have brought a new pair, and ended the account's earlier one.
      if (isMaybeGranted) await queueConnectionChecks(deps, attempt)
      const { code: errorCode, retryAt } = error
      await finishAttempt(deps, attempt.id, { status: 'FAILED', errorCode, retryAt })
    })
    return { status: 'failed', error }
  }
  const kept = await storeAttemptTokens(deps, attempt, exchanged)
  if (kept !== null) return completeConnection(deps, kept, true)
  // The user was deleted meanwhile: the grant is given back as theirs were.
  const tokens = { ...exchanged, scopes: [] }
  await transaction(deps, (deps) => revokeAttemptTokens(deps, { attempt, tokens }, null))
  return { status: 'failed', error: new AppError('SESSION_MISSING') }
}

async function exchange(
  deps: Deps,
  codeVerifier: string,
  parameters: Exclude<CallbackParameters, 'repeated'>,
): Promise<IssuedTokens | { error: AppError; isMaybeGranted: boolean }> {
  let code: string
  try {
    code = parseCode(parameters, X_ISSUER)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { error, isMaybeGranted: false }
  }
  const answer = await exchangeCode(xApp(deps), `${deps.config.x.apiUrl}/2/oauth2/token`, code, codeVerifier)
  if (answer.kind === 'issued') {
    const issued = parseIssuedTokens(answer.body, deps.timing)
    return issued ?? { error: new AppError('X_UNAVAILABLE'), isMaybeGranted: true }
  }
  const meaning = judgeRefusal(answer)
  const cause = describeRefusal(answer)
  const refuse = (code: ErrorCode, retryAt: Date | null = null) => ({
    error: new AppError(code, { retryAt, cause }),
    isMaybeGranted: meaning === 'AMBIGUOUS',
  })
  if (meaning === 'APP_REJECTED') return refuse('X_CREDENTIALS_REJECTED')
  if (isRedirectRefused(answer)) return refuse('X_REDIRECT_MISMATCH')
  if (answer.kind === 'refused' && answer.status === 400) return refuse('CODE_REJECTED')
  return refuse('X_UNAVAILABLE', parseRetryAt(answer.report.headers, deps.clock.now()))
}

function parseUsername(text: string | null): string | null {
  if (text === null || text.trim() === '') return null
  const username = text.trim().replace(/^@/, '')
  // X: 1 to 15 letters, digits and underscores; older ones may be longer.
  if (!/^\w{1,50}$/.test(username))
    throw new AppError('BAD_USER_INPUT', {
      field: ['input', 'expectedUsername'],
      detail: 'A username is letters, digits and underscores, as in @jack.',
    })
  return username
}
