// The only file that imports arctic, which has no more releases. To replace it, reimplement these
// functions.
import {
  ArcticFetchError,
  CodeChallengeMethod,
  OAuth2Client,
  OAuth2RequestError,
  type OAuth2Tokens,
  UnexpectedErrorResponseBodyError,
  UnexpectedResponseError,
} from 'arctic'
import { type CallReport, type CircuitBreaker, callProvider, noCircuitBreaker } from '../outbound/provider-calls.ts'
import { ProviderFailure, parseProviderCode } from '../outbound/provider-failure.ts'

/** Our app at a provider. */
export type OAuthApp = { clientId: string; clientSecret: string | null; redirectUri: string }

/** The result of a call to a token endpoint. */
export type TokenResponse =
  /** 200 with a JSON object, not validated yet. */
  | { kind: 'issued'; body: Record<string, unknown>; report: CallReport }
  /** An OAuth error (RFC 6749 section 5.2). `error` and `description` are the provider's. */
  | { kind: 'refused'; status: number; error: string; description: string | null; report: CallReport }
  /** No usable response. `sent` is true when the provider may have processed the request. */
  | { kind: 'unusable'; sent: boolean; status: number | null; report: CallReport; cause: unknown }

/** Returns the reason of a response without tokens, for the log. */
export function describeRefusal(response: Exclude<TokenResponse, { kind: 'issued' }>): ProviderFailure {
  const { report } = response
  return response.kind === 'refused'
    ? new ProviderFailure({ report, providerCode: parseProviderCode(response.error) })
    : new ProviderFailure({ report }, response.cause)
}

/**
 * Returns the URL that starts an authorization code flow with an S256 challenge (RFC 6749 section
 * 4.1.1, RFC 7636 section 4.3).
 */
export function createAuthorizationUrl(
  app: OAuthApp,
  endpoint: string,
  request: { state: string; codeVerifier: string; scopes: readonly string[] },
): string {
  const url = new OAuth2Client(app.clientId, null, app.redirectUri).createAuthorizationURLWithPKCE(
    endpoint,
    request.state,
    CodeChallengeMethod.S256,
    request.codeVerifier,
    [...request.scopes],
  )
  // X requires scopes to be separated by %20; URLSearchParams writes a plus.
  return url.toString().replaceAll('+', '%20')
}

/** Exchanges an authorization code (RFC 6749 section 4.1.3). */
export function exchangeCode(
  app: OAuthApp,
  endpoint: string,
  code: string,
  codeVerifier: string,
): Promise<TokenResponse> {
  return requestTokens(noCircuitBreaker, () => client(app).validateAuthorizationCode(endpoint, code, codeVerifier))
}

/**
 * Exchanges a refresh token for a new token pair (RFC 6749 section 6). Sends at most one request.
 * @param breaker while it is open, no request is sent: the response is `unusable` and not `sent`.
 */
export function exchangeRefreshToken(
  app: OAuthApp,
  endpoint: string,
  refreshToken: string,
  breaker: CircuitBreaker,
): Promise<TokenResponse> {
  return requestTokens(breaker, () => client(app).refreshAccessToken(endpoint, refreshToken, []))
}

/**
 * Revokes a grant (RFC 7009). Arctic cannot send the token_type_hint that X requires.
 * @returns true when the provider has confirmed that the token is no longer valid.
 */
export async function revokeToken(
  app: OAuthApp,
  endpoint: string,
  token: string,
  tokenTypeHint: 'access_token' | 'refresh_token',
): Promise<boolean> {
  const body = new URLSearchParams({ token, token_type_hint: tokenTypeHint })
  const headers = new Headers({ accept: 'application/json' })
  if (app.clientSecret === null) body.set('client_id', app.clientId)
  else headers.set('authorization', `Basic ${Buffer.from(basicCredentials(app).join(':')).toString('base64')}`)
  const result = await callProvider(noCircuitBreaker, async () => {
    const response = await fetch(endpoint, { method: 'POST', headers, body })
    return { status: response.status, text: await response.text() }
  })
  if (!result.ok) return false
  // A 400 confirms it for a token that is unknown, but not for an invalid client or request.
  return (
    result.value.status === 200 ||
    (result.value.status === 400 && /token was invalid|invalid_grant/i.test(result.value.text))
  )
}

function client(app: OAuthApp): OAuth2Client {
  if (app.clientSecret === null) return new OAuth2Client(app.clientId, null, app.redirectUri)
  const [id, secret] = basicCredentials(app)
  return new OAuth2Client(id, secret, app.redirectUri)
}

// RFC 6749 section 2.3.1: both are form-encoded before they become Basic credentials.
function basicCredentials(app: OAuthApp): [id: string, secret: string] {
  const encode = (text: string) => new URLSearchParams({ text }).toString().slice('text='.length)
  return [encode(app.clientId), encode(app.clientSecret ?? '')]
}

// Never throws: a caller that holds a lease must learn whether the request was sent, after any
// error.
async function requestTokens(breaker: CircuitBreaker, send: () => Promise<OAuth2Tokens>): Promise<TokenResponse> {
  const result = await callProvider(breaker, send)
  const { report } = result
  if (result.ok) return { kind: 'issued', body: { ...result.value.data }, report }
  const { error } = result
  if (error instanceof OAuth2RequestError) {
    // Other texts may contain what was sent, and must not reach the log.
    const code = /^[a-z_]{1,64}$/.test(error.code) ? error.code : 'unreadable'
    return { kind: 'refused', status: report.status ?? 400, error: code, description: error.description, report }
  }
  // The body of an unexpected response may contain tokens, and is dropped.
  if (error instanceof UnexpectedResponseError || error instanceof UnexpectedErrorResponseBodyError) {
    return {
      kind: 'unusable',
      sent: true,
      status: error.status,
      report,
      cause: new Error(`Unexpected response with status ${error.status}`),
    }
  }
  const cause = error instanceof ArcticFetchError ? error.cause : error
  return { kind: 'unusable', sent: report.sent, status: report.status, report, cause }
}
