// All outgoing calls to providers. The undici dispatcher is installed globally, so that its rules
// also apply to calls inside Arctic: one deadline for the whole call, a size limit on the response,
// no redirects, no compression, no reused connections. webhook-egress.ts applies the same rules to
// webhooks.
import { AsyncLocalStorage } from 'node:async_hooks'
import { DecoratorHandler, type Dispatcher, EnvHttpProxyAgent, Pool, setGlobalDispatcher } from 'undici'
import { z } from 'zod'
import { openProviderStream, type ProviderStream, type StreamOptions } from './provider-stream.ts'

/** The facts about a call, whether it succeeded or failed. */
export type CallReport = {
  /**
   * True once the request may have reached the provider. While false, a failure has certainly
   * changed nothing there.
   */
  sent: boolean
  /** The status of the response; null without a response. */
  status: number | null
  /** The headers of the response, by lower-case name. */
  headers: Readonly<Record<string, string | string[] | undefined>>
}

/** The result of a call: its value or its error, each with the report. */
export type CallResult<T> =
  | { ok: true; value: T; report: CallReport }
  | { ok: false; error: unknown; report: CallReport }

/** The dispatcher aborted a call because it broke a rule. */
export class OutboundError extends Error {
  readonly reason: 'DEADLINE' | 'TOO_LARGE' | 'REDIRECT' | 'ENCODED'

  constructor(reason: OutboundError['reason'], detail: string) {
    super(detail)
    this.name = 'OutboundError'
    this.reason = reason
  }
}

/** The time limit for establishing a connection. */
export const CONNECT_TIMEOUT_MILLISECONDS = 5_000
// Tokens and profiles are a few kilobytes.
const MAX_RESPONSE_BYTES = 64 * 1024
// A created post is returned with its text, up to 12,500 emoji of 35 bytes, or of 90 bytes if X
// escapes them. A timeline page has several.
const MAX_POSTS_BYTES = 4 * 1024 * 1024
const POSTS_PATH = /\/2\/(?:tweets|users\/\d+\/tweets)(?:[/?]|$)/
// After a stall of the process, Node runs due timers before it reads sockets: the deadline would
// discard a response that is already in the kernel's buffer. A timer that fires this late indicates
// a stall and is set once more.
const STALL_MILLISECONDS = 100
const STALL_GRACE_MILLISECONDS = 500

const LOOPBACK_NAMES = 'localhost,127.0.0.1,[::1]'

const reports = new AsyncLocalStorage<CallReport>()

/** An open circuit breaker did not send the call. */
export class CircuitOpenError extends Error {
  /** Seconds until the next probe. */
  readonly retryInSeconds: number

  constructor(retryInSeconds: number) {
    super('The circuit breaker is open because X leaves calls in doubt; this call was not sent.')
    this.name = 'CircuitOpenError'
    this.retryInSeconds = retryInSeconds
  }
}

/**
 * Makes a call, or fails it with a CircuitOpenError and `sent: false` while the breaker is open.
 */
export type CircuitBreaker = <T>(call: () => Promise<CallResult<T>>) => Promise<CallResult<T>>

/** Makes every call: for calls without a circuit breaker. */
export const noCircuitBreaker: CircuitBreaker = (call) => call()

/**
 * Runs `call`, which makes one HTTP request with the global `fetch`, and returns its value or error
 * with a report of the request. Does not throw what `call` throws.
 */
export async function callProvider<T>(breaker: CircuitBreaker, call: () => Promise<T>): Promise<CallResult<T>> {
  return breaker(async () => {
    const report: CallReport = { sent: false, status: null, headers: {} }
    try {
      return { ok: true, value: await reports.run(report, call), report }
    } catch (error) {
      return { ok: false, error, report }
    }
  })
}

/** Reads the response and parses its JSON. @throws Error that quotes nothing of the body. */
export async function readJson(response: Response): Promise<unknown> {
  return parseJson(await response.text(), response.status)
}

/**
 * Parses the JSON of a response.
 * @throws Error that quotes nothing of it: the parser's own error may quote a token.
 */
export function parseJson(text: string, status: number): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`The response with status ${status} is not JSON.`)
  }
}

/** A text that can be stored: PostgreSQL's type text accepts every character except NUL. */
export const storableText = z.string().refine((text) => !text.includes('\0'))

/** The proxy for outgoing https calls. */
export type OutboundProxy = Readonly<{
  /** An http or https URL, which may contain the proxy's user name and password. */
  url: string
  /**
   * Host names that are called directly, including their subdomains, separated by commas; "*" for
   * all.
   */
  except: string
}>

/** The installed dispatcher. */
export type Outbound = {
  /** Opens a response that stays open. Its connection is made as those of other calls. */
  openStream(url: string, options: StreamOptions): Promise<ProviderStream>
  close(): Promise<void>
}

/**
 * Installs the dispatcher for the whole process. Call it once, before the first fetch.
 * @param deadlineSeconds the limit for one call, from its start to the last byte of the response.
 * @param proxy for https calls to other machines; loopback addresses are called directly.
 * @param onDate receives the Date header of every response.
 * @param onCall is called when a request that was sent has ended.
 */
