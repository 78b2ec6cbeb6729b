// The routes of the OAuth round trips of both providers: each starts one, or takes the browser back
// that a provider has sent here.
import type { Context, Hono } from 'hono'
import { finishXConnect, startXConnect } from '../accounts/connect.ts'
import { finishGithubSignIn } from '../auth/finish-sign-in.ts'
import { startGithubSignIn } from '../auth/github-sign-in.ts'
import { type CallbackParameters, isStartedBy } from '../auth/oauth-attempt.ts'
import { forgetProviderProblems } from '../auth/provider-problems.ts'
import { findReturnTo, parseReturnTo } from '../auth/return-to.ts'
import { findAttemptForLog, noteFailedRoundTrip } from '../auth/round-trip-log.ts'
import { sessionOf } from '../auth/viewer.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type HttpEnv, refuseCrossSiteNavigation } from '../http/middleware/csrf-protection.ts'
import { payAsAddress } from '../http/middleware/rate-limit.ts'
import { createSignInCookies } from '../http/sign-in-cookies.ts'

/** `/auth/github`: signing in by GitHub. */
export function addSignIn(app: Hono<HttpEnv>, deps: Deps): void {
  const cookies = createSignInCookies(deps.config)

  app.get('/auth/github', async (c) => {
    const asked = c.req.query('returnTo') ?? null
    let returnTo: string | null
    try {
      await payAsAddress(deps, c, 'sign-in')
      returnTo = parseReturnTo(deps.config, asked, ['returnTo'])
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      await noteFailedRoundTrip(deps, 'GITHUB_SIGN_IN', null, error)
      const landing = findReturnTo(deps.config, asked)
      return c.redirect(outcomeUrl(deps, landing, { signIn: 'failed', code: error.code }), 303)
    }
    const { authorizationUrl, state, browserToken } = await startGithubSignIn(deps, returnTo)
    cookies.set(c, state, browserToken)
    return c.redirect(authorizationUrl, 303)
  })

  app.get('/auth/github/callback', async (c) => {
    const callback = readCallback(c)
    const state = callback === 'repeated' ? null : callback.state
    const token = state === null ? null : cookies.get(c, state)
    try {
      await payAsAddress(deps, c, 'sign-in')
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      const attempt = await findAttemptForLog(deps, 'GITHUB_SIGN_IN', state)
      await noteFailedRoundTrip(deps, 'GITHUB_SIGN_IN', attempt, error)
      const sessionId = sessionOf(c.var.viewer)?.session.id ?? null
      const own = attempt !== null && isStartedBy(attempt, { sessionId, token }) ? attempt : null
      return c.redirect(outcomeUrl(deps, own?.returnTo ?? null, { signIn: 'failed', code: error.code }), 303)
    }
    const finished = await finishGithubSignIn(
      deps,
      {
        viewer: sessionOf(c.var.viewer),
        token,
        userAgent: c.req.header('user-agent') ?? null,
      },
      callback,
    )
    if (finished.status === 'ignored') return c.redirect(outcomeUrl(deps, null, {}), 303)
    const { status: signIn, returnTo } = finished
    if (finished.status === 'failed') {
      const { error, isRepeated } = finished
      const attempt = finished.attempt ?? (await findAttemptForLog(deps, 'GITHUB_SIGN_IN', state))
      if (!isRepeated) await noteFailedRoundTrip(deps, 'GITHUB_SIGN_IN', attempt, error)
      return c.redirect(outcomeUrl(deps, returnTo, { signIn, code: error.code }), 303)
    }
    if (!finished.isRepeated) await forgetProviderProblems(deps, 'GITHUB')
    // The session says from now on whose attempt it was. After a failure the cookie still does.
    if (state !== null && token !== null) cookies.delete(c, state)
    if (finished.setCookie !== null) c.header('set-cookie', finished.setCookie, { append: true })
    return c.redirect(outcomeUrl(deps, returnTo, { signIn }), 303)
  })
}

/** `/auth/x`: connecting an X account. */
export function addXConnect(app: Hono<HttpEnv>, deps: Deps): void {
  app.get('/auth/x', refuseCrossSiteNavigation(deps), async (c) => {
    const viewer = sessionOf(c.var.viewer)
    try {
      if (viewer === null) throw new AppError('UNAUTHENTICATED')
      const { authorizationUrl } = await startXConnect(deps, viewer, {
        returnTo: c.req.query('returnTo') ?? null,
        scopes: c.req.query('scopes')?.split(/[\s,]+/) ?? null,
        expectedUsername: c.req.query('expectedUsername') ?? null,
        reconnectAccountId: c.req.query('reconnectAccountId') ?? null,
      })
      return c.redirect(authorizationUrl, 303)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      await noteFailedRoundTrip(deps, 'X_CONNECT', null, error)
      const returnTo = findReturnTo(deps.config, c.req.query('returnTo') ?? null)
      return c.redirect(outcomeUrl(deps, returnTo, { xConnect: 'failed', code: error.code }), 303)
    }
  })

  app.get('/auth/x/callback', async (c) => {
    const viewer = sessionOf(c.var.viewer)
    const callback = readCallback(c)
    try {
      await payAsAddress(deps, c, 'sign-in')
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      const attempt = await findAttemptForLog(deps, 'X_CONNECT', callback === 'repeated' ? null : callback.state)
      await noteFailedRoundTrip(deps, 'X_CONNECT', attempt, error)
      const sessionId = viewer?.session.id ?? null
      const own = attempt !== null && isStartedBy(attempt, { sessionId, token: null }) ? attempt : null
      const outcome = { xConnect: 'failed', code: error.code, attempt: own?.id ?? null }
      return c.redirect(outcomeUrl(deps, own?.returnTo ?? null, outcome), 303)
    }
    const finished = await finishXConnect(deps, viewer, callback)
    if (!finished.isRepeated) {
      if (finished.status === 'connected') await forgetProviderProblems(deps, 'X')
      else await noteFailedRoundTrip(deps, 'X_CONNECT', finished.attempt, finished.error, finished.status)
    }
    const code = finished.status === 'connected' ? null : finished.error.code
    const outcome = { xConnect: finished.status, code, attempt: finished.attempt?.id ?? null }
    return c.redirect(outcomeUrl(deps, finished.attempt?.returnTo ?? null, outcome), 303)
  })
}

// A repeated parameter is refused: two readers of one URL may each see another one.
function readCallback(c: Context): CallbackParameters {
  const { searchParams } = new URL(c.req.url)
  const names = ['state', 'code', 'error', 'iss']
  if (names.some((name) => searchParams.getAll(name).length > 1)) return 'repeated'
  const get = (name: string) => searchParams.get(name) || null
  // An empty issuer is one that is not the provider's.
  return { state: get('state'), code: get('code'), error: get('error'), iss: searchParams.get('iss') }
}

function outcomeUrl(deps: Deps, returnTo: string | null, outcome: Record<string, string | null>): string {
  const url = new URL(returnTo ?? '/', deps.config.publicUrl)
  for (const [name, value] of Object.entries(outcome)) if (value !== null) url.searchParams.set(name, value)
  return url.href
}
