import { GraphQLError } from 'graphql'
import { createYoga, type Plugin, type YogaServer } from 'graphql-yoga'
import { isDatabaseOutage } from '../db/outage.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { challenge, MISPLACED_TOKEN, TOKEN_PARAMETER } from '../http/bearer.ts'
import { errorExtensions, errorResponse, PERSISTED_QUERY_MESSAGE, unavailableResponse } from '../http/error-response.ts'
import { readPlainResponse } from '../http/plain-response.ts'
import type { GraphqlRequest, GraphqlServer } from '../http/request-context.ts'
import { createContext, type GraphqlContext } from './context.ts'
import { createDirectExecution } from './direct-execution.ts'
import { limitDocuments } from './document-limits.ts'
import { addCodes, describeError, describeErrors, unavailable } from './error-description.ts'
import { recordErrorCodes } from './operation-log.ts'
import { createPreparedDocuments, MAX_PREPARED_BYTES, type PreparedDocuments } from './prepared-documents.ts'
import { createPreparedEngine } from './prepared-engine.ts'
import { executeByPlan, prepareDocuments } from './prepared-execution.ts'
import { boundResponses } from './response-bounds.ts'
import { schema } from './schema.ts'
import { refuseSpent, refuseSpentLimits } from './spent-limits.ts'
import { checkSubscription, setStreamHeaders } from './subscriptions.ts'

// For unauthenticated requests, which cannot post a tweet. No other request needs as much.
const MAX_BODY_BYTES = 100_000
// The longest text that maxTweetLength allows, in the longest JSON: 12,500 emoji of 15 UTF-16
// units, each unit written as \uXXXX, are 1,125,000 bytes. The document and the other variables
// need the rest.
const MAX_IDENTIFIED_BODY_BYTES = 1_200_000

/** Creates the server of POST requests with a JSON body (GraphQL over HTTP). */
export function createGraphqlServer(deps: Deps): GraphqlServer {
  const documents = createPreparedDocuments(schema, MAX_PREPARED_BYTES, deps.config.maxResponseBytes)
  const forAnybody = createYogaWithin(deps, documents, MAX_BODY_BYTES).yoga
  const { yoga: forIdentified, server, plugins } = createYogaWithin(deps, documents, MAX_IDENTIFIED_BODY_BYTES)
  const maskError = createErrorMask(deps)
  const executePrepared = createPreparedEngine({
    schema,
    documents,
    // Typed as plugins of Envelop alone.
    plugins: server.getEnveloped._plugins as unknown as Plugin[],
    maskError,
  })
  const direct = createDirectExecution(server, plugins, executePrepared)
  // A request without an executable document costs 1 as well. Returns the body of a refusal.
  const consumeAtLeastOne = async ({ rateLimiter, requestId }: GraphqlRequest) => {
    if (rateLimiter.wasConsulted()) return null
    try {
      await rateLimiter.consume(1)
      return null
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      return { errors: [describeError(deps, error, requestId)] }
    }
  }
  return {
    // The request's abort signal is removed: when a client disconnects, Yoga would respond at once
    // while a mutation still runs.
    respond: async (request, about) => {
      const yoga = about.viewer === null ? forAnybody : forIdentified
      const response = withReason(await yoga.fetch(withPlainMediaTypes(request), about), about)
      if (response.headers.get('content-type') === 'text/event-stream') setStreamHeaders(response.headers)
      const refusal = await consumeAtLeastOne(about)
      return refusal === null ? response : Response.json(refusal)
    },
    respondDirectly: async (params, accept, about) => {
      const response = await direct.execute(params, accept, about)
      if (response === null) return null
      const refusal = await consumeAtLeastOne(about)
      if (refusal !== null) return readPlainResponse(Response.json(refusal))
      const isOutage = response.status === 503 && response.headers['retry-after'] === undefined
      return isOutage ? readPlainResponse(unavailableResponse('DATABASE_UNAVAILABLE', about.requestId)) : response
    },
    refuseDirectly: async (accept, about) => {
      try {
        await refuseSpent(about.rateLimiter)
        return null
      } catch (error) {
        return direct.describe({ errors: [maskError(error)] }, accept, about)
      }
    },
    maxBodyBytes: (viewer) => (viewer === null ? MAX_BODY_BYTES : MAX_IDENTIFIED_BODY_BYTES),
  }
}

