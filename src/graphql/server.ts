import { type ExecutionResult, GraphQLError } from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import { isDatabaseOutage } from '../db/outage.ts'
import { isUserGone } from '../db/violations.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, errorCodes, isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { challenge, MISPLACED_TOKEN, TOKEN_PARAMETER } from '../http/bearer.ts'
import {
  errorExtensions,
  errorResponse,
  OUTAGE_HEADERS,
  outageResponse,
  PERSISTED_QUERY_MESSAGE,
} from '../http/error-response.ts'
import type { GraphqlHandler, GraphqlRequest } from '../http/request-context.ts'
import { findRefusal } from './access.ts'
import { createContext, type GraphqlContext } from './context.ts'
import { calculateCost } from './cost.ts'
import { limitDocuments } from './document-limits.ts'
import { recordOperation } from './operation-log.ts'
import { schema } from './schema.ts'
import { refuseOddStream, setStreamHeaders } from './subscriptions.ts'

// Without a viewer nothing can be posted; no other request needs as much.
const MAX_BODY_BYTES = 100_000
// The longest text that maxTweetLength allows, in the longest JSON: 12,500 emoji of 15 UTF-16
// units, each unit written as \uXXXX, are 1,125,000 bytes. The document and the other variables
// need the rest.
const MAX_IDENTIFIED_BODY_BYTES = 1_200_000

// Of what Yoga says of a request that is none, what does not say what to send instead.
const plainSentences = new Map([
  ['POST body sent invalid JSON.', 'The body is not JSON. Send {"query": "…", "variables": {…}}.'],
  ['Must provide query string.', 'The request has no query. Send {"query": "…", "variables": {…}}.'],
  ['Batching is not supported.', 'Send one document in a request, not a list of them.'],
  [
    'Could not determine what operation to execute.',
    'Which operation to run is not clear: operationName names none of the document, or is missing where it has several. Send the name of one.',
  ],
])

/** Answers POST requests with a JSON body, as GraphQL over HTTP describes them. */
export function createGraphqlServer(deps: Deps): GraphqlHandler {
  const [forAnybody, forIdentified] = [MAX_BODY_BYTES, MAX_IDENTIFIED_BODY_BYTES].map((maxBodyBytes) =>
    createYogaWithin(deps, maxBodyBytes),
  )
  if (forAnybody === undefined || forIdentified === undefined) throw new Error('Bug: two limits give two servers')
  // Without the signal of a client that hangs up: Yoga would answer at once, while a mutation goes
  // on that nobody then waits for.
  return async (request, about) => {
    const yoga = about.viewer === null ? forAnybody : forIdentified
    const response = withReason(await yoga.fetch(withPlainMediaTypes(request), about), about)
    if (response.headers.get('content-type') === 'text/event-stream') setStreamHeaders(response.headers)
    if (about.rateLimiter.wasConsulted()) return response
    // What was no document to run is paid for afterwards, so that junk is not free.
    try {
      await about.rateLimiter.consume(1)
      return response
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      return Response.json({ errors: [describe(deps, error, about.requestId)] })
    }
  }
}

