// Finishes a sign-in: checks that the callback reached the browser that started it, and repeats the
// outcome for a repeated callback (Back, a reload, two at once). The calls to GitHub are in
// github-sign-in.ts.
import { hmacSha256 } from '../crypto.ts'
import { type Deps, transaction } from '../deps.ts'
import { type ErrorCode, isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { type CallbackParameters, parseCode } from './authorization-response.ts'
import { githubIssuer, identifyGithubUser } from './github-sign-in.ts'
import { endSession, isSessionGood, repeatSessionCookie, startSession } from './session.ts'
import {
  findSignInAttempt,
  finishSignInAttempt,
  isBrowserOf,
  type SignInAttempt,
  takeSignInAttempt,
  waitForSignInAttempt,
} from './sign-in-attempt.ts'
import { parseSecretOwner } from './user-secret.ts'
import type { SessionViewer } from './viewer.ts'

/**
 * The browser of a callback: its current session, its token of this sign-in, and its User-Agent.
 */
export type SignInBrowser = { viewer: SessionViewer | null; token: string | null; userAgent: string | null }

/**
 * The result of a callback for its browser. `isRepeated` marks the outcome of an earlier callback.
 */
export type FinishedSignIn =
  /** `setCookie` carries the new session; null when the browser has one already. */
  | { status: 'succeeded'; setCookie: string | null; returnTo: string | null; isRepeated: boolean }
  | {
      status: 'failed'
      error: AppError
      /** Null for an attempt of another browser. */
      attempt: SignInAttempt | null
      returnTo: string | null
      isRepeated: boolean
    }
  /** The browser is signed in, and has not started this attempt. Nothing was done. */
  | { status: 'ignored' }

// Errors of a repeated or late callback. The sign-in itself may have succeeded.
const REPEATED_CALLBACK_ERRORS: readonly ErrorCode[] = ['ATTEMPT_ALREADY_USED', 'ATTEMPT_EXPIRED']

// Longer than the response to a callback takes. Afterwards the cookie of a sign-in gives no access
// to its session.
const REPEATED_WITHIN_SECONDS = 10

/**
 * Finishes a sign-in with the parameters of GitHub's redirect: takes the attempt, exchanges the
 * code, finds or creates the user by GitHub's numeric id, and starts a session. A repeated callback
 * changes nothing and returns the outcome of the first one.
 */
export async function finishGithubSignIn(
  deps: Deps,
  browser: SignInBrowser,
  parameters: CallbackParameters,
): Promise<FinishedSignIn> {
  const { viewer, token } = browser
  let attempt: SignInAttempt | null = null
  let isRepeated = false
  try {
    if (parameters === 'repeated') throw new AppError('CALLBACK_INVALID')
    const { state } = parameters
    // Only the state of a connection names a user: it is invalid here (RFC 9700 section 4.4,
    // mix-up).
    if (state !== null && parseSecretOwner(state) !== null) throw new AppError('ATTEMPT_UNKNOWN')
    const found = await findSignInAttempt(deps, state)
    if (found !== null && found.userId !== null && found.userId === viewer?.user.id)
      return { status: 'succeeded', setCookie: null, returnTo: found.returnTo, isRepeated: true }
    if (token === null || found === null || !isBrowserOf(found, token)) {
      if (viewer !== null) return { status: 'ignored' }
      throw new AppError('ATTEMPT_UNKNOWN')
    }
    attempt = found
    const codeVerifier = await takeSignInAttempt(deps, found)
    isRepeated = codeVerifier === null
    const { setCookie } =
      codeVerifier === null
        ? await repeatOutcome(deps, found, { ...browser, token }, parameters)
        : await signIn(deps, found, { ...browser, token }, parameters, codeVerifier)
    return { status: 'succeeded', setCookie, returnTo: found.returnTo, isRepeated }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const returnTo = attempt?.returnTo ?? null
    if (REPEATED_CALLBACK_ERRORS.includes(error.code) && (await isSignedInSince(deps, viewer, attempt)))
      return { status: 'succeeded', setCookie: null, returnTo, isRepeated: true }
    return { status: 'failed', error, attempt, returnTo, isRepeated }
  }
}

type OwnBrowser = SignInBrowser & { token: string }
type OneCallback = Exclude<CallbackParameters, 'repeated'>

async function signIn(
  deps: Deps,
  attempt: SignInAttempt,
  browser: OwnBrowser,
  parameters: OneCallback,
  codeVerifier: string,
): Promise<{ setCookie: string }> {
  try {
    const code = parseCode(parameters, githubIssuer(deps))
    const user = await identifyGithubUser(deps, code, codeVerifier, attempt.inviteHash)
    return await transaction(deps, async (deps) => {
      // Every sign-in starts a new session, because an attacker may have set the old one (session
      // fixation).
      if (browser.viewer !== null) await endSession(deps, browser.viewer.session, 'REPLACED')
      const random = sessionBitsOf(attempt, browser, parameters)
      const { session, setCookie } = await startSession(deps, user.id, browser.userAgent, random)
      await finishSignInAttempt(deps, attempt, { status: 'SUCCEEDED', userId: user.id, sessionId: session.id })
      return { setCookie }
    })
  } catch (error) {
    await finishSignInAttempt(deps, attempt, {
      status: 'FAILED',
      errorCode: error instanceof AppError ? error.code : 'INTERNAL',
    })
    throw error
  }
}

/**
 * Returns the outcome of an attempt that another callback has taken. A callback during the first
 * one, or just after it, gets the same session: a browser that reloads the page drops the first
 * response, and with it the cookie.
 * @throws AppError the attempt's own, or ATTEMPT_ALREADY_USED when this browser has no access to
 * its session.
 */
async function repeatOutcome(
  deps: Deps,
  found: SignInAttempt,
  browser: OwnBrowser,
  parameters: OneCallback,
): Promise<{ setCookie: string | null }> {
  const attempt = await waitForSignInAttempt(deps, found)
  if (attempt.status === 'PENDING') throw new AppError('GITHUB_UNAVAILABLE')
  if (attempt.status !== 'SUCCEEDED') {
    const code = attempt.errorCode ?? ''
    throw new AppError(isErrorCode(code) ? code : 'INTERNAL')
  }
  const endedForSeconds = (deps.clock.now().getTime() - (attempt.finishedAt?.getTime() ?? 0)) / 1000
  const { userId, sessionId } = attempt
  if (endedForSeconds <= REPEATED_WITHIN_SECONDS && userId !== null && sessionId !== null) {
    const random = sessionBitsOf(attempt, browser, parameters)
    const setCookie = await repeatSessionCookie(deps, { id: sessionId, userId }, random)
    if (setCookie !== null) return { setCookie }
  }
  const { viewer } = browser
  // The first callback may have replaced the session meanwhile.
  if (viewer?.user.id === userId && (await isSessionGood(deps, viewer.session))) return { setCookie: null }
  throw new AppError('ATTEMPT_ALREADY_USED')
}

// Returns true when this browser has signed in since the attempt started, for example in another
// tab.
async function isSignedInSince(
  deps: Deps,
  viewer: SessionViewer | null,
  attempt: SignInAttempt | null,
): Promise<boolean> {
  if (viewer === null || attempt === null || viewer.session.createdAt < attempt.createdAt) return false
  return isSessionGood(deps, viewer.session)
}

// Derives the secret bits of the session token from 256 random bits that only this browser has,
// from GitHub's code, and from the row, so that two equal callbacks reach one session. Because of
// the code, an attacker who has set the browser's cookie cannot derive the token.
function sessionBitsOf(attempt: SignInAttempt, { token }: OwnBrowser, { code }: OneCallback): string {
  return hmacSha256(token, `session:${attempt.id}:${attempt.stateHash}:${code}`)
}
