// The end of an OAuth flow in the browser: a redirect to returnTo, with the outcome in the query.
import type { Context } from 'hono'
import type { CallbackParameters } from '../auth/authorization-response.ts'
import type { AttemptKind } from '../auth/oauth-attempt.ts'
import { findAttemptForLog, type LoggedAttempt, logFailedFlow } from '../auth/oauth-flow-log.ts'
import { findReturnTo } from '../auth/return-to.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { addressBlock } from '../http/client-address.ts'
import type { HttpEnv } from '../http/request-context.ts'
import { consumeRateLimit } from '../rate-limit/limiter.ts'

/** The outcome that a front end finds in the query of `returnTo`. Null parts are left out. */
export type OAuthOutcome = { status: string; code: string | null; attemptId: string | null }

const STATUS_PARAMETERS: Record<AttemptKind, string> = { GITHUB_SIGN_IN: 'signIn', X_CONNECT: 'xConnect' }

/**
 * Redirects to `returnTo`, or to the console where that is null. A null outcome adds nothing to the
 * query.
 */
export function redirectWithOutcome(
  deps: Deps,
  c: Context<HttpEnv>,
  kind: AttemptKind,
  returnTo: string | null,
  outcome: OAuthOutcome | null,
): Response {
  const url = new URL(returnTo ?? '/', deps.config.publicUrl)
  if (outcome !== null) {
    const { status, code, attemptId } = outcome
    url.searchParams.set(STATUS_PARAMETERS[kind], status)
    if (code !== null) url.searchParams.set('code', code)
    if (attemptId !== null) url.searchParams.set('attempt', attemptId)
  }
  return c.redirect(url.href, 303)
}

/**
 * Runs the route that starts a flow. An AppError is logged and redirects to the `returnTo` of the
 * query.
 */
export function redirectStartErrors(
  deps: Deps,
  c: Context<HttpEnv>,
  kind: AttemptKind,
  route: () => Promise<Response>,
): Promise<Response> {
  return redirectErrors(deps, c, kind, route, async () => ({
    attempt: null,
    ownAttempt: null,
    returnTo: findReturnTo(deps.config, c.req.query('returnTo') ?? null),
  }))
}

/** The attempt of a callback. `isOwn` is true for the browser that started it. */
export type CallbackAttempt = { attempt: LoggedAttempt & { returnTo: string | null }; isOwn: boolean }

/**
 * Runs the route of a callback. An AppError is logged with the attempt, and redirects to the
 * attempt's `returnTo` if this browser started it. The look-up of the attempt of a callback over the
 * limit of sign-ins is charged to the limit of the address. Over that one too, the callback redirects
 * to the console.
 * @param findAttempt reads the attempt of the callback's state.
 */
export function redirectCallbackErrors(
  deps: Deps,
  c: Context<HttpEnv>,
  kind: AttemptKind,
  findAttempt: () => Promise<CallbackAttempt | null>,
  route: () => Promise<Response>,
): Promise<Response> {
  return redirectErrors(deps, c, kind, route, async (error) => {
    const isLookedUp = error.code !== 'RATE_LIMITED' || (await payForLookUp(deps, c))
    const found = isLookedUp ? await findAttemptForLog(findAttempt) : null
    const ownAttempt = found?.isOwn ? found.attempt : null
    return { attempt: found?.attempt ?? null, ownAttempt, returnTo: ownAttempt?.returnTo ?? null }
  })
}

/**
 * Parses a callback's query. A repeated parameter is rejected: two parsers of one URL could each
 * use another value.
 */
export function parseCallback(c: Context): CallbackParameters {
  const { searchParams } = new URL(c.req.url)
  const names = ['state', 'code', 'error', 'iss']
  if (names.some((name) => searchParams.getAll(name).length > 1)) return 'repeated'
  const get = (name: string) => searchParams.get(name) || null
  // An empty issuer counts as another provider's.
  return { state: get('state'), code: get('code'), error: get('error'), iss: searchParams.get('iss') }
}

// Returns false if the address is over its limit.
async function payForLookUp(deps: Deps, c: Context<HttpEnv>): Promise<boolean> {
  try {
    await consumeRateLimit(deps, 'address', addressBlock(c.var.address), 1)
    return true
  } catch (error) {
    if (error instanceof AppError) return false
    throw error
  }
}

type FailedFlow = { attempt: LoggedAttempt | null; ownAttempt: LoggedAttempt | null; returnTo: string | null }

async function redirectErrors(
  deps: Deps,
  c: Context<HttpEnv>,
  kind: AttemptKind,
  route: () => Promise<Response>,
  findFlow: (error: AppError) => Promise<FailedFlow>,
): Promise<Response> {
  try {
    return await route()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const { attempt, ownAttempt, returnTo } = await findFlow(error)
    await logFailedFlow(deps, kind, attempt, error)
    // Front ends can query a connect attempt by its id; a sign-in has no type in the API.
    const attemptId = kind === 'X_CONNECT' ? (ownAttempt?.id ?? null) : null
    return redirectWithOutcome(deps, c, kind, returnTo, { status: 'failed', code: error.code, attemptId })
  }
}
