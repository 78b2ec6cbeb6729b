// Every call that leaves the process passes here: this dispatcher is set as the global one, so that calls made inside Arctic are
// held to the same rules. One deadline for the whole call, a bounded answer, no redirects, no compression, no socket used twice.
// webhook-egress.ts puts the same rules around calls to addresses that users choose.
import { AsyncLocalStorage } from 'node:async_hooks'
import { DecoratorHandler, type Dispatcher, EnvHttpProxyAgent, Pool, setGlobalDispatcher } from 'undici'
import { z } from 'zod'

/** What is known of a call, however it ended. */
export type CallReport = {
  /** True once the request may have reached the provider: a failure before this is certain to have changed nothing there. */
  sent: boolean
  /** The answer's status; null when none came. */
  status: number | null
  /** The answer's headers by lower-case name. */
  headers: Readonly<Record<string, string | string[] | undefined>>
}

/** A call's end: its value, or the error, and in either case the report. */
export type CallResult<T> =
  | { ok: true; value: T; report: CallReport }
  | { ok: false; error: unknown; report: CallReport }

/** The dispatcher cut a call off. */
export class OutboundError extends Error {
  readonly reason: 'DEADLINE' | 'TOO_LARGE' | 'REDIRECT' | 'ENCODED'

  constructor(reason: OutboundError['reason'], detail: string) {
    super(detail)
    this.name = 'OutboundError'
    this.reason = reason
  }
}

/** How long a connection may take to come about. */
export const CONNECT_TIMEOUT_MILLISECONDS = 5_000
// Tokens and profiles are a few kilobytes.
const MAX_ANSWER_BYTES = 64 * 1024
// A post comes back with its text, which may be 12,500 emoji of 35 bytes, or of 90 where X escapes them; a page of a timeline has several.
const MAX_POSTS_BYTES = 4 * 1024 * 1024
const POSTS_PATH = /\/2\/(?:tweets|users\/\d+\/tweets)(?:[/?]|$)/
// After the process was stopped for a while Node runs due timers before it reads sockets, so that a deadline would discard an
// answer that already lies in the kernel's buffer. A timer this late is taken for such a stall, and waits once more.
const STALL_MILLISECONDS = 100
const STALL_GRACE_MILLISECONDS = 500

const LOOPBACK_NAMES = 'localhost,127.0.0.1,[::1]'

const reports = new AsyncLocalStorage<CallReport>()

/** A breaker did not let the call pass: it was certainly not sent. */
export class CircuitOpenError extends Error {
  /** When another try may be let through. */
  readonly retryInSeconds: number

  constructor(retryInSeconds: number) {
    super('X leaves calls in doubt just now; this one was not sent.')
    this.name = 'CircuitOpenError'
    this.retryInSeconds = retryInSeconds
  }
}

/**
 * Makes a call, or holds it back while calls of its class are left in doubt: then the error is a CircuitOpenError, and the report says that
 * nothing was sent.
 */
export type CircuitBreaker = <T>(call: () => Promise<CallResult<T>>) => Promise<CallResult<T>>

/** No breaker: for calls that leave nothing in doubt that somebody pays for. */
export const noCircuitBreaker: CircuitBreaker = (call) => call()

/**
 * Runs `call`, which makes one HTTP request by the global `fetch`, and tells beside its outcome what is known of the request.
 * Never throws for what `call` throws.
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

/** The answer's JSON. The parser's own error would quote the beginning of what it could not read, which may be a token. */
export async function readJson(response: Response): Promise<unknown> {
  return parseJson(await response.text(), response.status)
}

/** The JSON of an answer's text. @throws Error that quotes nothing of it. */
export function parseJson(text: string, status: number): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`The answer with status ${status} is no JSON.`)
  }
}

/** A text of an answer that is to be stored: PostgreSQL's text holds every character but NUL. */
export const storableText = z.string().refine((text) => !text.includes('\0'))

/** The proxy through which https leaves this network. */
export type OutboundProxy = Readonly<{
  /** An http or https URL, which may hold the proxy's user name and password. */
  url: string
  /** Host names that are called directly, with all below them, separated by commas; "*" for all. */
  except: string
}>

/**
 * Sets the dispatcher for the whole process. Call it once, before anything is fetched.
 * @param deadlineSeconds how long one call may take from start to the last byte of the answer.
 * @param proxy for https to other machines; what goes to this one never leaves it.
 * @param onDate is told the Date header of every answer.
 */
