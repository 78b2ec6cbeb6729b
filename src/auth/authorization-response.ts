// The authorization response: the parameters that a provider's redirect brings to the callback (RFC
// 6749 sections 4.1.2 and 4.1.2.1).
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { type ProviderCode, ProviderFailure, parseProviderCode } from '../outbound/provider-failure.ts'

/**
 * The parameters of a callback; `iss` names the provider (RFC 9207). 'repeated' stands for a
 * request in which a parameter occurs twice: no guess is made which value counts.
 */
export type CallbackParameters =
  | { state: string | null; code: string | null; error: string | null; iss: string | null }
  | 'repeated'

// Errors that come in place of a code. GitHub sends the last two (docs.github.com, "Troubleshooting
// authorization request errors").
const REDIRECT_ERRORS: Partial<Record<ProviderCode, ErrorCode>> = {
  access_denied: 'ACCESS_DENIED',
  application_suspended: 'GITHUB_APP_SUSPENDED',
  redirect_uri_mismatch: 'GITHUB_REDIRECT_MISMATCH',
}

/**
 * Returns the authorization code of a response. An `iss` other than the provider's is rejected, in
 * an error response too. A missing one is accepted: a GitHub Enterprise Server may be older than
 * the parameter (RFC 9207 section 2.4).
 * @param issuer the provider's `iss`, compared character by character; null for a provider that
 * sends none.
 * @throws AppError ISSUER_MISMATCH, ACCESS_DENIED, GITHUB_APP_SUSPENDED, GITHUB_REDIRECT_MISMATCH;
 * CALLBACK_INVALID when there is no code.
 */
export function parseCode(
  { code, error, iss }: Exclude<CallbackParameters, 'repeated'>,
  issuer: string | null,
): string {
  if (iss !== null && iss !== issuer) throw new AppError('ISSUER_MISMATCH')
  if (error !== null) {
    const providerCode = parseProviderCode(error)
    const cause = new ProviderFailure({ report: null, providerCode })
    throw new AppError(REDIRECT_ERRORS[providerCode] ?? 'CALLBACK_INVALID', { cause })
  }
  if (code === null) throw new AppError('CALLBACK_INVALID')
  return code
}
