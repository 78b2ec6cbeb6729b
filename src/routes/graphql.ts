// The edge that is not GraphQL. A route does three things: who is asking, one call of a feature,
// the shape of the response. The routes of both OAuth round trips are in round-trips.ts.
import { type Context, Hono } from 'hono'
import type { Problem } from '../accounts/deployment-problems.ts'
import { revokeLeakedApiToken } from '../auth/api-token.ts'
import { endSession } from '../auth/session.ts'
import { sessionOf, type Viewer } from '../auth/viewer.ts'
import { listCrossSiteOrigins } from '../config/same-site.ts'
import { consoleRoutes } from '../console/routes.ts'
import { isDatabaseOutage } from '../db/outage.ts'
import { isUserGone } from '../db/violations.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, errorCodes } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { challenge, TOKEN_PARAMETER } from '../http/bearer.ts'
import { PERSISTED_QUERY_MESSAGE, refuse, refuseForOutage } from '../http/error-response.ts'
import { identify, refuseMisplacedToken, refuseTokenInUrl } from '../http/middleware/authenticate.ts'
import { sendToPublicUrl } from '../http/middleware/canonical-origin.ts'
import type { HttpEnv } from '../http/middleware/csrf-protection.ts'
import {
  guardCookies,
  observeRequests,
  refuseSpeculation,
  securityHeaders,
} from '../http/middleware/csrf-protection.ts'
import { limitByAddress, openRateLimiter, tellRateLimit } from '../http/middleware/rate-limit.ts'
import type { RateLimiter } from '../rate-limit/limiter.ts'
import type { OperationLogFields } from '../telemetry/log.ts'
import { addSignIn, addXConnect } from './sign-in.ts'

const FORM = 'application/x-www-form-urlencoded'
const MAX_FORM_BYTES = 8_192
const STATUSES: Partial<Record<ErrorCode, 401 | 429>> = { UNAUTHENTICATED: 401, RATE_LIMITED: 429 }

/** What the routes hand on to. */
export type Handlers = {
  /** What an operator should know; rejects while the gateway should get no requests. */
  checkReadiness(): Promise<Problem[]>
  /** Answers a POST with a JSON body. */
  answerGraphql(
    request: Request,
    about: {
      viewer: Viewer | null
      requestId: string
      rateLimiter: RateLimiter
      notes: OperationLogFields
      setCookie(header: string): void
    },
  ): Promise<Response>
}

/** All routes. */
export function createRoutes(deps: Deps, handlers: Handlers): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  app.use(observeRequests(deps), securityHeaders(deps), tellRateLimit, refuseTokenInUrl)
  app.get('/healthz', (c) => c.text('ok'))
  app.get('/readyz', async (c) => {
    try {
      // Ready all the same: another instance would have the same trouble.
      return c.json({ status: 'ready', problems: await handlers.checkReadiness() })
    } catch (error) {
      deps.log.warn({ error }, 'Not ready')
      return c.json({ status: 'not ready' }, 503)
    }
  })
  const methodsOf = (path: string) =>
    app.routes.filter((route) => route.path === path && route.method !== 'ALL').map(({ method }) => method)
  app.use('/auth/*', refuseSpeculation(methodsOf))
  app.use(sendToPublicUrl(deps))
  // Before anybody is identified: the pages and their files are the same for all, and no cookie may ride on what caches keep.
  app.route('/', consoleRoutes(deps))
  addTokenRevocation(app, deps)
  app.use(guardCookies(deps), identify(deps))
  addSignIn(app, deps)
  addSignOut(app, deps)
  addXConnect(app, deps)
  addGraphql(app, deps, handlers)
  app.notFound(() =>
    refuse(404, {
      code: 'BAD_USER_INPUT',
      message: 'There is nothing here. The API is POST /graphql; the console is /.',
    }),
  )
  app.onError((thrown, c) => {
    const error = isUserGone(thrown) ? new AppError('UNAUTHENTICATED', { cause: thrown }) : thrown
    if (error instanceof AppError) {
      const { code, message, retryAt } = error
      return refuse(STATUSES[code] ?? 400, { code, message, ...(retryAt && { retryAt }) })
    }
    const { requestId } = c.var
    deps.log.error({ error, requestId }, 'A request failed for a reason of ours')
    if (isDatabaseOutage(error)) return refuseForOutage(requestId)
    return refuse(500, { code: 'INTERNAL', message: errorCodes.INTERNAL.sentence, requestId })
  })
  return app
}