export function installOutbound(
  deadlineSeconds: number,
  proxy: OutboundProxy | null = null,
  onDate: (date: string | string[] | undefined) => void = () => {},
): { close(): Promise<void> } {
  const timeout = CONNECT_TIMEOUT_MILLISECONDS
  const agent = new EnvHttpProxyAgent({
    // Empty, and not undefined: undici would read the environment.
    httpProxy: '',
    httpsProxy: proxy?.url ?? '',
    noProxy: proxy === null || proxy.except === '*' ? '*' : [LOOPBACK_NAMES, proxy.except].join(),
    connect: { timeout },
    // To the proxy, its answer to CONNECT, and TLS with the provider through it: all before the request is sent.
    proxyTls: { timeout },
    requestTls: { timeout },
    clientFactory: (origin, options) => new Pool(origin, { ...options, headersTimeout: timeout, pipelining: 0 }),
    // Ours is the one deadline. undici's own would count a stall of this process as the provider's silence.
    headersTimeout: 0,
    bodyTimeout: 0,
    // A fresh connection for each call: on a kept one, a provider closing it at that moment makes a POST's fate uncertain.
    pipelining: 0,
  })
  setGlobalDispatcher(agent.compose(guard({ deadlineSeconds, maxAnswerBytes, onDate })))
  return { close: () => agent.close() }
}

function maxAnswerBytes(path: string): number {
  return POSTS_PATH.test(path) ? MAX_POSTS_BYTES : MAX_ANSWER_BYTES
}

/** The rules for one call, as undici composes them into a dispatcher: a deadline, a bounded answer, no redirects, no compression. */
export function guard({
  deadlineSeconds,
  maxAnswerBytes,
  onDate,
}: {
  deadlineSeconds: number
  /** For a path with its query. */
  maxAnswerBytes(path: string): number
  onDate: (date: string | string[] | undefined) => void
}): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => {
    const report = reports.getStore()
    const maxBytes = maxAnswerBytes(options.path)
    // Node's fetch speaks the older handler interface; the decorator translates.
    const inner: Dispatcher.DispatchHandler = new DecoratorHandler(handler)
    let timer: NodeJS.Timeout | undefined
    let received = 0
    let cutOff = false

    const cut = (controller: Dispatcher.DispatchController, error: OutboundError) => {
      cutOff = true
      clearTimeout(timer)
      controller.abort(error)
    }
    const arm = (controller: Dispatcher.DispatchController, milliseconds: number) => {
      const dueAt = performance.now() + milliseconds
      timer = setTimeout(() => {
        if (performance.now() - dueAt > STALL_MILLISECONDS) arm(controller, STALL_GRACE_MILLISECONDS)
        else cut(controller, new OutboundError('DEADLINE', `No complete answer within ${deadlineSeconds} s.`))
      }, milliseconds)
    }

    return dispatch(
      { ...options, headers: withoutCompression(options.headers) },
      {
        onRequestStart(controller, context) {
          if (report) report.sent = true
          arm(controller, deadlineSeconds * 1000)
          inner.onRequestStart?.(controller, context)
        },
        onResponseStart(controller, status, headers, statusMessage) {
          if (report) Object.assign(report, { status, headers })
          onDate(headers.date)
          if (status >= 300 && status < 400) {
            cut(
              controller,
              new OutboundError('REDIRECT', `Answered with a redirect (${status}), which is never followed.`),
            )
          } else if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
            cut(controller, new OutboundError('ENCODED', 'Answered with a compressed body, which was not asked for.'))
          } else {
            inner.onResponseStart?.(controller, status, headers, statusMessage)
          }
        },
        onResponseData(controller, chunk) {
          if (cutOff) return
          received += chunk.length
          if (received > maxBytes)
            cut(controller, new OutboundError('TOO_LARGE', `Answered with more than ${maxBytes} bytes.`))
          else inner.onResponseData?.(controller, chunk)
        },
        onResponseEnd(controller, trailers) {
          clearTimeout(timer)
          if (!cutOff) inner.onResponseEnd?.(controller, trailers)
        },
        onResponseError(controller, error) {
          clearTimeout(timer)
          inner.onResponseError?.(controller, error)
        },
      },
    )
  }
}

// A compressed answer could unpack to any size behind the byte limit. fetch hands its headers over as a plain object.
function withoutCompression(headers: Dispatcher.DispatchOptions['headers']): Dispatcher.DispatchOptions['headers'] {
  if (headers && !Array.isArray(headers) && !(Symbol.iterator in headers))
    return { ...headers, 'accept-encoding': 'identity' }
  return headers
}
