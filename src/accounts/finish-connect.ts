// Finishes a connect attempt with the authorization response that X's redirect brings.
import { and, asc, eq, inArray, isNull, lt, sql } from 'drizzle-orm'
import { type CallbackParameters, parseCode } from '../auth/authorization-response.ts'
import {
  abandonConnectAttempt,
  type ConnectAttempt,
  finishConnectAttempt,
  requireTaken,
  takeConnectAttempt,
  waitForConnectAttempt,
} from '../auth/connect-attempt.ts'
import { ABANDONED_SECONDS } from '../auth/oauth-attempt.ts'
import { describeRefusal, exchangeCode } from '../auth/oauth-client.ts'
import { logFailedFlow } from '../auth/oauth-flow-log.ts'
import type { SessionViewer } from '../auth/viewer.ts'
import { runBatchesByUser } from '../db/batches.ts'
import { sqlIn } from '../db/clock.ts'
import { connectAttempts } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { xApp } from '../x/api.ts'
import { parseRetryAt } from '../x/rate-limit-headers.ts'
import { classifyTokenError, type IssuedTokens, isRedirectRefused, parseIssuedTokens } from '../x/token-response.ts'
import { storeAttemptTokens, type TakenAttempt } from './attempt-tokens.ts'
import { type ConnectOutcome, completeConnection, recordedError } from './complete-connection.ts'
import { queueConnectionChecks, revokeAttemptTokens } from './refuse-connection.ts'

const SWEEP_BATCH = 200

/**
 * The outcome of a callback; `isRepeated` marks the outcome of an earlier one. `attempt` is null
 * when it does not belong to this browser, which must learn nothing about it.
 */
export type FinishedXConnect =
  | { status: 'connected'; attempt: ConnectAttempt; isRepeated: boolean }
  /**
   * X cannot say yet which account was approved. A job asks again, and the attempt shows the
   * result.
   */
  | { status: 'waiting'; attempt: ConnectAttempt; error: AppError; isRepeated: boolean }
  | { status: 'failed'; attempt: ConnectAttempt | null; error: AppError; isRepeated: boolean }

type SingleCallback = Exclude<CallbackParameters, 'repeated'>

// X sends no `iss`, so that a response with one comes from another provider. RFC 9207 section 2.4
// leaves this decision to the client.
const X_ISSUER = null

/**
 * Finishes a connect attempt. Failures that a person, X or an attacker can cause are returned as
 * outcomes and stored with the attempt; only unexpected errors are thrown.
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
    const opened = await takeConnectAttempt(deps, parameters.state, viewer?.session ?? null)
    if (opened === null) throw new AppError('ATTEMPT_UNKNOWN')
    const { attempt: found, taken } = opened
    const isOwn = viewer !== null && found.userId === viewer.user.id
    // No other browser can finish an attempt that was taken. Its outcome is shown to its user in
    // any session, as the API does.
    if (!isOwn || (found.sessionId !== viewer.session.id && found.takenAt === null)) {
      const error = new AppError(viewer === null ? 'SESSION_MISSING' : 'SESSION_MISMATCH')
      // The state has reached another browser than the one that started: the attempt is
      // compromised.
      await abandonConnectAttempt(deps, found, error.code)
      throw error
    }
    attempt = found
    if (taken === null) {
      await requireTaken(deps, found)
      isRepeated = true
      return await repeatOutcome(deps, found)
    }
    const { codeVerifier, takenAt } = taken
    const outcome = await complete(deps, { ...found, takenAt }, codeVerifier, parameters)
    return { isRepeated: false, ...outcome, attempt: found }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { status: 'failed', attempt, error, isRepeated }
  }
}

/**
 * Fails the attempts whose process died after it had taken them, before it stored their tokens,
 * until the signal.
 */
