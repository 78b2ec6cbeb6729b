import { Hono } from 'hono'
import { finishGithubSignIn } from '../auth/finish-sign-in.ts'
import { startGithubSignIn } from '../auth/github-sign-in.ts'
import { INVITE_PARAMETER } from '../auth/invites.ts'
import { findAttemptForLog, logFailedFlow } from '../auth/oauth-flow-log.ts'
import { clearProviderProblems } from '../auth/provider-problems.ts'
import { parseReturnTo } from '../auth/return-to.ts'
import { endSession } from '../auth/session.ts'
import { findSignInAttempt, isBrowserOf } from '../auth/sign-in-attempt.ts'
import { sessionOf } from '../auth/viewer.ts'
import type { Deps } from '../deps.ts'
import { consumeForAddress } from '../http/middleware/rate-limit.ts'
import type { HttpEnv } from '../http/request-context.ts'
import { createSignInCookies } from '../http/sign-in-cookies.ts'
import { parseCallback, redirectCallbackErrors, redirectStartErrors, redirectWithOutcome } from './oauth-outcome.ts'

const KIND = 'GITHUB_SIGN_IN'

/** `/auth/github` and its callback: the sign-in with GitHub. `/auth/sign-out`. */
export function signInRoutes(deps: Deps): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  const cookies = createSignInCookies(deps.config)

  app.get('/auth/github', (c) =>
    redirectStartErrors(deps, c, KIND, async () => {
      await consumeForAddress(deps, c, 'sign-in')
      const returnTo = parseReturnTo(deps.config, c.req.query('returnTo') ?? null, ['returnTo'])
      const { authorizationUrl, state, browserToken } = await startGithubSignIn(
        deps,
        returnTo,
        c.req.query(INVITE_PARAMETER) ?? null,
      )
      cookies.set(c, state, browserToken)
      return c.redirect(authorizationUrl, 303)
    }),
  )

  app.get('/auth/github/callback', (c) => {
    const callback = parseCallback(c)
    const state = callback === 'repeated' ? null : callback.state
    const token = state === null ? null : cookies.get(c, state)
    const findAttempt = async () => {
      const attempt = await findSignInAttempt(deps, state)
      if (attempt === null) return null
      const isOwnSession = attempt.sessionId !== null && attempt.sessionId === sessionOf(c.var.viewer)?.session.id
      return { attempt, isOwn: isOwnSession || isBrowserOf(attempt, token) }
    }
    return redirectCallbackErrors(deps, c, KIND, findAttempt, async () => {
      await consumeForAddress(deps, c, 'sign-in')
      const browser = { viewer: sessionOf(c.var.viewer), token, userAgent: c.req.header('user-agent') ?? null }
      const finished = await finishGithubSignIn(deps, browser, callback)
      if (finished.status === 'ignored') return redirectWithOutcome(deps, c, KIND, null, null)
      const { status, returnTo, isRepeated } = finished
      if (finished.status === 'failed') {
        const { error } = finished
        const attempt = finished.attempt ?? (await findAttemptForLog(() => findSignInAttempt(deps, state)))
        if (!isRepeated) await logFailedFlow(deps, KIND, attempt, error)
        return redirectWithOutcome(deps, c, KIND, returnTo, { status, code: error.code, attemptId: null })
      }
      if (!isRepeated) await clearProviderProblems(deps, 'GITHUB')
      // From now on the session identifies the browser of this attempt. After a failure the cookie
      // still does.
      if (state !== null && token !== null) cookies.delete(c, state)
      if (finished.setCookie !== null) c.header('set-cookie', finished.setCookie, { append: true })
      return redirectWithOutcome(deps, c, KIND, returnTo, { status, code: null, attemptId: null })
    })
  })

  app.post('/auth/sign-out', async (c) => {
    const { setCookie: blank } = await endSession(deps, sessionOf(c.var.viewer)?.session ?? null, 'SIGNED_OUT')
    c.header('set-cookie', blank, { append: true })
    return c.redirect('/', 303)
  })
  return app
}
