// A failed call to a provider, described with codes from closed lists: for the log, and to decide
// who can fix it. It contains nothing of the response body, which may hold secrets.
import { type CallReport, CircuitOpenError, OutboundError } from './provider-calls.ts'

// From RFC 6749 sections 4.1.2.1 and 5.2, from X, and from GitHub (docs.github.com,
// "Troubleshooting OAuth app access token request errors" and "… authorization request errors").
const PROVIDER_CODES = [
  'access_denied',
  'application_suspended',
  'bad_verification_code',
  'incorrect_client_credentials',
  'invalid_client',
  'invalid_grant',
  'invalid_request',
  'invalid_scope',
  'rate_limited',
  'redirect_uri_mismatch',
  'server_error',
  'temporarily_unavailable',
  'unauthorized_client',
  'unsupported_grant_type',
  'unsupported_response_type',
  'unverified_user_email',
] as const

/** A provider's error code; `other` for one that is not on the list. */
export type ProviderCode = (typeof PROVIDER_CODES)[number] | 'other'

/** The reason why a call has no usable response. */
export type SocketReason =
  /** The certificate is not trusted, not valid now, or for another host. */
  | 'CERTIFICATE'
  /** The TLS handshake failed for another reason. */
  | 'TLS'
  | 'DNS'
  | 'REFUSED'
  | 'UNREACHABLE'
  | 'TIME_OUT'
  /** The connection was closed. */
  | 'RESET'
  /** The proxy of HTTPS_PROXY refused to connect to the provider. */
  | 'PROXY_REFUSED'
  /** The gateway aborted the response: a redirect, too large, or compressed. */
  | 'RESPONSE_NOT_ALLOWED'
  /** Not sent: the circuit breaker is open. */
  | 'CIRCUIT_OPEN'

const REASONS: [pattern: RegExp, reason: SocketReason][] = [
  [
    /^(CERT_|ERR_TLS_CERT|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/,
    'CERTIFICATE',
  ],
  [/^(ERR_SSL|ERR_TLS|EPROTO)/, 'TLS'],
  [/^(ENOTFOUND|EAI_)/, 'DNS'],
  [/^ECONNREFUSED$/, 'REFUSED'],
  [/^(EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL)$/, 'UNREACHABLE'],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT)$/, 'TIME_OUT'],
  [/^(ECONNRESET|EPIPE|ECONNABORTED|UND_ERR_SOCKET)$/, 'RESET'],
  [/^UND_ERR_ABORTED$/, 'PROXY_REFUSED'],
]

/** A call to a provider that failed; the cause of the AppError that the user sees. */
export class ProviderFailure extends Error {
  /** Null without a response, and when the browser delivered the provider's error in a redirect. */
  readonly httpStatus: number | null
  readonly providerCode: ProviderCode | null
  readonly socketReason: SocketReason | null

  constructor(
    { report, providerCode = null }: { report: CallReport | null; providerCode?: ProviderCode | null },
    cause?: unknown,
  ) {
    const socketReason = findSocketReason(cause)
    super(
      `A call failed: ${[report?.status, providerCode, socketReason].filter((known) => known != null).join(', ')}`,
      {
        cause,
      },
    )
    this.name = 'ProviderFailure'
    this.httpStatus = report?.status ?? null
    this.providerCode = providerCode
    this.socketReason = socketReason
  }
}

/** Finds the ProviderFailure among an error and its causes; null if there is none. */
export function findProviderFailure(error: unknown): ProviderFailure | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof ProviderFailure) return cause
  return null
}

/** Parses a provider's error code. */
export function parseProviderCode(code: unknown): ProviderCode {
  return PROVIDER_CODES.find((known) => known === code) ?? 'other'
}

/**
 * Finds the reason why a call has no usable response, from its error and the causes; null if they
 * name none.
 */
export function findSocketReason(error: unknown): SocketReason | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof CircuitOpenError) return 'CIRCUIT_OPEN'
    if (cause instanceof OutboundError) return cause.reason === 'DEADLINE' ? 'TIME_OUT' : 'RESPONSE_NOT_ALLOWED'
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
    const known = REASONS.find(([pattern]) => pattern.test(code))
    if (known !== undefined) return known[1]
    // Several addresses were tried: the first error with a known reason.
    if (cause instanceof AggregateError)
      for (const each of cause.errors) {
        const reason = findSocketReason(each)
        if (reason !== null) return reason
      }
  }
  return null
}
