// The common request, a POST of a JSON query or mutation to /graphql, from Node's request to Node's
// response. It passes the same checks and gets the same headers and log line as through the router,
// by the same functions. Whatever is not this common case, or is refused, goes to the router: it is
// handed over before anything is consumed or executed.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { listCrossSiteOrigins } from '../config/same-site.ts'
import { runForAddress } from '../db/caller.ts'
import type { Deps } from '../deps.ts'
import { addressBlock, createAddressReader, createProxyWatch } from '../http/client-address.ts'
import { describeFailure } from '../http/error-handler.ts'
import { findCaller, findKeptCaller, renewCookie } from '../http/middleware/authenticate.ts'
import { allowReading } from '../http/middleware/cors.ts'
import { createCsrfCheck } from '../http/middleware/csrf-protection.ts'
import { createViewerLimiter, describeRateLimit } from '../http/middleware/rate-limit.ts'
import { chooseRequestId } from '../http/middleware/request-id.ts'
import { type LoggedRequest, logRequest } from '../http/middleware/request-logger.ts'
import { describeSecurityHeaders, NOT_STORED } from '../http/middleware/security-headers.ts'
import { readPlainResponse } from '../http/plain-response.ts'
import { parseMediaType } from '../http/request-body.ts'
import type { GraphqlServer, HandedOver, HeaderReader, PlainResponse } from '../http/request-context.ts'
import type { RateLimiter } from '../rate-limit/limiter.ts'

/** Handles a request if it is the common case. Resolves to false for one that the router handles. */
export type DirectRoute = (
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  isLast: () => boolean,
) => Promise<boolean>

// Other hosts are parsed, and perhaps refused, by @hono/node-server.
const PLAIN_HOST = /^[a-z0-9._-]+(?::(?:[1-5]\d{3,4}|[6-9]\d{3}))?$/
const METHOD = 'POST'
const PATH = '/graphql'

