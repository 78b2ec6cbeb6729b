import { z } from 'zod'
import { randomToken } from '../crypto.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { type CallResult, callProvider, noCircuitBreaker, readJson, storableText } from '../outbound/provider-calls.ts'
import { type ProviderCode, ProviderFailure, parseProviderCode } from '../outbound/provider-failure.ts'
import { createAuthorizationUrl, describeRefusal, exchangeCode, type OAuthApp } from './oauth-client.ts'
import { startSignInAttempt } from './sign-in-attempt.ts'
import { storeGithubUser } from './user-identity.ts'
import type { User } from './viewer.ts'

const profileShape = z.object({
  id: z.int().positive(),
  login: storableText.min(1),
  name: storableText.nullish(),
  avatar_url: storableText.nullish(),
})

// Errors of GitHub's token endpoint that do not concern the code.
const TOKEN_ERRORS: Partial<Record<ProviderCode, ErrorCode>> = {
  incorrect_client_credentials: 'GITHUB_CREDENTIALS_REJECTED',
  redirect_uri_mismatch: 'GITHUB_REDIRECT_MISMATCH',
  application_suspended: 'GITHUB_APP_SUSPENDED',
  unverified_user_email: 'GITHUB_EMAIL_UNVERIFIED',
}
const problemShape = z.object({ message: z.string() })

/**
 * Starts a sign-in. The caller sets `browserToken` as a cookie for this `state`, so that only the
 * browser that started the sign-in can finish it. Otherwise an attacker could sign a victim in to
 * the attacker's account (RFC 9700 section 4.7, CSRF).
 */
export async function startGithubSignIn(
  deps: Deps,
  returnTo: string | null,
): Promise<{ authorizationUrl: string; state: string; browserToken: string }> {
  const browserToken = randomToken()
  const { state, codeVerifier } = await startSignInAttempt(deps, { browserToken, returnTo })
  const endpoint = `${deps.config.github.url}/login/oauth/authorize`
  return {
    // The public profile requires no scope.
    authorizationUrl: createAuthorizationUrl(githubApp(deps), endpoint, { state, codeVerifier, scopes: [] }),
    state,
    browserToken,
  }
}

/** Returns GitHub's `iss` (RFC 9207): https://github.com/login/oauth, sent since April 2026. */
export function githubIssuer({ config }: Pick<Deps, 'config'>): string {
  // URL normalizes capitals and a default port in GITHUB_URL.
  return new URL(`${config.github.url}/login/oauth`).href
}

/**
 * Exchanges the authorization code, and returns its user, by GitHub's numeric id: an existing one
 * or a new one.
 * @throws AppError for every failure that the person, the operator or GitHub can resolve.
 */
export async function identifyGithubUser(deps: Deps, code: string, codeVerifier: string): Promise<User> {
  const { id, login, name, avatar_url } = await fetchProfile(deps, await exchange(deps, code, codeVerifier))
  return storeGithubUser(deps, { githubId: id, login, name: name ?? null, avatarUrl: avatar_url ?? null })
}

async function exchange(deps: Deps, code: string, codeVerifier: string): Promise<string> {
  const response = await exchangeCode(
    githubApp(deps),
    `${deps.config.github.url}/login/oauth/access_token`,
    code,
    codeVerifier,
  )
  if (response.kind === 'unusable') throw new AppError('GITHUB_UNAVAILABLE', { cause: describeRefusal(response) })
  const { report } = response
  // GitHub sends its errors with status 200, in the body where tokens would be.
  const error = response.kind === 'refused' ? response.error : response.body.error
  if (error !== undefined) {
    const providerCode = parseProviderCode(error)
    throw new AppError(TOKEN_ERRORS[providerCode] ?? 'CODE_REJECTED', {
      cause: new ProviderFailure({ report, providerCode }),
    })
  }
  if (response.kind === 'refused' || typeof response.body.access_token !== 'string')
    throw new AppError('GITHUB_UNAVAILABLE', { cause: new ProviderFailure({ report }) })
  return response.body.access_token
}

async function fetchProfile(deps: Deps, accessToken: string): Promise<z.infer<typeof profileShape>> {
  const result = await callProvider(noCircuitBreaker, async (): Promise<unknown> => {
    const response = await fetch(`${deps.config.github.apiUrl}/user`, {
      headers: {
        authorization: `Bearer ${accessToken}`,
        accept: 'application/vnd.github+json',
        'x-github-api-version': '2022-11-28',
        'user-agent': 'xconnect-gateway',
      },
    })
    return readJson(response)
  })
  const profile = profileShape.safeParse(result.ok ? result.value : null)
  if (profile.success) return profile.data
  const cause = result.ok ? profile.error : result.error
  throw new AppError(classifyProfileRefusal(result), { cause: new ProviderFailure(result, cause) })
}

function classifyProfileRefusal({ report: { status, headers }, ...result }: CallResult<unknown>): ErrorCode {
  // Also the 404 of a web server at an address that is not an API.
  if (status === 404) return 'GITHUB_API_NOT_FOUND'
  const problem = problemShape.safeParse(result.ok ? result.value : null)
  // GitHub's own refusals are JSON; a page comes from a proxy. A rate limit is a 403 too
  // (docs.github.com/rest, "Rate limits for the REST API").
  if (status !== 403 || !problem.success) return 'GITHUB_UNAVAILABLE'
  const { message } = problem.data
  if (headers['x-ratelimit-remaining'] === '0' || headers['retry-after'] !== undefined || /rate limit/i.test(message))
    return 'GITHUB_UNAVAILABLE'
  return /account (was|is|has been) suspended/i.test(message) ? 'GITHUB_ACCOUNT_SUSPENDED' : 'GITHUB_API_FORBIDDEN'
}

function githubApp({ config }: Deps): OAuthApp {
  return {
    clientId: config.github.clientId,
    clientSecret: config.github.clientSecret,
    redirectUri: `${config.publicUrl}/auth/github/callback`,
  }
}
