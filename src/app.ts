import type { IncomingMessage, ServerResponse } from 'node:http'
import { Hono } from 'hono'
import { consoleRoutes } from './console/routes.ts'
import type { Deps } from './deps.ts'
import { describePermissions } from './graphql/permissions.ts'
import { schema } from './graphql/schema.ts'
import { createGraphqlServer } from './graphql/server.ts'
import { errorHandler } from './http/error-handler.ts'
import { errorResponse, methodNotAllowedResponse } from './http/error-response.ts'
import { authenticate } from './http/middleware/authenticate.ts'
import { canonicalOrigin } from './http/middleware/canonical-origin.ts'
import { clientAddress } from './http/middleware/client-address.ts'
import { cors } from './http/middleware/cors.ts'
import { csrfProtection } from './http/middleware/csrf-protection.ts'
import { navigationProtection } from './http/middleware/navigation-protection.ts'
import { rateLimitHeaders } from './http/middleware/rate-limit.ts'
import { requestId } from './http/middleware/request-id.ts'
import { requestLogger } from './http/middleware/request-logger.ts'
import { securityHeaders } from './http/middleware/security-headers.ts'
import { tokenInUrlProtection } from './http/middleware/token-in-url.ts'
import type { GraphqlServer, HttpEnv } from './http/request-context.ts'
import { connectXRoutes } from './routes/connect-x.ts'
import { createDirectGraphqlRoute } from './routes/direct-graphql.ts'
import { graphqlRoutes } from './routes/graphql.ts'
import { healthRoutes } from './routes/health.ts'
import { signInRoutes } from './routes/sign-in.ts'
import { tokenRevocationRoutes } from './routes/token-revocation.ts'

/** The gateway as a function from requests to responses, without a port. */
export type App = {
  fetch: Hono<HttpEnv>['fetch']
  /**
   * Handles the common GraphQL request without `fetch`, whose conversions cost more than the request
   * itself. Resolves to false, with nothing consumed, for one that `fetch` has to handle.
   */
  handleDirectly(incoming: IncomingMessage, outgoing: ServerResponse): Promise<boolean>
  /** Makes /readyz respond 503, so that load balancers stop sending requests. */
  drain(): void
  /** Makes each response the last of its connection. */
  endConnections(): void
  /** True from the call of `drain` on. */
  isDraining(): boolean
  /** Resolves when no request is in progress, including those whose client has disconnected. */
  settled(): Promise<void>
}

/** Creates the app. */
export function createApp(deps: Deps): App {
  let isDraining = false
  let endsConnections = false
  const graphqlServer = createGraphqlServer(deps)
  const router = createRouter(deps, () => isDraining, graphqlServer)
  const handleDirectly = createDirectGraphqlRoute(deps, graphqlServer)
  let inProgress = 0
  const waiting: (() => void)[] = []
  const track = async <T>(work: Promise<T>): Promise<T> => {
    inProgress += 1
    try {
      return await work
    } finally {
      inProgress -= 1
      if (inProgress === 0) for (const resolve of waiting.splice(0)) resolve()
    }
  }
  return {
    fetch: (...request) =>
      track(
        Promise.resolve(router.fetch(...request)).then((response) =>
          endsConnections ? closeConnectionAfter(response) : response,
        ),
      ),
    handleDirectly: (incoming, outgoing) => track(handleDirectly(incoming, outgoing, () => endsConnections)),
    drain: () => {
      isDraining = true
    },
    endConnections: () => {
      endsConnections = true
    },
    isDraining: () => isDraining,
    settled: async () => {
      while (inProgress > 0) await new Promise<void>((resolve) => waiting.push(resolve))
    },
  }
}

/**
 * Mounts all middleware and routes. Their order matters: a route passes through the middleware
 * above it.
 */
export function createRouter(
  deps: Deps,
  isDraining: () => boolean,
  graphqlServer: GraphqlServer = createGraphqlServer(deps),
): Hono<HttpEnv> {
  const router = new Hono<HttpEnv>()
  const methodsOf = (path: string) => [
    ...new Set(router.routes.filter((route) => isRouteOf(route, path)).map(({ method }) => method)),
  ]
  router.use(requestId, clientAddress(deps), requestLogger(deps))
  router.use(securityHeaders(deps), rateLimitHeaders, tokenInUrlProtection)
  router.route('/', healthRoutes(deps, isDraining))
  router.use('/auth/*', navigationProtection(methodsOf))
  router.use(canonicalOrigin(deps))
  // Before authentication: pages and assets are cached, so their responses must not renew a session
  // cookie.
  router.route('/', consoleRoutes(deps, describePermissions(schema)))
  router.route('/', tokenRevocationRoutes(deps))
  router.use(cors(deps), csrfProtection(deps))
  const authenticateCaller = authenticate(deps)
  // A path or method that does not exist costs no look-up of a cookie or a token.
  router.use((c, next) => (methodsOf(c.req.path).includes(c.req.method) ? authenticateCaller(c, next) : next()))
  router.route('/', signInRoutes(deps))
  router.route('/', connectXRoutes(deps))
  router.route('/', graphqlRoutes(deps, graphqlServer))
  router.notFound(({ req: { method, path } }) => {
    const methods = methodsOf(path)
    const isKnown = methods.length > 0 && !methods.includes(method === 'HEAD' ? 'GET' : method)
    return isKnown ? methodNotAllowedResponse(methods) : errorResponse(404, { code: 'NOT_FOUND' })
  })
  router.onError(errorHandler(deps))
  return router
}

// ALL is the method of middleware. A path with parameters is compared up to the first of them.
function isRouteOf({ method, path: pattern }: { method: string; path: string }, path: string): boolean {
  if (method === 'ALL') return false
  const [fixed = ''] = pattern.split(':')
  return fixed === pattern ? pattern === path : path.startsWith(fixed)
}

// A connection that stays open would bring further requests to a process that is shutting down.
function closeConnectionAfter(response: Response): Response {
  const last = new Response(response.body, response)
  last.headers.set('connection', 'close')
  return last
}