// Before anybody is identified: it is the token that comes in which says whose it is, and whoever has it may end it.
function addTokenRevocation(app: Hono<HttpEnv>, deps: Deps): void {
  app.post('/auth/token/revoke', limitByAddress(deps, 'address'), async (c) => {
    const form = contentTypeOf(c) === FORM ? await readForm(c.req.raw) : null
    const [secret, ...more] = form?.getAll('token') ?? []
    if (secret === undefined || more.length > 0) {
      return c.json(
        {
          error: 'invalid_request',
          error_description: `Send one "token", as ${FORM} of up to ${MAX_FORM_BYTES} bytes.`,
        },
        400,
      )
    }
    await revokeLeakedApiToken(deps, secret)
    // Also for what was no token of ours, or ended before (RFC 7009 section 2.2).
    return c.body(null, 200)
  })
}

function addSignOut(app: Hono<HttpEnv>, deps: Deps): void {
  app.post('/auth/sign-out', async (c) => {
    const { setCookie: blank } = await endSession(deps, sessionOf(c.var.viewer)?.session.id ?? null, 'SIGNED_OUT')
    c.header('set-cookie', blank, { append: true })
    return c.redirect('/', 303)
  })
}

function addGraphql(app: Hono<HttpEnv>, deps: Deps, handlers: Handlers): void {
  const crossSiteOrigins = listCrossSiteOrigins(deps.config)
  app.post('/graphql', async (c) => {
    const contentType = contentTypeOf(c)
    if (contentType === FORM && (await readForm(c.req.raw))?.has(TOKEN_PARAMETER)) return refuseMisplacedToken()
    // Of a browser's forms none can send this, so that a cookie never rides on one.
    if (contentType !== 'application/json') {
      return refuse(415, { code: 'BAD_USER_INPUT', message: 'Send the query as application/json.' })
    }
    const cookies: string[] = []
    const rateLimiter = openRateLimiter(deps, c)
    // No cookie will ever come from there: "sign in first" would send a person round in circles.
    if (c.var.viewer === null && crossSiteOrigins.includes(c.req.header('origin') ?? '')) {
      await rateLimiter.consume(1)
      const message = errorCodes.CROSS_SITE_ORIGIN.sentence
      return refuse(401, { code: 'CROSS_SITE_ORIGIN', message }, { 'www-authenticate': challenge(null) })
    }
    const notes: OperationLogFields = { operation: null, fields: [], errorCodes: [] }
    c.set('notes', notes)
    const response = await handlers.answerGraphql(c.req.raw, {
      viewer: c.var.viewer,
      requestId: c.var.requestId,
      rateLimiter,
      notes,
      setCookie: (header) => cookies.push(header),
    })
    const isRefused = rateLimiter.lastResult()?.retryInSeconds != null
    const own = new Response(response.body, { status: isRefused ? 429 : response.status, headers: response.headers })
    for (const header of cookies) own.headers.append('set-cookie', header)
    return own
  })
  // The console's route lets nothing pass but a hash without a document.
  app.get('/graphql', () => refuse(200, { code: 'PERSISTED_QUERY_NOT_SUPPORTED', message: PERSISTED_QUERY_MESSAGE }))
  // GET gives GraphiQL, where there is one.
  const allow = deps.config.graphiql ? 'GET, POST' : 'POST'
  app.on(['PUT', 'PATCH', 'DELETE'], '/graphql', () =>
    refuse(405, { code: 'BAD_USER_INPUT', message: 'Send queries to /graphql by POST.' }, { allow }),
  )
}

function contentTypeOf(c: Context): string | undefined {
  return c.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
}

// Null when it is longer than any form of ours.
async function readForm({ body }: Request): Promise<URLSearchParams | null> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body ?? []) {
    chunks.push(chunk)
    bytes += chunk.byteLength
    if (bytes > MAX_FORM_BYTES) return null
  }
  return new URLSearchParams(Buffer.concat(chunks).toString())
}
