import { Hono } from 'hono'
import { startXConnect } from '../accounts/connect.ts'
import { finishXConnect } from '../accounts/finish-connect.ts'
import { findConnectAttemptByState } from '../auth/connect-attempt.ts'
import { logFailedFlow } from '../auth/oauth-flow-log.ts'
import { clearProviderProblems } from '../auth/provider-problems.ts'
import { sessionOf } from '../auth/viewer.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { crossSiteNavigationProtection } from '../http/middleware/csrf-protection.ts'
import { consumeForAddress } from '../http/middleware/rate-limit.ts'
import type { HttpEnv } from '../http/request-context.ts'
import { parseCallback, redirectCallbackErrors, redirectStartErrors, redirectWithOutcome } from './oauth-outcome.ts'

const KIND = 'X_CONNECT'

/** `/auth/x` and its callback: connects an X account to the signed-in user. */
export function connectXRoutes(deps: Deps): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()

  app.get('/auth/x', crossSiteNavigationProtection(deps), (c) =>
    redirectStartErrors(deps, c, KIND, async () => {
      const viewer = sessionOf(c.var.viewer)
      if (viewer === null) throw new AppError('UNAUTHENTICATED')
      const { authorizationUrl } = await startXConnect(deps, viewer, {
        returnTo: c.req.query('returnTo') ?? null,
        scopes: c.req.query('scopes')?.split(/[\s,]+/) ?? null,
        expectedUsername: c.req.query('expectedUsername') ?? null,
        reconnectAccountId: c.req.query('reconnectAccountId') ?? null,
      })
      return c.redirect(authorizationUrl, 303)
    }),
  )

  app.get('/auth/x/callback', (c) => {
    const callback = parseCallback(c)
    const state = callback === 'repeated' ? null : callback.state
    const findAttempt = async () => {
      const attempt = await findConnectAttemptByState(deps, state)
      return attempt && { attempt, isOwn: attempt.sessionId === sessionOf(c.var.viewer)?.session.id }
    }
    return redirectCallbackErrors(deps, c, KIND, findAttempt, async () => {
      await consumeForAddress(deps, c, 'sign-in')
      const finished = await finishXConnect(deps, sessionOf(c.var.viewer), callback)
      const { status, attempt } = finished
      if (!finished.isRepeated) {
        if (finished.status === 'connected') await clearProviderProblems(deps, 'X')
        else await logFailedFlow(deps, KIND, attempt, finished.error, finished.status)
      }
      const code = finished.status === 'connected' ? null : finished.error.code
      const attemptId = attempt?.id ?? null
      return redirectWithOutcome(deps, c, KIND, attempt?.returnTo ?? null, { status, code, attemptId })
    })
  })
  return app
}