export async function endAbandonedAttempts(deps: Deps, signal?: AbortSignal): Promise<number> {
  const isAbandoned = and(
    sql`${connectAttempts.status} = 'PENDING'`,
    isNull(connectAttempts.tokensSealed),
    lt(connectAttempts.takenAt, sqlIn(deps.clock, -ABANDONED_SECONDS)),
  )
  const find = () =>
    deps.db
      .select({ userId: connectAttempts.userId, id: connectAttempts.id })
      .from(connectAttempts)
      .where(isAbandoned)
      .orderBy(asc(connectAttempts.takenAt))
      .limit(SWEEP_BATCH)
  const end = async (userId: string, ids: string[]) => {
    const isOne = and(eq(connectAttempts.userId, userId), inArray(connectAttempts.id, ids), isAbandoned)
    const ended = await transaction(deps, async (deps) => {
      const ended = await deps.db
        .update(connectAttempts)
        .set({ status: 'FAILED', errorCode: 'X_UNAVAILABLE', finishedAt: deps.clock.sqlNow() })
        .where(isOne)
        .returning()
      for (const attempt of ended) await queueConnectionChecks(deps, attempt)
      return ended
    })
    for (const attempt of ended) await logFailedFlow(deps, 'X_CONNECT', attempt, new AppError('X_UNAVAILABLE'))
    return ended.length
  }
  return runBatchesByUser(SWEEP_BATCH, find, end, signal)
}

// Errors with which a visit from another session ended the attempt. They are not shown to the
// session that started it.
const ENDED_BY_OTHERS: readonly string[] = ['SESSION_MISSING', 'SESSION_MISMATCH']

// For a repeated callback: the outcome of the first one, waiting while that is under way.
async function repeatOutcome(deps: Deps, found: ConnectAttempt): Promise<FinishedXConnect> {
  const attempt = await waitForConnectAttempt(deps, found)
  if (attempt.status === 'SUCCEEDED') return { status: 'connected', attempt, isRepeated: true }
  if (attempt.status === 'PENDING' || ENDED_BY_OTHERS.includes(attempt.errorCode ?? ''))
    throw new AppError('ATTEMPT_ALREADY_USED')
  const error = recordedError(attempt) ?? new AppError('INTERNAL')
  return { status: attempt.status === 'WAITING' ? 'waiting' : 'failed', attempt, error, isRepeated: true }
}

async function complete(
  deps: Deps,
  attempt: TakenAttempt,
  codeVerifier: string,
  parameters: SingleCallback,
): Promise<ConnectOutcome> {
  // X's authorization code is valid for 30 seconds: nothing slow may come before this.
  const exchanged = await exchange(deps, codeVerifier, parameters)
  if ('error' in exchanged) {
    const { error, isMaybeGranted } = exchanged
    await transaction(deps, async (deps) => {
      // X may have issued a grant in a response that was lost, and so ended the account's earlier
      // one.
      if (isMaybeGranted) await queueConnectionChecks(deps, attempt)
      const { code: errorCode, retryAt } = error
      await finishConnectAttempt(deps, attempt, { status: 'FAILED', errorCode, retryAt })
    })
    return { status: 'failed', error }
  }
  const claimed = await storeAttemptTokens(deps, attempt, exchanged)
  if (claimed !== null) return completeConnection(deps, claimed, true)
  // The user was deleted meanwhile: the grant is revoked, as those of the user's accounts were.
  const tokens = { ...exchanged, scopes: [] }
  await transaction(deps, (deps) => revokeAttemptTokens(deps, { attempt, tokens }, null))
  return { status: 'failed', error: new AppError('SESSION_MISSING') }
}

async function exchange(
  deps: Deps,
  codeVerifier: string,
  parameters: SingleCallback,
): Promise<IssuedTokens | { error: AppError; isMaybeGranted: boolean }> {
  let code: string
  try {
    code = parseCode(parameters, X_ISSUER)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { error, isMaybeGranted: false }
  }
  const response = await exchangeCode(xApp(deps), `${deps.config.x.apiUrl}/2/oauth2/token`, code, codeVerifier)
  if (response.kind === 'issued') {
    const issued = parseIssuedTokens(response.body, deps.timing)
    return issued ?? { error: new AppError('X_UNAVAILABLE'), isMaybeGranted: true }
  }
  const meaning = classifyTokenError(response)
  const cause = describeRefusal(response)
  const refused = (code: ErrorCode, retryAt: Date | null = null) => ({
    error: new AppError(code, { retryAt, cause }),
    isMaybeGranted: meaning === 'AMBIGUOUS',
  })
  if (meaning === 'APP_REJECTED') return refused('X_CREDENTIALS_REJECTED')
  if (isRedirectRefused(response)) return refused('X_REDIRECT_MISMATCH')
  if (response.kind === 'refused' && response.status === 400) return refused('CODE_REJECTED')
  return refused('X_UNAVAILABLE', parseRetryAt(response.report.headers, deps.clock.now()))
}