/** Creates the direct route. */
export function createDirectGraphqlRoute(deps: Deps, server: GraphqlServer): DirectRoute {
  const { config } = deps
  const findCsrfProblem = createCsrfCheck(deps)
  const readAddress = createAddressReader(config.trustedProxies)
  const watchProxies = createProxyWatch(deps.log, config.trustedProxies)
  const crossSiteOrigins = listCrossSiteOrigins(config)
  const fixed = { ...describeSecurityHeaders(config), ...NOT_STORED }
  const fixedHeaders = Object.entries(fixed).flat()
  const ownNames = new Set([...Object.keys(fixed), 'x-request-id', 'content-length'])
  const isCommon = (incoming: IncomingMessage, header: HeaderReader) => {
    const origin = header('origin')
    return (
      incoming.method === METHOD &&
      incoming.url === PATH &&
      hasPlainHeaders(incoming) &&
      parseMediaType(header('content-type')) === 'application/json' &&
      findCsrfProblem(METHOD, header) === null &&
      (origin === undefined || origin === config.publicUrl || config.allowedOrigins.includes(origin))
    )
  }

  const respond = async (request: DirectRequest): Promise<PlainResponse | null> => {
    const { incoming, header, requestId, address } = request
    const createLimiter = () => {
      request.rateLimiter = createViewerLimiter(deps, null, address)
      return request.rateLimiter
    }
    const caller = findKeptCaller(deps, header) ?? (await findCaller(deps, header, createLimiter))
    const { viewer, renewed } = caller
    request.viewer = viewer
    request.renewed = renewed
    const handedOver: HandedOver = Object.assign(incoming, { caller })
    if (viewer === null && header('authorization') !== undefined) return null
    if (viewer === null && crossSiteOrigins.includes(header('origin') ?? '')) return null
    if (Number(header('content-length')) > server.maxBodyBytes(viewer)) return null
    const operationLog = { operation: null, fields: [], errorCodes: [] }
    const rateLimiter = createViewerLimiter(deps, viewer, address)
    const cookies: string[] = []
    const setCookie = (cookie: string) => void cookies.push(cookie)
    const about = { viewer, requestId, rateLimiter, operationLog, setCookie }
    request.operationLog = operationLog
    request.rateLimiter = rateLimiter
    if (rateLimiter.isSpent()) return server.refuseDirectly(header('accept'), about)
    const body = await readBody(incoming)
    if (body === null) return null
    const response = await server.respondDirectly(parseJson(body), header('accept'), about)
    if (response === null) handedOver.rawBody = body
    request.cookies = cookies
    return response
  }
  const send = (
    request: DirectRequest,
    outgoing: ServerResponse,
    { status, headers, body }: PlainResponse,
    isLast: boolean,
  ) => {
    const { header, requestId, rateLimiter, renewed } = request
    const origin = header('origin')
    const limit = rateLimiter?.lastResult() ?? null
    const cookies = [...request.cookies, ...renewCookie(request.cookies, renewed)]
    const others: Record<string, string> = {
      ...headers,
      ...(limit !== null && describeRateLimit(limit)),
      ...(origin !== undefined && config.allowedOrigins.includes(origin) && allowReading(origin)),
      ...(isLast && { connection: 'close' }),
    }
    // A flat list costs Node less than an object, and may not have a name twice but Set-Cookie.
    const list = [...fixedHeaders, 'x-request-id', requestId, 'content-length', String(Buffer.byteLength(body))]
    for (const name in others) if (!ownNames.has(name)) list.push(name, others[name] ?? '')
    for (const cookie of cookies) list.push('set-cookie', cookie)
    outgoing.writeHead(status, list)
    outgoing.end(body)
  }

  return async (incoming, outgoing, isLast) => {
    const header: HeaderReader = (name) => readHeader(incoming, name)
    if (!isCommon(incoming, header)) return false
    const peer = incoming.socket.remoteAddress
    const request: DirectRequest = {
      incoming,
      header,
      startedAt: performance.now(),
      requestId: chooseRequestId(header('x-request-id')),
      address: readAddress(peer, header('x-forwarded-for')),
      viewer: null,
      renewed: null,
      rateLimiter: null,
      operationLog: null,
      cookies: [],
    }
    const response = await runForAddress(addressBlock(request.address), () => respond(request)).catch((error) =>
      readPlainResponse(describeFailure(deps, error, request.requestId)),
    )
    if (response === null) return false
    watchProxies(peer, header)
    const status = request.rateLimiter?.lastResult()?.retryInSeconds == null ? response.status : 429
    send(request, outgoing, { ...response, status }, isLast())
    logRequest(deps, { ...request, method: METHOD, path: PATH, status })
    return true
  }
}

// What is known of a request so far.
type DirectRequest = Omit<LoggedRequest, 'method' | 'path' | 'status'> & {
  incoming: IncomingMessage
  header: HeaderReader
  rateLimiter: RateLimiter | null
  /** The Set-Cookie headers of the operation. */
  cookies: readonly string[]
  /** The Set-Cookie header that renews the session. */
  renewed: string | null
}

// A header that is sent twice has one value for Node and another for the router. Without
// Content-Length the size of the body is not known before it is read.
function hasPlainHeaders({ headers, rawHeaders }: IncomingMessage): boolean {
  return (
    PLAIN_HOST.test(headers.host ?? '') &&
    Object.keys(headers).length * 2 === rawHeaders.length &&
    headers['content-length'] !== undefined &&
    headers['transfer-encoding'] === undefined &&
    headers['content-encoding'] === undefined
  )
}

function readHeader({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}

// Null when the client disconnects before the end of the body, which it may have done before this
// is called: such a request emits nothing more.
function readBody(incoming: IncomingMessage): Promise<Buffer | null> {
  if (incoming.destroyed) return Promise.resolve(null)
  const { promise, resolve } = Promise.withResolvers<Buffer | null>()
  const chunks: Buffer[] = []
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
  incoming.on('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
  incoming.on('error', () => resolve(null))
  incoming.on('close', () => resolve(null))
  return promise
}

// Undefined for a body that is not JSON.
function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return undefined
  }
}
