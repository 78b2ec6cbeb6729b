import { type Context, Hono } from 'hono'
import { listCrossSiteOrigins } from '../config/same-site.ts'
import type { Deps } from '../deps.ts'
import { challenge, TOKEN_PARAMETER } from '../http/bearer.ts'
import { errorResponse, methodNotAllowedResponse, PERSISTED_QUERY_MESSAGE } from '../http/error-response.ts'
import { chooseRateLimiter } from '../http/middleware/rate-limit.ts'
import { FORM_TYPE, mediaTypeOf, readForm } from '../http/request-body.ts'
import type { GraphqlRequest, GraphqlServer, HttpEnv } from '../http/request-context.ts'
import { misplacedTokenResponse } from '../http/token-error-response.ts'

const BY_POST = 'Send queries to /graphql by POST.'

/** `/graphql`, except for the GraphiQL page, which the console serves. */
export function graphqlRoutes(deps: Deps, server: GraphqlServer): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  const crossSiteOrigins = listCrossSiteOrigins(deps.config)

  app.post('/graphql', async (c) => {
    const mediaType = mediaTypeOf(c)
    if (mediaType === FORM_TYPE && (await readForm(c.req.raw))?.has(TOKEN_PARAMETER)) return misplacedTokenResponse()
    // An HTML form cannot send JSON, so a browser never adds its cookie to such a request by
    // itself.
    if (mediaType !== 'application/json') return unsupportedMediaTypeResponse({ accept: 'application/json' })
    const encoding = c.req.header('content-encoding')?.trim().toLowerCase() ?? 'identity'
    // Decompressing would let a small body exceed the limit by far.
    if (encoding !== 'identity') return unsupportedMediaTypeResponse({ 'accept-encoding': 'identity' })
    const rateLimiter = chooseRateLimiter(deps, c)
    // A browser sends no session cookie from another site. UNAUTHENTICATED would advise a sign-in,
    // which does not help.
    if (c.var.viewer === null && crossSiteOrigins.includes(c.req.header('origin') ?? '')) {
      await rateLimiter.consume(1)
      return crossSiteOriginResponse()
    }
    const cookies: string[] = []
    const response = await server.respond(c.req.raw, createGraphqlRequest(c, rateLimiter, cookies))
    const isLimited = rateLimiter.lastResult()?.retryInSeconds != null
    const { body, headers, status } = response
    const extended = new Response(body, { status: isLimited ? 429 : status, headers })
    for (const cookie of cookies) extended.headers.append('set-cookie', cookie)
    return extended
  })

  // The console's route serves the page.
  app.get('/graphql', (c) =>
    isPersistedQuery(c.req.query('query'), c.req.query('extensions'))
      ? errorResponse(200, { code: 'PERSISTED_QUERY_NOT_SUPPORTED', message: PERSISTED_QUERY_MESSAGE })
      : methodNotAllowedResponse(['POST'], BY_POST),
  )

  // GET is GraphiQL, if it is on.
  const allowed = deps.config.graphiql ? ['GET', 'POST'] : ['POST']
  app.all('/graphql', () => methodNotAllowedResponse(allowed, BY_POST))
  return app
}

function createGraphqlRequest(
  c: Context<HttpEnv>,
  rateLimiter: GraphqlRequest['rateLimiter'],
  cookies: string[],
): GraphqlRequest {
  const operationLog = { operation: null, fields: [], errorCodes: [] }
  c.set('operationLog', operationLog)
  const { viewer, requestId } = c.var
  return { viewer, requestId, rateLimiter, operationLog, setCookie: (header) => cookies.push(header) }
}

// A client that sends hashes by GET (automatic persisted queries) falls back to POST after this
// error.
function isPersistedQuery(query: string | undefined, extensions: string | undefined): boolean {
  return !query && extensions !== undefined && /"persistedQuery"\s*:\s*\{/.test(extensions)
}

// The headers say what would have been supported (RFC 9110 section 15.5.16).
function unsupportedMediaTypeResponse(supported: Record<string, string>): Response {
  return errorResponse(415, { code: 'UNSUPPORTED_MEDIA_TYPE' }, supported)
}

function crossSiteOriginResponse(): Response {
  return errorResponse(401, { code: 'CROSS_SITE_ORIGIN' }, { 'www-authenticate': challenge(null) })
}