// Handles the errors outside of resolvers.
function createErrorMask(deps: Deps) {
  return (error: unknown): GraphQLError => {
    const described = describeError(deps, error, null)
    return isDatabaseOutage(error) ? unavailable(described) : described
  }
}

function createYogaWithin(deps: Deps, documents: PreparedDocuments, maxBodyBytes: number) {
  let server = null as YogaServer<GraphqlRequest, GraphqlContext> | null
  const plugins = [
    refuseSpentLimits(documents),
    refuseMisplacedToken,
    refusePersistedQuery,
    limitDocuments,
    addCodes,
    prepareDocuments(documents),
    recordErrorCodes,
    checkSubscription,
    executeByPlan(documents),
    describeErrors(deps),
    boundResponses(deps.config.maxResponseBytes),
  ] as Plugin[]
  const findServer: Plugin = {
    onYogaInit: ({ yoga }) => {
      // Typed without the contexts of this server.
      server = yoga as unknown as typeof server
    },
  }
  const yoga = createYoga<GraphqlRequest, GraphqlContext>({
    schema,
    context: (request) => createContext(deps, request),
    plugins: [...plugins, findServer],
    maskedErrors: { maskError: createErrorMask(deps) },
    maxRequestBodySize: maxBodyBytes,
    // It holds 1,024 documents, and as many that do not parse, for an hour: hundreds of megabytes at
    // the largest size, which any client could fill. Prepared documents are bounded in bytes.
    parserAndValidationCache: false,
    batching: false,
    multipart: false,
    // The HTTP layer handles these.
    cors: false,
    graphiql: false,
    landingPage: false,
    healthCheckEndpoint: '/graphql/never',
    logging: false,
    // Node's own classes. Yoga's replacements read up to 64 KiB ahead of a stream's consumer.
    fetchAPI: {
      Request,
      Response,
      Headers,
      ReadableStream,
      TextEncoder,
      TextDecoder,
      URL,
      URLSearchParams,
      URLPattern,
    },
  })
  if (server === null) throw new Error('Bug: Yoga initializes its plugins at once')
  return { yoga, server, plugins }
}

// Media types are case-insensitive (RFC 9110 section 8.3.1), but Yoga compares them literally. The
// route has checked the content type.
function withPlainMediaTypes(request: Request): Request {
  const headers = new Headers(request.headers)
  headers.set('content-type', 'application/json')
  const accept = headers.get('accept')
  if (accept !== null) headers.set('accept', accept.toLowerCase())
  return new Request(request, { signal: null, headers })
}

// Replaces responses of Yoga that do not say what to do, or lack the request's id.
function withReason(response: Response, { requestId, viewer }: GraphqlRequest): Response {
  // Only when nothing was executed. Otherwise the errors name the fields that the outage affected.
  if (response.status === 503 && !response.headers.has('retry-after'))
    return unavailableResponse('DATABASE_UNAVAILABLE', requestId)
  if (response.status === 413) {
    const most = (viewer === null ? MAX_BODY_BYTES : MAX_IDENTIFIED_BODY_BYTES).toLocaleString('en')
    // The rest of the body is not read, so the connection cannot be reused.
    const message = `The body has more than ${most} bytes. Send less in one request.`
    return errorResponse(413, { code: 'PAYLOAD_TOO_LARGE', message }, { connection: 'close' })
  }
  if (response.status !== 406 || response.body !== null) return response
  const message = 'Responses are JSON, or for a subscription a stream of events: send "accept: application/json".'
  return errorResponse(406, { code: 'NOT_ACCEPTABLE', message })
}

// Refuses a token beside the query, because a proxy that logs bodies may have stored it.
const refuseMisplacedToken: Plugin = {
  onParams: ({ params }) => {
    if (!(TOKEN_PARAMETER in params)) return
    throw new GraphQLError(MISPLACED_TOKEN, {
      extensions: {
        ...errorExtensions('UNAUTHENTICATED'),
        http: { status: 401, headers: { 'www-authenticate': challenge(null) } },
      },
    })
  },
}

// Tells clients that send only the hash of a document to send its text (Apollo's automatic
// persisted queries, version 1). Documents are short, so they are not stored.
const refusePersistedQuery: Plugin = {
  onParams: ({ params }) => {
    if (params.query || params.extensions?.persistedQuery == null) return
    const extensions = errorExtensions('PERSISTED_QUERY_NOT_SUPPORTED', { http: { status: 200 } })
    throw new GraphQLError(PERSISTED_QUERY_MESSAGE, { extensions })
  },
}