function createYogaWithin(deps: Deps, maxBodyBytes: number) {
  return createYoga<GraphqlRequest, GraphqlContext>({
    schema,
    context: (request) => createContext(deps, request),
    plugins: [
      refuseMisplacedToken,
      refusePersistedQuery,
      limitDocuments,
      withCodes,
      recordOperation,
      refuseForbidden,
      refuseOddStream,
      consumeCost,
      describeErrors(deps),
    ],
    // What goes wrong outside of resolvers.
    maskedErrors: {
      maskError: (error) => {
        const described = describe(deps, error, null)
        return isDatabaseOutage(error) ? unavailable(described) : described
      },
    },
    maxRequestBodySize: maxBodyBytes,
    // It would keep 1,024 documents, and as many that do not parse, for an hour: at our largest size hundreds of megabytes, for whoever
    // cares to send them. Parsing so few tokens again is cheaper.
    parserAndValidationCache: false,
    batching: false,
    multipart: false,
    // The HTTP edge sees to these.
    cors: false,
    graphiql: false,
    landingPage: false,
    healthCheckEndpoint: '/graphql/never',
    logging: false,
    // Node's own, by name. Yoga's read on unasked, up to 64 KiB of a stream that nobody takes.
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
}

// Media types have no case (RFC 9110 section 8.3.1); Yoga compares them as they are written. The
// route has checked the content type.
function withPlainMediaTypes(request: Request): Request {
  const headers = new Headers(request.headers)
  headers.set('content-type', 'application/json')
  const accept = headers.get('accept')
  if (accept !== null) headers.set('accept', accept.toLowerCase())
  return new Request(request, { signal: null, headers })
}

// Of these Yoga does not say what to do, or knows nothing of the request.
function withReason(response: Response, { requestId, viewer }: GraphqlRequest): Response {
  // Where nothing ran. Of a document that ran, the errors say which field the outage struck.
  if (response.status === 503 && !response.headers.has('retry-after')) return outageResponse(requestId)
  if (response.status === 413) {
    const most = (viewer === null ? MAX_BODY_BYTES : MAX_IDENTIFIED_BODY_BYTES).toLocaleString('en')
    // The rest of the body is not read, so that nothing else can come on this connection.
    const message = `The body has more than ${most} bytes. Send less in one request.`
    return errorResponse(413, { code: 'PAYLOAD_TOO_LARGE', message }, { connection: 'close' })
  }
  if (response.status !== 406 || response.body !== null) return response
  const message = 'Responses are JSON, or for a subscription a stream of events: send "accept: application/json".'
  return errorResponse(406, { code: 'NOT_ACCEPTABLE', message })
}

// What the client got wrong in the document itself has a code too.
const withCodes: Plugin = {
  onParse:
    () =>
    ({ result, replaceParseResult }) => {
      if (result instanceof GraphQLError) replaceParseResult(coded(result))
    },
  onValidate:
    () =>
    ({ valid, result, setResult }) => {
      if (!valid) setResult(result.map((error: Error) => (error instanceof GraphQLError ? coded(error) : error)))
    },
}

// Before any of it runs.
const consumeCost: Plugin<GraphqlContext> = {
  onExecute: ({ args }) => args.contextValue.rateLimiter.consume(calculateCost(args)),
  onSubscribe: ({ args }) => args.contextValue.rateLimiter.consume(calculateCost(args)),
}

// Before anything is done: a tweet must not be posted for a client that then may not read the answer.
const refuseForbidden: Plugin<GraphqlRequest> = {
  onValidate:
    ({ params, context }) =>
    ({ valid, setResult }) => {
      const refusal = valid ? findRefusal(params.schema, params.documentAST, context.viewer) : null
      if (refusal !== null) setResult([refusal])
    },
}

// As the rest of the gateway answers then.
function unavailable({ message, nodes, path, extensions }: GraphQLError, headers = {}): GraphQLError {
  return new GraphQLError(message, { nodes, path, extensions: { ...extensions, http: { status: 503, headers } } })
}

// A token beside the query is one that a proxy, or whoever logs bodies, may have kept.
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

// Clients that send the hash of a document first go on with its text when they are told so
// (Apollo's automatic persisted queries, version 1). Nothing is kept by its hash: documents are
// short, and only a list that the operator chose would protect anything.
const refusePersistedQuery: Plugin = {
  onParams: ({ params }) => {
    if (params.query || params.extensions?.persistedQuery == null) return
    const extensions = errorExtensions('PERSISTED_QUERY_NOT_SUPPORTED', { http: { status: 200 } })
    throw new GraphQLError(PERSISTED_QUERY_MESSAGE, { extensions })
  },
}

// Here, and not where errors are masked: only here is it known which request it was.
function describeErrors(deps: Deps): Plugin<GraphqlContext> {
  const describeAll = ({ data, errors }: ExecutionResult, { requestId }: GraphqlContext) => {
    // With data the answer is one, and a mutation in it may have taken effect.
    const isEmpty = data == null || Object.values(data).every((value) => value === null)
    return errors?.map((error) => {
      const described = describe(deps, error, requestId)
      return isEmpty && described.extensions.code === ('DATABASE_UNAVAILABLE' satisfies ErrorCode)
        ? unavailable(described, OUTAGE_HEADERS)
        : described
    })
  }
  return {
    onExecute: ({ args }) => ({
      onExecuteDone: ({ result, setResult }) => {
        if (Symbol.asyncIterator in result || result.errors === undefined) return
        setResult({ ...result, errors: describeAll(result, args.contextValue) })
      },
    }),
    onSubscribe: ({ args }) => ({
      onSubscribeResult: ({ result, setResult }) => {
        if (Symbol.asyncIterator in result || result.errors === undefined) return
        setResult({ ...result, errors: describeAll(result, args.contextValue) })
      },
    }),
  }
}

function coded(error: GraphQLError): GraphQLError {
  return isListed(error.extensions.code) ? error : withCode(error)
}

function withCode({ message, nodes, source, positions, path, extensions }: GraphQLError): GraphQLError {
  return new GraphQLError(plainSentences.get(message) ?? message, {
    nodes,
    source,
    positions,
    path,
    extensions: {
      ...errorExtensions('BAD_USER_INPUT'),
      // Of a request that is none GraphQL over HTTP allows 200; a client that sent one is better told.
      http: extensions.code === 'BAD_REQUEST' ? { status: 400 } : extensions.http,
    },
  })
}

// Yoga has names of its own for what is wrong with a request; the list that we publish is closed.
function isListed(code: unknown): boolean {
  return typeof code === 'string' && isErrorCode(code)
}

function describe(deps: Deps, error: unknown, requestId: string | null): GraphQLError {
  const thrown = findOrigin(error)
  const original = isUserGone(thrown) ? new AppError('UNAUTHENTICATED', { cause: thrown }) : thrown
  const place = error instanceof GraphQLError ? { nodes: error.nodes, path: error.path } : {}
  if (original instanceof AppError) {
    const { code, field, retryAt } = original
    return new GraphQLError(original.message, {
      ...place,
      extensions: errorExtensions(code, { ...(field && { field }), ...(retryAt && { retryAt }) }),
    })
  }
  if (error instanceof GraphQLError && original instanceof GraphQLError) return coded(error)
  deps.log.error({ error: original, requestId }, 'A request failed with an internal error')
  const code: ErrorCode = isDatabaseOutage(original) ? 'DATABASE_UNAVAILABLE' : 'INTERNAL'
  return new GraphQLError(errorCodes[code].sentence, {
    ...place,
    extensions: errorExtensions(code, { ...(requestId && { requestId }) }),
  })
}

// What was thrown first: GraphQL.js wraps it to say where, and so may others before it.
function findOrigin(error: unknown): unknown {
  let origin = error
  while (origin instanceof GraphQLError && origin.originalError !== undefined) origin = origin.originalError
  return origin
}
