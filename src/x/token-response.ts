// Parses the responses of X's token endpoint. When a response with tokens arrives, X has ended the
// old refresh token: whatever else is wrong with it, a new refresh token in it must not be lost.
import type { TokenResponse } from '../auth/oauth-client.ts'
import type { Timing } from '../config/timing.ts'

/** A token pair that was just issued. */
export type IssuedTokens = {
  /** Null when the response has none. The refresh token is valid nevertheless. */
  accessToken: string | null
  /** Null when the response has none: the old one stays valid (RFC 6749 section 6). */
  refreshToken: string | null
  expiresInSeconds: number
  /** Null when the response has none: those requested (RFC 6749 section 5.1). */
  scopes: string[] | null
}

const DEFAULT_EXPIRES_IN_SECONDS = 7_200

type LifeBounds = Pick<Timing, 'minTokenLifetimeSeconds' | 'maxTokenLifetimeSeconds'>

/** Parses the body of a 200. Returns null when it has neither token. */
export function parseIssuedTokens(body: Record<string, unknown>, bounds: LifeBounds): IssuedTokens | null {
  const accessToken = nonEmpty(body.access_token)
  const refreshToken = nonEmpty(body.refresh_token)
  if (accessToken === null && refreshToken === null) return null
  return {
    accessToken,
    refreshToken,
    expiresInSeconds: accessToken === null ? 0 : parseExpiresIn(body.expires_in, bounds),
    // A scope is printable ASCII (RFC 6749 section 3.3). PostgreSQL cannot store U+0000.
    scopes:
      typeof body.scope === 'string' ? body.scope.split(/[\s,]+/).filter((scope) => /^[!-~]+$/.test(scope)) : null,
  }
}

/** The meaning of a response without tokens for the grant. */
export type TokenErrorMeaning =
  /** X rejects the refresh token: it is spent, revoked or expired. */
  | 'GRANT_DEAD'
  /** X rejects our app's credentials, which says nothing about the grant. */
  | 'APP_REJECTED'
  /** Nothing happened; the request can be repeated later. */
  | 'RETRY_LATER'
  /** X may have rotated the token. */
  | 'AMBIGUOUS'

/** Classifies a response without tokens. */
export function classifyTokenError(response: Exclude<TokenResponse, { kind: 'issued' }>): TokenErrorMeaning {
  if (response.kind === 'unusable') {
    if (!response.sent) return 'RETRY_LATER'
    if (response.status === null || response.status < 400) return 'AMBIGUOUS'
    if (response.status === 401) return 'APP_REJECTED'
    // A 502 or 504, or a 5xx that is not X's own JSON, comes from a proxy; X may have processed the
    // request.
    if (response.status === 502 || response.status === 504) return 'AMBIGUOUS'
    if (response.status >= 500) return isJson(response.report.headers['content-type']) ? 'RETRY_LATER' : 'AMBIGUOUS'
    return 'RETRY_LATER'
  }
  if (response.status === 401 || response.error === 'invalid_client' || response.error === 'unauthorized_client')
    return 'APP_REJECTED'
  if (response.error === 'invalid_grant') return 'GRANT_DEAD'
  if (response.error === 'invalid_request' && /token was invalid/i.test(response.description ?? '')) return 'GRANT_DEAD'
  return 'RETRY_LATER'
}

/**
 * Returns true when X rejects the redirect URI: the gateway's configuration is wrong, not the code.
 */
export function isRedirectRefused(response: Exclude<TokenResponse, { kind: 'issued' }>): boolean {
  return response.kind === 'refused' && response.status === 400 && /redirect[ _]?uri/i.test(response.description ?? '')
}

function nonEmpty(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function parseExpiresIn(value: unknown, { minTokenLifetimeSeconds, maxTokenLifetimeSeconds }: LifeBounds): number {
  const seconds =
    typeof value === 'number' || (typeof value === 'string' && value.trim() !== '') ? Number(value) : Number.NaN
  if (Number.isNaN(seconds)) return DEFAULT_EXPIRES_IN_SECONDS
  return Math.min(Math.max(seconds, minTokenLifetimeSeconds), maxTokenLifetimeSeconds)
}

function isJson(contentType: string | string[] | undefined): boolean {
  return typeof contentType === 'string' && /\bjson\b/i.test(contentType)
}
