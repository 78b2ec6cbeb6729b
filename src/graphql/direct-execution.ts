// Executes the parameters of a request without a Request, a Response and their streams: through the
// same plugins of Yoga in the same order, and with Yoga's own conversion of a result to JSON.
import type { ExecutionResult } from 'graphql'
import {
  type FetchAPI,
  type GraphQLParams,
  isAsyncIterable,
  type Plugin,
  processRegularResult,
  type YogaServer,
} from 'graphql-yoga'
import type { GraphqlRequest, PlainResponse } from '../http/request-context.ts'
import type { GraphqlContext } from './context.ts'
import { isPromise } from './execution.ts'
import type { PreparedEngine } from './prepared-engine.ts'

/** Both return null, with nothing executed and nothing consumed, where the response is not JSON. */
export type DirectExecution = {
  /**
   * Executes the parameters of a request. Returns null also for all but a query or mutation, and for
   * parameters that a plugin refuses.
   */
  execute(params: unknown, accept: string | undefined, about: GraphqlRequest): Promise<PlainResponse | null>
  /** Returns the response with a result. */
  describe(result: ExecutionResult, accept: string | undefined, about: GraphqlRequest): PlainResponse | null
}

/** The server itself. What `createYoga` returns hides the plugins. */
type Yoga = YogaServer<GraphqlRequest, GraphqlContext>
type ProcessResult = NonNullable<Plugin['onResultProcess']>
type ResultProcess = Parameters<ProcessResult>[0]
type ServerContext = ResultProcess['serverContext']

// Clients send few different Accept headers. Invented ones push each other out; long ones take the
// way through Yoga.
const MAX_ACCEPTS = 100
const MAX_ACCEPT_CHARACTERS = 200

/** Creates the direct execution of a Yoga server. */
export function createDirectExecution(
  yoga: Yoga,
  ownPlugins: readonly Plugin[],
  executePrepared: PreparedEngine,
): DirectExecution {
  const { getResultForParams } = yoga
  // Typed as plugins of Envelop alone.
  const chooseMediaType = createResultProcess(yoga.getEnveloped._plugins as unknown as Plugin[])
  const processResult = createResultProcess(ownPlugins)
  // For each Accept header a request that stands for all that have it, with the media type of the
  // response; null where that is not JSON. Plugins read nothing else of a request.
  const negotiated = new Map<string, Negotiated | null>()
  const negotiate = (accept: string, about: ServerContext): Negotiated | null => {
    const known = negotiated.get(accept)
    if (known !== undefined) return known
    if (accept.length > MAX_ACCEPT_CHARACTERS) return null
    const request = new Request('http://localhost/graphql', { method: 'POST', headers: { accept } })
    const { resultProcessor, acceptedMediaType } = chooseMediaType(request, {}, about)
    const found = resultProcessor === processRegularResult ? { request, mediaType: acceptedMediaType } : null
    negotiated.set(accept, found)
    const [oldest] = negotiated.keys()
    if (negotiated.size > MAX_ACCEPTS && oldest !== undefined) negotiated.delete(oldest)
    return found
  }
  const fetchApi = { ...yoga.fetchAPI, Response: CapturedResponse as unknown as FetchAPI['Response'] }
  // Yoga compares media types literally, although they are case-insensitive (RFC 9110 section 8.3.1).
  const choose = (accept: string | undefined, context: ServerContext) =>
    negotiate(accept?.toLowerCase() ?? '*/*', context)
  const respond = ({ request, mediaType }: Negotiated, executed: ResultProcess['result'], context: ServerContext) => {
    const { result } = processResult(request, executed, context)
    const { status, headers, body } = processRegularResult(result, fetchApi, mediaType) as unknown as CapturedResponse
    return { status, headers, body }
  }
  return {
    execute: async (params, accept, about) => {
      const context = { ...about, waitUntil: () => {} }
      const chosen = choose(accept, context)
      if (chosen === null || !isQueryOrMutation(params)) return null
      const { request } = chosen
      let executed: Awaited<ReturnType<Yoga['getResultForParams']>>
      try {
        const prepared = executePrepared(params, request, about)
        executed =
          (isPromise(prepared) ? await prepared : prepared) ?? (await getResultForParams({ params, request }, context))
      } catch {
        // A plugin has refused the parameters, before the execution.
        return null
      }
      if (executed === undefined || isAsyncIterable(executed)) throw new Error('Bug: a query responds with one result')
      return respond(chosen, executed, context)
    },
    describe: (result, accept, about) => {
      const context = { ...about, waitUntil: () => {} }
      const chosen = choose(accept, context)
      return chosen === null ? null : respond(chosen, result, context)
    },
  }
}

type Negotiated = { request: Request; mediaType: string }

// Runs the plugins that look at a result, among them the one of Yoga that chooses its media type.
function createResultProcess(plugins: readonly Plugin[]) {
  const hooks = plugins.flatMap(({ onResultProcess }) => onResultProcess ?? [])
  return (request: Request, result: ResultProcess['result'], serverContext: ServerContext) => {
    const process = { result, resultProcessor: undefined as ResultProcess['resultProcessor'], acceptedMediaType: '' }
    for (const hook of hooks)
      void hook({
        ...process,
        request,
        acceptableMediaTypes: [],
        setResult: (replaced) => {
          process.result = replaced
        },
        setResultProcessor: (processor, mediaType) => {
          process.resultProcessor = processor
          process.acceptedMediaType = mediaType
        },
        serverContext,
      })
    return process
  }
}

// Parameters that Yoga parses from a body, with a document that holds no subscription: a keyword
// cannot be written in another way.
function isQueryOrMutation(params: unknown): params is GraphQLParams {
  const isObject = typeof params === 'object' && params !== null && !Array.isArray(params)
  return isObject && 'query' in params && typeof params.query === 'string' && !/\bsubscription\b/.test(params.query)
}

// Takes the place of Response, whose headers and streams cost more than the execution.
class CapturedResponse implements PlainResponse {
  body: string
  status: number
  headers: Record<string, string>
  constructor(body: string, { status, headers }: { status: number; headers: Record<string, string> }) {
    this.body = body
    this.status = status
    this.headers = {}
    for (const name in headers) this.headers[name.toLowerCase()] = headers[name] ?? ''
  }
}
