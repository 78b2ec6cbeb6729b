import { z } from 'zod'
import { randomToken } from '../crypto.ts'
import type { Deps } from '../deps.ts'
import type { ErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { type CallResult, storableText } from '../outbound/provider-calls.ts'
import { type ProviderCode, ProviderFailure, parseProviderCode } from '../outbound/provider-failure.ts'
import { callGithubApi, findGithubRefusal, githubApiError } from './github-api.ts'
import { ORGANIZATIONS_SCOPE } from './github-organizations.ts'
import { createAuthorizationUrl, describeRefusal, exchangeCode, type OAuthApp } from './oauth-client.ts'
import { startSignInAttempt } from './sign-in-attempt.ts'
import { admitPerson } from './sign-in-policy.ts'
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

/**
 * Starts a sign-in. The caller sets `browserToken` as a cookie for this `state`, so that only the
 * browser that started the sign-in can finish it. Otherwise an attacker could sign a victim in to
 * the attacker's account (RFC 9700 section 4.7, CSRF).
 * @param invite the secret of an invite, with which a new user may sign in.
 */
export async function startGithubSignIn(
  deps: Deps,
  returnTo: string | null,
  invite: string | null = null,
): Promise<{ authorizationUrl: string; state: string; browserToken: string }> {
  const browserToken = randomToken()
  const { state, codeVerifier } = await startSignInAttempt(deps, { browserToken, returnTo, invite })
  const endpoint = `${deps.config.github.url}/login/oauth/authorize`
  // The public profile requires no scope.
  const scopes = (deps.config.signIn.allowed?.organizations.length ?? 0) > 0 ? [ORGANIZATIONS_SCOPE] : []
  return {
    authorizationUrl: createAuthorizationUrl(githubApp(deps), endpoint, { state, codeVerifier, scopes }),
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
 * @param inviteHash SHA-256 of the invite of this sign-in; null without one.
 * @throws AppError for every failure that the person, the operator or GitHub can resolve, and for a
 * person who may not sign in; nothing is stored about them then.
 */
export async function identifyGithubUser(
  deps: Deps,
  code: string,
  codeVerifier: string,
  inviteHash: string | null,
): Promise<User> {
  const accessToken = await exchange(deps, code, codeVerifier)
  const { id, login, name, avatar_url } = await fetchProfile(deps, accessToken)
  const profile = { githubId: id, login, name: name ?? null, avatarUrl: avatar_url ?? null }
  const admission = await admitPerson(deps, profile, accessToken)
  return storeGithubUser(deps, profile, { ...admission, inviteHash })
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
  const result = await callGithubApi(deps, '/user', accessToken)
  const profile = profileShape.safeParse(result.ok ? result.value : null)
  if (profile.success) return profile.data
  throw githubApiError(classifyProfileRefusal(result), result, result.ok ? profile.error : undefined)
}

function classifyProfileRefusal(result: CallResult<unknown>): ErrorCode {
  // Also the 404 of a web server at an address that is not an API.
  if (result.report.status === 404) return 'GITHUB_API_NOT_FOUND'
  const message = findGithubRefusal(result)
  if (message === null) return 'GITHUB_UNAVAILABLE'
  return /account (was|is|has been) suspended/i.test(message) ? 'GITHUB_ACCOUNT_SUSPENDED' : 'GITHUB_API_FORBIDDEN'
}

function githubApp({ config }: Deps): OAuthApp {
  return {
    clientId: config.github.clientId,
    clientSecret: config.github.clientSecret,
    redirectUri: `${config.publicUrl}/auth/github/callback`,
  }
}
