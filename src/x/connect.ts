// Linking an X account. The trap to close: an attacker starts an attempt and has the victim finish it, or finishes with the victim's
// code. So an attempt belongs to one user in one session, and the callback must come from that very session.
import { and, eq } from 'drizzle-orm'
import {
  abandonAttempt,
  type CallbackParameters,
  type ConnectAttempt,
  finishAttempt,
  getAttemptByState,
  readCode,
  startAttempt,
  takeAttempt,
  waitForAttempt,
} from '../auth/attempt.ts'
import { createAuthorizationUrl, describeRefusal, exchangeCode } from '../auth/oauth.ts'
import type { SessionViewer } from '../auth/viewer.ts'
import { connectAttempts } from '../db/tables.ts'
import { type Deps, isRowId, transaction } from '../deps.ts'
import { AppError, type ErrorCode, isErrorCode } from '../errors.ts'
import { spendPoints } from '../rate-limit.ts'
import { readReturnTo } from '../return-to.ts'
import { findConnectedAccount, listConnectedAccounts } from './accounts.ts'
import { fetchMe, type XProfile, xApp } from './api.ts'
import { storeLink } from './link.ts'
import { PERSON_WAITS_SECONDS, persistently } from './persistently.ts'
import { requestRevocation } from './revocation.ts'
import { canReadProfile, readScopes } from './scopes.ts'
import { type IssuedTokens, isRedirectRefused, judgeRefusal, readIssuedTokens } from './token-answer.ts'

/** What a caller may ask of a new link; all of it optional. */
export type StartXConnectInput = {
  returnTo: string | null
  scopes: readonly string[] | null
  expectedUsername: string | null
  reconnectAccountId: string | null
}

/** How a round trip ended; `isRepeated` marks the outcome of an earlier callback. A null attempt is one that does not belong to this browser: nothing of it is told. */
export type FinishedXConnect =
  | { status: 'connected'; attempt: ConnectAttempt; isRepeated: boolean }
  | { status: 'failed'; attempt: ConnectAttempt | null; error: AppError; isRepeated: boolean }

// X sends no `iss`: one that comes all the same is another provider's (RFC 9207 section 2.4 leaves that to the client).
const X_ISSUER = null

// Refusals are named after what they mean for a tweet; these mean something else of a profile.
const PROFILE_REFUSALS: Partial<Record<ErrorCode, ErrorCode>> = {
  SCOPE_MISSING: 'SCOPES_MISSING',
  TWEET_REFUSED: 'X_UNAVAILABLE',
}

/**
 * Starts linking an X account to the viewer.
 * @throws AppError RETURN_TO_NOT_ALLOWED, BAD_USER_INPUT, ACCOUNT_NOT_FOUND, RATE_LIMITED
 */
export async function startXConnect(
  deps: Deps,
  viewer: SessionViewer,
  input: StartXConnectInput,
): Promise<{ authorizationUrl: string; attempt: ConnectAttempt }> {
  const scopes = readScopes(input.scopes)
  const returnTo = readReturnTo(deps.config, input.returnTo, ['input', 'returnTo'])
  const reconnect =
    input.reconnectAccountId === null
      ? null
      : await findConnectedAccount(deps, viewer.user.id, input.reconnectAccountId)
  if (input.reconnectAccountId !== null && reconnect === null) {
    throw new AppError('ACCOUNT_NOT_FOUND', { field: ['input', 'reconnectAccountId'] })
  }
  const expectedUsername = readUsername(input.expectedUsername)
  await spendPoints(deps, 'link', viewer.user.id, 1)
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
  let taken = false
  let isRepeated = false
  try {
    if (parameters === 'repeated') throw new AppError('CALLBACK_INVALID')
    const found = await getAttemptByState(deps, 'X_CONNECT', parameters.state)
    const isOwners = viewer !== null && found.userId === viewer.user.id
    // One that was taken can't be finished by anybody else: what came of it is told to its owner in any session, as by the API.
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
    taken = true
    const accountId = await link(deps, { ...found, takenAt }, viewer.user.id, codeVerifier, parameters)
    // It is linked by now: an attempt that says otherwise would have the person link it again for nothing.
    await persistently(
      deps,
      'write down that an account was linked',
      () => finishAttempt(deps, found.id, { status: 'SUCCEEDED', accountId }),
      PERSON_WAITS_SECONDS,
    )
    return { status: 'connected', attempt: found, isRepeated: false }
  } catch (error) {
    const isOutcome = error instanceof AppError
    // A callback that came too late, or beside the one that took the attempt, has no say in how that ends.
    if (attempt !== null && taken)
      await finishAttempt(deps, attempt.id, { status: 'FAILED', errorCode: isOutcome ? error.code : 'INTERNAL' })
    if (!isOutcome) throw error
    return { status: 'failed', attempt, error, isRepeated }
  }
}

// Ended by a visit that was not from the session that started it: that visit's outcome is not this session's.
const ENDED_BY_OTHERS: readonly string[] = ['SESSION_MISSING', 'SESSION_MISMATCH']

