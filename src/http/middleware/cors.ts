// What a browser is told about pages of other origins (Fetch Standard, section 3.3), and what the
// log is told of those that are refused.
import type { Context } from 'hono'
import type { Deps } from '../../deps.ts'
import { createRareWarning } from '../../telemetry/rare-warning.ts'
import type { HttpEnv } from './csrf-protection.ts'

/**
 * Request headers that pages of listed origins may send: the API's own, and those that tracing and
 * GraphQL clients add by themselves.
 */
const ALLOWED_HEADERS = [
  ...['content-type', 'authorization', 'x-request-id', 'x-requested-with'],
  // W3C Trace Context and Baggage, Sentry, Zipkin, Datadog, AWS X-Ray.
  ...['traceparent', 'tracestate', 'baggage', 'sentry-trace', 'b3', 'x-b3-traceid', 'x-b3-spanid'],
  ...['x-b3-parentspanid', 'x-b3-sampled', 'x-b3-flags', 'x-datadog-trace-id', 'x-datadog-parent-id'],
  ...['x-datadog-origin', 'x-datadog-sampling-priority', 'x-datadog-tags', 'x-amzn-trace-id'],
  // Apollo's clients, for the web, for iOS and for Kotlin.
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
// Limits the log lines of a client that sends invented origins.
const ORIGINS_PER_HOUR = 20
const MAX_LOGGED_CHARACTERS = 200

/** Makes the reader of the Origin header. */
export function createCors(deps: Deps) {
  const { publicUrl, allowedOrigins } = deps.config
  const warnOfOrigin = createRareWarning(
    deps.log,
    'A page of an origin that is not in ALLOWED_ORIGINS called: its browser lets it read nothing',
    { keys: ORIGINS_PER_HOUR },
  )
  const warnOfPreflight = createRareWarning(
    deps.log,
    'A page of a listed origin asked for a header or a method that is not allowed: its browser will not send the request',
    { keys: ORIGINS_PER_HOUR },
  )
  const isListed = (origin: string | undefined): origin is string =>
    origin !== undefined && allowedOrigins.includes(origin)
  return {
    isListed,
    /** Writes the headers with which a listed origin may read the response. */
    allow: (c: Context<HttpEnv>, origin: string | undefined) => {
      if (!isListed(origin)) return
      c.header('access-control-allow-origin', origin)
      c.header('access-control-allow-credentials', 'true')
      c.header('access-control-expose-headers', EXPOSED_HEADERS)
    },
    /** The answer to a listed origin's preflight; null for another request. */
    answerPreflight: (c: Context<HttpEnv>, origin: string | undefined): Response | null => {
      if (c.req.method !== 'OPTIONS' || !isListed(origin)) return null
      const method = c.req.header('access-control-request-method')
      const headers = readList(c.req.header('access-control-request-headers')).filter(
        (name) => !ALLOWED_HEADERS.includes(name),
      )
      const isRefused = headers.length > 0 || (method !== undefined && !ALLOWED_METHODS.includes(method))
      if (isRefused) {
        const refused = { ...(method !== undefined && { method: cut(method) }), headers: cut(headers.join(', ')) }
        warnOfPreflight(`${origin} ${JSON.stringify(refused)}`, { origin, ...refused, path: c.req.path })
      }
      c.header('access-control-allow-origin', origin)
      c.header('access-control-allow-credentials', 'true')
      c.header('access-control-allow-methods', 'POST')
      c.header('access-control-allow-headers', ALLOWED_HEADERS.join(', '))
      c.header('access-control-max-age', '600')
      return c.body(null, 204)
    },
    /** Tells the log of an origin that is neither our own nor listed. */
    noticeStranger: (c: Context<HttpEnv>, origin: string | undefined) => {
      const site = c.req.header('sec-fetch-site')
      // A form on a page of ours says "null", since our pages send no referrer.
      if (origin === undefined || origin === publicUrl || site === 'same-origin' || isListed(origin)) return
      warnOfOrigin(origin, { origin: cut(origin), method: c.req.method, path: c.req.path })
    },
  }
}

function readList(text: string | undefined): string[] {
  return (text ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}

function cut(text: string): string {
  return text.length > MAX_LOGGED_CHARACTERS ? `${text.slice(0, MAX_LOGGED_CHARACTERS)}…` : text
}
