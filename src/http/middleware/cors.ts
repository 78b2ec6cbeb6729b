// Cross-origin resource sharing (Fetch Standard, section 3.3) for the origins in ALLOWED_ORIGINS,
// and warnings of requests that browsers will block.
import type { Context, MiddlewareHandler } from 'hono'
import type { Deps } from '../../deps.ts'
import { createRareLine } from '../../telemetry/rare-line.ts'
import type { HttpEnv } from '../request-context.ts'

/**
 * Request headers that pages of listed origins may send: the API's own, and those that tracing and
 * GraphQL clients add.
 */
const ALLOWED_HEADERS = [
  ...['content-type', 'authorization', 'x-request-id', 'x-requested-with'],
  // W3C Trace Context and Baggage, Sentry, Zipkin, Datadog, AWS X-Ray.
  ...['traceparent', 'tracestate', 'baggage', 'sentry-trace', 'b3', 'x-b3-traceid', 'x-b3-spanid'],
  ...['x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags', 'x-datadog-trace-id', 'x-datadog-parent-id'],
  ...['x-datadog-origin', 'x-datadog-sampling-priority', 'x-datadog-tags', 'x-amzn-trace-id'],
  // Apollo's clients for the web, iOS and Kotlin.
  ...['apollographql-client-name', 'apollographql-client-version', 'apollo-require-preflight'],
  ...[
    'x-apollo-operation-name',
    'x-apollo-operation-id',
    'x-apollo-operation-type',
    'x-apollo-can-be-identified-by-client-id',
  ],
]
const ALLOWED_METHODS = ['GET', 'HEAD', 'POST']
const EXPOSED_HEADERS = 'RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id'
// Bounds the log lines that a client can cause with invented origins.
const ORIGINS_PER_HOUR = 20
const MAX_LOGGED_CHARACTERS = 200

/**
 * Responds to preflights of listed origins, and lets pages of these origins read all other
 * responses.
 */
export function cors(deps: Deps): MiddlewareHandler<HttpEnv> {
  const { allowedOrigins } = deps.config
  const warnOfOrigin = createOriginWarning(deps)
  const warnOfPreflight = createPreflightWarning(deps)
  return async (c, next) => {
    const origin = c.req.header('origin')
    if (origin === undefined) return next()
    if (!allowedOrigins.includes(origin)) {
      warnOfOrigin(c, origin)
      return next()
    }
    if (c.req.method === 'OPTIONS') {
      warnOfPreflight(c, origin)
      return preflightResponse(c, origin)
    }
    await next()
    // After the route: a Response that a route returns, such as Yoga's, replaces headers that were
    // set before.
    for (const [name, value] of Object.entries(allowReading(origin))) c.header(name, value)
  }
}

/** The headers with which a page of a listed origin can read a response. */
export function allowReading(origin: string): Record<string, string> {
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': EXPOSED_HEADERS,
  }
}

function preflightResponse(c: Context<HttpEnv>, origin: string): Response {
  c.header('access-control-allow-origin', origin)
  c.header('access-control-allow-credentials', 'true')
  c.header('access-control-allow-methods', 'POST')
  c.header('access-control-allow-headers', ALLOWED_HEADERS.join(', '))
  c.header('access-control-max-age', '600')
  return c.body(null, 204)
}

// Warns of an origin that is neither our own nor listed.
function createOriginWarning({ config, log }: Deps) {
  const warn = createRareLine(
    log,
    'A page of an origin that is not in ALLOWED_ORIGINS sent a request: its browser blocks the response',
    { keys: ORIGINS_PER_HOUR },
  )
  return (c: Context<HttpEnv>, origin: string): void => {
    // A form on our own pages has the origin "null", since they send no referrer.
    if (origin === config.publicUrl || c.req.header('sec-fetch-site') === 'same-origin') return
    warn(origin, { origin: truncate(origin), method: c.req.method, path: c.req.path })
  }
}

// Warns of a preflight that requests a header or method outside of the lists above.
function createPreflightWarning({ log }: Deps) {
  const warn = createRareLine(
    log,
    'A page of a listed origin requested a header or a method that is not allowed: its browser blocks the request',
    { keys: ORIGINS_PER_HOUR },
  )
  return (c: Context<HttpEnv>, origin: string): void => {
    const method = c.req.header('access-control-request-method')
    const headers = splitList(c.req.header('access-control-request-headers')).filter(
      (name) => !ALLOWED_HEADERS.includes(name),
    )
    if (headers.length === 0 && (method === undefined || ALLOWED_METHODS.includes(method))) return
    const refused = {
      ...(method !== undefined && { method: truncate(method) }),
      headers: truncate(headers.join(', ')),
    }
    warn(`${origin} ${JSON.stringify(refused)}`, { origin, ...refused, path: c.req.path })
  }
}

function splitList(text: string | undefined): string[] {
  return (text ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

function truncate(text: string): string {
  return text.length > MAX_LOGGED_CHARACTERS ? `${text.slice(0, MAX_LOGGED_CHARACTERS)}…` : text
}