// For the same callback again: what the first one came to, waiting while it is under way.
async function repeatOutcome(deps: Deps, found: ConnectAttempt): Promise<FinishedXConnect> {
  const attempt = await waitForAttempt(deps, found.id)
  if (attempt.status === 'SUCCEEDED') return { status: 'connected', attempt, isRepeated: true }
  const code = attempt.errorCode ?? ''
  if (attempt.status === 'PENDING' || ENDED_BY_OTHERS.includes(code)) throw new AppError('ATTEMPT_ALREADY_USED')
  throw new AppError(isErrorCode(code) ? code : 'INTERNAL')
}

async function link(
  deps: Deps,
  attempt: ConnectAttempt & { takenAt: Date },
  userId: string,
  codeVerifier: string,
  parameters: Exclude<CallbackParameters, 'repeated'>,
): Promise<string> {
  // The code lives 30 seconds: nothing slow comes before this.
  const issued = await exchange(deps, readCode(parameters, X_ISSUER), codeVerifier)
  let stored = false
  try {
    const scopes = issued.scopes ?? attempt.scopes
    if (issued.accessToken === null) throw new AppError('X_UNAVAILABLE')
    if (!canReadProfile(scopes)) throw new AppError('SCOPES_MISSING')
    const profile = await getProfile(deps, issued.accessToken)
    const mismatch = await findMismatch(deps, attempt, userId, profile)
    // X has killed the earlier pair of this account by now. Where that pair is the user's own link, the fresh one keeps it alive.
    if (mismatch !== null && !(await isOwnLink(deps, userId, profile))) throw mismatch
    const fresh = { ...issued, accessToken: issued.accessToken, askedAt: attempt.takenAt }
    const accountId = await storeLink(deps, userId, profile, scopes, fresh)
    stored = true
    if (mismatch !== null) throw mismatch
    return accountId
  } catch (error) {
    if (!stored) await discard(deps, attempt, userId, issued)
    throw error
  }
}

async function exchange(deps: Deps, code: string, codeVerifier: string): Promise<IssuedTokens> {
  const answer = await exchangeCode(xApp(deps), `${deps.config.x.apiUrl}/2/oauth2/token`, code, codeVerifier)
  if (answer.kind !== 'issued') {
    const cause = describeRefusal(answer)
    if (judgeRefusal(answer) === 'APP_REJECTED') throw new AppError('X_CREDENTIALS_REJECTED', { cause })
    if (isRedirectRefused(answer)) throw new AppError('X_REDIRECT_MISMATCH', { cause })
    if (answer.kind === 'refused' && answer.status === 400) throw new AppError('CODE_REJECTED', { cause })
    throw new AppError('X_UNAVAILABLE', { cause })
  }
  const issued = readIssuedTokens(answer.body, deps.timing)
  if (issued === null) throw new AppError('X_UNAVAILABLE')
  return issued
}

async function getProfile(deps: Deps, accessToken: string): Promise<XProfile> {
  const answer = await fetchMe(deps, accessToken)
  if (answer.kind === 'done') return answer.value
  if (answer.kind === 'refused')
    throw new AppError(PROFILE_REFUSALS[answer.code] ?? answer.code, { retryAt: answer.retryAt })
  throw new AppError('X_UNAVAILABLE', { cause: answer.kind === 'unknown' ? answer.cause : undefined })
}

async function findMismatch(
  deps: Deps,
  attempt: ConnectAttempt,
  userId: string,
  profile: XProfile,
): Promise<AppError | null> {
  const wanted = attempt.expectedUsername
  if (wanted !== null && wanted.toLowerCase() !== profile.username.toLowerCase()) {
    return new AppError('WRONG_ACCOUNT', {
      detail: `X is signed in as @${profile.username}, not as @${wanted}. Switch accounts at x.com, then start again.`,
    })
  }
  if (attempt.reconnectAccountId === null) return null
  const account = await findConnectedAccount(deps, userId, attempt.reconnectAccountId)
  return account?.providerAccountId === profile.providerAccountId ? null : new AppError('WRONG_ACCOUNT')
}

async function isOwnLink(deps: Deps, userId: string, profile: XProfile): Promise<boolean> {
  const accounts = await listConnectedAccounts(deps, userId, { includeDisconnected: false })
  return accounts.some((account) => account.providerAccountId === profile.providerAccountId)
}

// The attempt stands for an account that does not exist.
async function discard(deps: Deps, attempt: ConnectAttempt, userId: string, issued: IssuedTokens): Promise<void> {
  const owner = { accountId: attempt.id, userId }
  await transaction(deps, async (deps) => {
    if (issued.refreshToken !== null) await requestRevocation(deps, owner, issued.refreshToken, 'refresh_token')
    else if (issued.accessToken !== null) await requestRevocation(deps, owner, issued.accessToken, 'access_token')
  })
}

function readUsername(text: string | null): string | null {
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
