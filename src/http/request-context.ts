import type { Viewer } from '../auth/viewer.ts'
import type { RateLimiter } from '../rate-limit/limiter.ts'
import type { OperationLogFields } from '../telemetry/log.ts'

/** The variables that the middleware attaches to a request, in Hono's form. */
export type HttpEnv = {
  Bindings: { incoming?: { socket: { remoteAddress?: string } } & HandedOver }
  Variables: {
    requestId: string
    /** The client's address; null without a socket, as in a test. */
    address: string | null
    viewer: Viewer | null
    /**
     * The rate limiter that the request consumes from; null until a route or middleware consults
     * one.
     */
    rateLimiter: RateLimiter | null
    /** The log fields of a GraphQL operation; null for other requests. */
    operationLog: OperationLogFields | null
  }
}

/** Who sends a request. */
export type Caller = {
  /** Null for an unauthenticated request, and for credentials that are not valid. */
  viewer: Viewer | null
  /** The Set-Cookie header that renews the session's cookie; null when there is nothing to renew. */
  renewed: string | null
  /**
   * The rate limiter of the address, where it has paid for the look-up of an invalid secret; null
   * when nothing was paid.
   */
  rateLimiter: RateLimiter | null
}

/**
 * What the direct route has found out about a request that it hands over to the router, as properties
 * of Node's request. A caller is looked up once: a session is renewed by the first look-up alone.
 */
export type HandedOver = {
  caller?: Caller
  /** The body. @hono/node-server reads this property. */
  rawBody?: Buffer
}

/** Returns the value of a header by its name in lower case; undefined when it was not sent. */
export type HeaderReader = (name: string) => string | undefined

/** The context that the HTTP layer passes to the GraphQL server beside the request itself. */
export type GraphqlRequest = {
  viewer: Viewer | null
  requestId: string
  rateLimiter: RateLimiter
  /** Filled in by the GraphQL server. */
  operationLog: OperationLogFields
  /** Adds a Set-Cookie header to the response. */
  setCookie(header: string): void
}

/** A response whose body is a text, with the names of headers in lower case. */
export type PlainResponse = { status: number; headers: Record<string, string>; body: string }

/** The GraphQL server, as routes use it. */
export type GraphqlServer = {
  /** Responds to a POST with a JSON body. */
  respond(request: Request, about: GraphqlRequest): Promise<Response>
  /**
   * Responds to the parsed body of such a POST as `respond` does, at a fraction of its cost. Returns
   * null, with nothing executed, for whatever is not a query or mutation that responds with JSON.
   */
  respondDirectly(params: unknown, accept: string | undefined, about: GraphqlRequest): Promise<PlainResponse | null>
  /**
   * Responds to a request whose rate limit is used up, without its body. Returns null where the
   * response is not JSON.
   */
  refuseDirectly(accept: string | undefined, about: GraphqlRequest): Promise<PlainResponse | null>
  /** The most bytes that a body may have. */
  maxBodyBytes(viewer: Viewer | null): number
}
