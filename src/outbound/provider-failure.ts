// What is known of a call to a provider that failed, in words from closed lists: for the log, and to judge who can cure it. Nothing of
// the response itself goes into it, which may hold secrets.
import { type CallReport, CircuitOpenError, OutboundError } from './provider-calls.ts'

// RFC 6749 sections 4.1.2.1 and 5.2; X's; and GitHub's (docs.github.com, "Troubleshooting OAuth app access token request errors" and
// "… authorization request errors").
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

/** A provider's own word for an error; `other` for one that is not on the list. */
export type ProviderCode = (typeof PROVIDER_CODES)[number] | 'other'

/** Why no usable response came. */
export type SocketReason =
  /** The certificate is not trusted, not valid now, or another host's. */
  | 'CERTIFICATE'
  /** The TLS handshake failed for another reason. */
  | 'TLS'
  | 'DNS'
  | 'REFUSED'
  | 'UNREACHABLE'
  | 'TIME_OUT'
  /** The connection was cut. */
  | 'RESET'
  /** The proxy of HTTPS_PROXY did not open a way to the provider. */
  | 'PROXY_REFUSED'
  /** The response was cut off by us: a redirect, too large, or compressed. */
  | 'RESPONSE_NOT_ALLOWED'
  /** Not sent: X left too many calls before it in doubt. */
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

/** A call to a provider that failed. The cause of the AppError that tells a person of it. */
export class ProviderFailure extends Error {
  /** Null where no response came, or where it was the browser that brought the provider's word. */
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

/** The failure that an error tells of, itself or by its causes; null where it tells of none. */
export function findProviderFailure(error: unknown): ProviderFailure | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof ProviderFailure) return cause
  return null
}

/** A provider's word for an error, from the closed list. */
export function parseProviderCode(word: unknown): ProviderCode {
  return PROVIDER_CODES.find((known) => known === word) ?? 'other'
}

/** Why no usable response came, by an error and its causes; null where they do not say. */
export function findSocketReason(error: unknown): SocketReason | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof CircuitOpenError) return 'CIRCUIT_OPEN'
    if (cause instanceof OutboundError) return cause.reason === 'DEADLINE' ? 'TIME_OUT' : 'RESPONSE_NOT_ALLOWED'
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
    const known = REASONS.find(([pattern]) => pattern.test(code))
    if (known !== undefined) return known[1]
    // Of several addresses that were tried, the first that says why.
    if (cause instanceof AggregateError)
      for (const each of cause.errors) {
        const reason = findSocketReason(each)
        if (reason !== null) return reason
      }
  }
  return null
}
