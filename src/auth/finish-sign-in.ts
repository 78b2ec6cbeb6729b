// The way back of a sign-in: which browser may finish it, and what the same callback gets that
// comes again, by Back, by a reload or twice at once. GitHub itself is in github.ts.
import { hmacSha256, sha256 } from '../crypto.ts'
import { type Deps, transaction } from '../deps.ts'
import { type ErrorCode, isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { type CallbackParameters, parseCode } from './authorization-response.ts'
import { githubIssuer, identifyGithubUser } from './github-sign-in.ts'
import {
  type ConnectAttempt,
  findAttemptByState,
  finishAttempt,
  recordSignIn,
  takeAttempt,
  waitForAttempt,
} from './oauth-attempt.ts'
import { endSession, isSessionGood, repeatSessionCookie, startSession } from './session.ts'
import type { SessionViewer } from './viewer.ts'

/**
 * The browser that a callback came to: the session that it has already, its token of this sign-in,
 * and what it says that it is.
 */
export type SignInBrowser = { viewer: SessionViewer | null; token: string | null; userAgent: string | null }

/**
 * How a callback of a sign-in ended for the browser that it came to. `isRepeated` marks the outcome
 * of an earlier callback.
 */
export type FinishedSignIn =
  /** `setCookie` hands the browser its session; null where it has one. */
  | { status: 'succeeded'; setCookie: string | null; returnTo: string | null; isRepeated: boolean }
  | {
      status: 'failed'
      error: AppError
      /** Null where it is not this browser's. */
      attempt: ConnectAttempt | null
      returnTo: string | null
      isRepeated: boolean
    }
  /**
   * Somebody is signed in in this browser, and the callback is of no attempt of it: nothing was
   * done, and there is nothing to tell.
   */
  | { status: 'ignored' }

// Errors of the visit, not of the sign-in, which may have succeeded.
const COMING_BACK_ERRORS: readonly ErrorCode[] = ['ATTEMPT_ALREADY_USED', 'ATTEMPT_EXPIRED']

// A response that its browser has dropped is on its way for no longer. Afterwards the cookie of a
// sign-in is worth nothing.
const REPEATED_WITHIN_SECONDS = 10

/**
 * Finishes a sign-in with what GitHub's redirect brought to this browser: takes the attempt,
 * exchanges the code, finds or makes the user by GitHub's numeric id, and starts a session. The
 * same callback again changes nothing, and gets the outcome of the first.
 */
export async function finishGithubSignIn(
  deps: Deps,
  browser: SignInBrowser,
  parameters: CallbackParameters,
): Promise<FinishedSignIn> {
  const { viewer, token } = browser
  let attempt: ConnectAttempt | null = null
  let isRepeated = false
  try {
    if (parameters === 'repeated') throw new AppError('CALLBACK_INVALID')
    const found = await findAttemptByState(deps, parameters.state)
    if (found !== null && isSignIn(found) && found.userId !== null && found.userId === viewer?.user.id)
      return { status: 'succeeded', setCookie: null, returnTo: found.returnTo, isRepeated: true }
    if (token === null || found === null || !isSignIn(found) || found.browserHash !== sha256(token)) {
      // A state of the other provider is no sign-in that was forgotten.
      if (viewer !== null && (found === null || isSignIn(found))) return { status: 'ignored' }
      throw new AppError('ATTEMPT_UNKNOWN')
    }
    attempt = found
    const taken = await takeAttempt(deps, found)
    isRepeated = taken === null
    const { setCookie } =
      taken === null
        ? await repeatOutcome(deps, found, { ...browser, token }, parameters)
        : await signIn(deps, found, { ...browser, token }, parameters, taken.codeVerifier)
    return { status: 'succeeded', setCookie, returnTo: found.returnTo, isRepeated }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const returnTo = attempt?.returnTo ?? null
    if (COMING_BACK_ERRORS.includes(error.code) && (await isSignedInSince(deps, viewer, attempt)))
      return { status: 'succeeded', setCookie: null, returnTo, isRepeated: true }
    return { status: 'failed', error, attempt, returnTo, isRepeated }
  }
}

function isSignIn({ kind }: ConnectAttempt): boolean {
  return kind === 'GITHUB_SIGN_IN'
}

type OwnBrowser = SignInBrowser & { token: string }
type OneCallback = Exclude<CallbackParameters, 'repeated'>

async function signIn(
  deps: Deps,
  attempt: ConnectAttempt,
  browser: OwnBrowser,
  parameters: OneCallback,
  codeVerifier: string,
): Promise<{ setCookie: string }> {
  try {
    const user = await identifyGithubUser(deps, parseCode(parameters, githubIssuer(deps)), codeVerifier)
    return await transaction(deps, async (deps) => {
      // A session that an attacker may have planted is not taken over: every sign-in gets its own.
      if (browser.viewer !== null) await endSession(deps, browser.viewer.session.id, 'REPLACED')
      const token = sessionTokenOf(attempt, browser, parameters)
      const { session, setCookie } = await startSession(deps, user.id, browser.userAgent, token)
      await finishAttempt(deps, attempt.id, { status: 'SUCCEEDED', accountId: null })
      await recordSignIn(deps, attempt.id, session)
      return { setCookie }
    })
  } catch (error) {
    await finishAttempt(deps, attempt.id, {
      status: 'FAILED',
      errorCode: error instanceof AppError ? error.code : 'INTERNAL',
    })
    throw error
  }
}

/**
 * What came of an attempt that another callback has taken. One that comes meanwhile, or just after,
 * is given the same session: a browser that reloads the page drops the response that it waited for,
 * and with it the cookie.
 * @throws AppError the attempt's own, or ATTEMPT_ALREADY_USED where this browser has no right to
 * its session.
 */
async function repeatOutcome(
  deps: Deps,
  found: ConnectAttempt,
  browser: OwnBrowser,
  parameters: OneCallback,
): Promise<{ setCookie: string | null }> {
  const attempt = await waitForAttempt(deps, found.id)
  if (attempt.status === 'PENDING') throw new AppError('GITHUB_UNAVAILABLE')
  if (attempt.status !== 'SUCCEEDED') {
    const code = attempt.errorCode ?? ''
    throw new AppError(isErrorCode(code) ? code : 'INTERNAL')
  }
  const endedForSeconds = (deps.clock.now().getTime() - (attempt.finishedAt?.getTime() ?? 0)) / 1000
  if (endedForSeconds <= REPEATED_WITHIN_SECONDS) {
    const token = sessionTokenOf(attempt, browser, parameters)
    const setCookie = await repeatSessionCookie(deps, attempt.sessionId ?? '', token)
    if (setCookie !== null) return { setCookie }
  }
  const { viewer } = browser
  // The first callback may have replaced the session meanwhile.
  if (viewer?.user.id === attempt.userId && (await isSessionGood(deps, viewer.session.id))) return { setCookie: null }
  throw new AppError('ATTEMPT_ALREADY_USED')
}

// True where another tab, say, signed in while this one was left alone.
async function isSignedInSince(
  deps: Deps,
  viewer: SessionViewer | null,
  attempt: ConnectAttempt | null,
): Promise<boolean> {
  if (viewer === null || attempt === null || viewer.session.createdAt < attempt.createdAt) return false
  return isSessionGood(deps, viewer.session.id)
}

// Follows from 256 random bits that this browser alone has, from GitHub's code, and from what only
// the row knows: two equal callbacks come to one session, and nobody else can. With the code in it,
// a cookie that was planted in a browser tells nothing of its session.
function sessionTokenOf(attempt: ConnectAttempt, { token }: OwnBrowser, { code }: OneCallback): string {
  return hmacSha256(token, `session:${attempt.id}:${attempt.stateHash}:${code}`)
}