export function installOutbound(
  deadlineSeconds: number,
  proxy: OutboundProxy | null = null,
  onDate: (date: string | string[] | undefined) => void = () => {},
  onCall: OnCall | null = null,
): Outbound {
  const timeout = CONNECT_TIMEOUT_MILLISECONDS
  const agent = new EnvHttpProxyAgent({
    // Empty instead of undefined, with which undici would read the environment.
    httpProxy: '',
    httpsProxy: proxy?.url ?? '',
    noProxy: proxy === null || proxy.except === '*' ? '*' : [LOOPBACK_NAMES, proxy.except].join(),
    connect: { timeout },
    // Limits for the connection to the proxy, for its response to CONNECT (`headersTimeout`), and
    // for TLS with the provider: all before the request is sent.
    proxyTls: { timeout },
    requestTls: { timeout },
    clientFactory: (origin, options) => new Pool(origin, { ...options, headersTimeout: timeout, pipelining: 0 }),
    // `deadlineSeconds` is the only deadline: undici's own timeouts would count a stall of this
    // process.
    headersTimeout: 0,
    bodyTimeout: 0,
    // A new connection for each call: a provider that closes a reused one at that moment leaves a
    // POST in doubt.
    pipelining: 0,
  })
  setGlobalDispatcher(agent.compose(outboundRules({ deadlineSeconds, maxResponseBytes, onDate, onCall })))
  return { openStream: (url, options) => openProviderStream(agent, url, options), close: () => agent.close() }
}

function maxResponseBytes(path: string): number {
  return POSTS_PATH.test(path) ? MAX_POSTS_BYTES : MAX_RESPONSE_BYTES
}

/** Receives a request that was sent, when it has ended. @param status null when no response came. */
export type OnCall = (call: { method: string; path: string; status: number | null; seconds: number }) => void

/**
 * The rules for one call, as an undici interceptor: a deadline, a size limit, no redirects, no
 * compression.
 */
export function outboundRules({
  deadlineSeconds,
  maxResponseBytes,
  onDate,
  onCall = null,
}: {
  deadlineSeconds: number
  /** The size limit for a path with its query. */
  maxResponseBytes(path: string): number
  onDate: (date: string | string[] | undefined) => void
  onCall?: OnCall | null
}): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => {
    const report = reports.getStore()
    const maxBytes = maxResponseBytes(options.path)
    // Node's fetch speaks the older handler interface; the decorator translates.
    const inner: Dispatcher.DispatchHandler = new DecoratorHandler(handler)
    let timer: NodeJS.Timeout | undefined
    let received = 0
    let cutOff = false
    let status: number | null = null
    let startedAt: number | null = null
    const { method, path } = options
    const end = () => {
      clearTimeout(timer)
      if (onCall === null || startedAt === null) return
      onCall({ method, path, status, seconds: (performance.now() - startedAt) / 1000 })
      startedAt = null
    }

    const cut = (controller: Dispatcher.DispatchController, error: OutboundError) => {
      cutOff = true
      end()
      controller.abort(error)
    }
    const arm = (controller: Dispatcher.DispatchController, milliseconds: number) => {
      const dueAt = performance.now() + milliseconds
      timer = setTimeout(() => {
        if (performance.now() - dueAt > STALL_MILLISECONDS) arm(controller, STALL_GRACE_MILLISECONDS)
        else cut(controller, new OutboundError('DEADLINE', `No complete response within ${deadlineSeconds} s.`))
      }, milliseconds)
    }

    return dispatch(
      { ...options, headers: withoutCompression(options.headers) },
      {
        onRequestStart(controller, context) {
          if (report) report.sent = true
          startedAt = performance.now()
          arm(controller, deadlineSeconds * 1000)
          inner.onRequestStart?.(controller, context)
        },
        onResponseStart(controller, responseStatus, headers, statusMessage) {
          status = responseStatus
          if (report) Object.assign(report, { status, headers })
          onDate(headers.date)
          if (responseStatus >= 300 && responseStatus < 400) {
            cut(
              controller,
              new OutboundError(
                'REDIRECT',
                `The response is a redirect (${responseStatus}). Redirects are not followed.`,
              ),
            )
          } else if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
            cut(
              controller,
              new OutboundError('ENCODED', 'The response is compressed, although the request asked for identity.'),
            )
          } else {
            inner.onResponseStart?.(controller, responseStatus, headers, statusMessage)
          }
        },
        onResponseData(controller, chunk) {
          if (cutOff) return
          received += chunk.length
          if (received > maxBytes)
            cut(controller, new OutboundError('TOO_LARGE', `The response has more than ${maxBytes} bytes.`))
          else inner.onResponseData?.(controller, chunk)
        },
        onResponseEnd(controller, trailers) {
          end()
          if (!cutOff) inner.onResponseEnd?.(controller, trailers)
        },
        onResponseError(controller, error) {
          end()
          inner.onResponseError?.(controller, error)
        },
      },
    )
  }
}

// A compressed response could decompress to any size, past the byte limit. fetch passes its headers
// as a plain object.
function withoutCompression(headers: Dispatcher.DispatchOptions['headers']): Dispatcher.DispatchOptions['headers'] {
  if (headers && !Array.isArray(headers) && !(Symbol.iterator in headers))
    return { ...headers, 'accept-encoding': 'identity' }
  return headers
}
