// What X's token endpoint sends, from `unknown` to a type. A rotation has happened by the time this reads: whatever else is odd in
// the answer, a new refresh token in it must not be lost.
import type { TokenResponse } from '../auth/oauth-client.ts'
import type { Timing } from '../config/timing.ts'

/** A pair of tokens just issued. */
export type IssuedTokens = {
  /** Null when the answer had none: the refresh token is good all the same. */
  accessToken: string | null
  /** Null when the answer had none: the old one stays (RFC 6749 section 6). */
  refreshToken: string | null
  expiresInSeconds: number
  /** Null when the answer had none: as requested (RFC 6749 section 5.1). */
  scopes: string[] | null
}

const DEFAULT_EXPIRES_IN_SECONDS = 7_200

type LifeBounds = Pick<Timing, 'minTokenLifetimeSeconds' | 'maxTokenLifetimeSeconds'>

/** Reads a 200 answer. Null when it holds neither token. */
export function parseIssuedTokens(body: Record<string, unknown>, bounds: LifeBounds): IssuedTokens | null {
  const accessToken = nonEmpty(body.access_token)
  const refreshToken = nonEmpty(body.refresh_token)
  if (accessToken === null && refreshToken === null) return null
  return {
    accessToken,
    refreshToken,
    expiresInSeconds: accessToken === null ? 0 : readExpiresIn(body.expires_in, bounds),
    // RFC 6749 section 3.3 has only printable ASCII in a scope; the database would not take all of the rest.
    scopes:
      typeof body.scope === 'string' ? body.scope.split(/[\s,]+/).filter((scope) => /^[!-~]+$/.test(scope)) : null,
  }
}

/** What an answer without tokens means for the grant. */
export type TokenErrorMeaning =
  /** The refresh token is spent, revoked or expired. */
  | 'GRANT_DEAD'
  /** Our app's own credentials: says nothing about any grant. */
  | 'APP_REJECTED'
  /** Certainly nothing happened; worth another try later. */
  | 'RETRY_LATER'
  /** X may have rotated the token. */
  | 'AMBIGUOUS'

/** Judges an answer that brought no tokens, by the table of X's token errors. */
export function classifyTokenError(answer: Exclude<TokenResponse, { kind: 'issued' }>): TokenErrorMeaning {
  if (answer.kind === 'unusable') {
    if (!answer.sent) return 'RETRY_LATER'
    if (answer.status === null || answer.status < 400) return 'AMBIGUOUS'
    if (answer.status === 401) return 'APP_REJECTED'
    // A 502 or 504, or a 5xx that is not X's own JSON, comes from something in between, behind which X may have acted.
    if (answer.status === 502 || answer.status === 504) return 'AMBIGUOUS'
    if (answer.status >= 500) return isJson(answer.report.headers['content-type']) ? 'RETRY_LATER' : 'AMBIGUOUS'
    return 'RETRY_LATER'
  }
  if (answer.status === 401 || answer.error === 'invalid_client' || answer.error === 'unauthorized_client')
    return 'APP_REJECTED'
  if (answer.error === 'invalid_grant') return 'GRANT_DEAD'
  if (answer.error === 'invalid_request' && /token was invalid/i.test(answer.description ?? '')) return 'GRANT_DEAD'
  return 'RETRY_LATER'
}

/**
 * True where X did not take the redirect URI: the code is not at fault, but how this gateway is set
 * up.
 */
export function isRedirectRefused(answer: Exclude<TokenResponse, { kind: 'issued' }>): boolean {
  return answer.kind === 'refused' && answer.status === 400 && /redirect[ _]?uri/i.test(answer.description ?? '')
}

function nonEmpty(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function readExpiresIn(value: unknown, { minTokenLifetimeSeconds, maxTokenLifetimeSeconds }: LifeBounds): number {
  const seconds =
    typeof value === 'number' || (typeof value === 'string' && value.trim() !== '') ? Number(value) : Number.NaN
  if (Number.isNaN(seconds)) return DEFAULT_EXPIRES_IN_SECONDS
  return Math.min(Math.max(seconds, minTokenLifetimeSeconds), maxTokenLifetimeSeconds)
}

function isJson(contentType: string | string[] | undefined): boolean {
  return typeof contentType === 'string' && /\bjson\b/i.test(contentType)
}
