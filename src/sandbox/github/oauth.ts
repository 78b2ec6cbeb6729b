import type { Context, Hono } from 'hono'
import { respondWithConsentPage, respondWithErrorPage } from '../pages/consent.ts'
import { type Parameters, readParameters, readQuery } from '../parameters.ts'
import { newGithubToken, sameSecret, verifierMatches } from '../secrets.ts'
import type { GithubCode, GithubPerson } from '../state.ts'
import type { World } from '../world.ts'

/**
 * GitHub's sign-in (docs.github.com, "Authorizing OAuth apps").
 *
 * A script sends a POST to the authorize URL with its query and the form fields `account` (a login)
 * and `decision` (`approve` or `deny`), and gets a 302. The token endpoint responds to every error
 * with HTTP 200.
 */
const CODE_MILLISECONDS = 10 * 60 * 1000
const DOCUMENTATION = 'https://docs.github.com/apps/managing-oauth-apps'

/** Adds GitHub's OAuth pages and endpoints to the routes. */
export function addGithubOAuth(app: Hono, world: World): void {
  app.get('/login/oauth/authorize', (c) => {
    const request = readAuthorizeRequest(world, readQuery(c.req.url))
    if ('wrong' in request) return errorPage(c, request.wrong)
    return world.switches.githubAppSuspended ? appSuspended(world, request) : consentPage(c, world, request, null)
  })

  app.post('/login/oauth/authorize', async (c) => {
    const request = readAuthorizeRequest(world, readQuery(c.req.url))
    if ('wrong' in request) return errorPage(c, request.wrong)
    if (world.switches.githubAppSuspended) return appSuspended(world, request)
    const form = await readParameters(c.req.raw)
    if (form.get('decision') === 'deny') {
      return redirectBack(world, request, {
        error: 'access_denied',
        error_description: 'The user has denied your application access.',
        error_uri: `${DOCUMENTATION}/troubleshooting-authorization-request-errors/#access-denied`,
      })
    }
    const person = world.state.github.people.find(({ login }) => login === form.get('account'))
    if (person === undefined) return consentPage(c, world, request, 'Choose who you are.')
    if (form.get('decision') !== 'approve')
      return consentPage(c, world, request, 'Choose whether to authorize the app.')
    return redirectBack(world, request, { code: newCode(world, request, person) })
  })

  app.post('/login/oauth/access_token', async (c) => {
    const parameters = await readParameters(c.req.raw)
    return respondWithToken(c.req.raw, exchangeCode(world, parameters, c.req.raw.headers.get('authorization')))
  })
}

type AuthorizeRequest = Pick<GithubCode, 'redirectUri' | 'redirectUriWasSent' | 'scopes' | 'codeChallenge'> & {
  state: string | null
}

function readAuthorizeRequest(world: World, { get, repeated }: Parameters): AuthorizeRequest | { wrong: string } {
  const { id, redirectUris } = world.githubClient
  if (repeated !== null) return { wrong: `The parameter ${repeated} was sent twice.` }
  if (get('client_id') !== id) return { wrong: 'No OAuth app has this client_id.' }
  const sent = get('redirect_uri')
  const redirectUri = sent ?? redirectUris[0]
  if (redirectUri === undefined || !isUnderRegistered(redirectUris, redirectUri)) {
    return { wrong: `The redirect_uri ${redirectUri ?? '(missing)'} is not associated with this application.` }
  }
  const codeChallenge = get('code_challenge')
  if (codeChallenge !== null && get('code_challenge_method') !== 'S256') {
    return { wrong: 'The code_challenge_method must be S256.' }
  }
  const scopes = (get('scope') ?? '').split(/[\s,]+/).filter((scope) => scope !== '')
  return { redirectUri, redirectUriWasSent: sent !== null, scopes, codeChallenge, state: get('state') }
}

// GitHub accepts the registered URL and paths below it, on the same host and port.
function isUnderRegistered(registered: string[], redirectUri: string): boolean {
  if (!URL.canParse(redirectUri)) return false
  const asked = new URL(redirectUri)
  return registered.some((candidate) => {
    const known = new URL(candidate)
    const below =
      asked.pathname === known.pathname || asked.pathname.startsWith(`${known.pathname.replace(/\/$/, '')}/`)
    return known.origin === asked.origin && below
  })
}

function newCode(world: World, request: AuthorizeRequest, person: GithubPerson): string {
  const now = world.clock.now()
  const { redirectUri, redirectUriWasSent, scopes, codeChallenge } = request
  // GitHub's codes are 20 hexadecimal digits.
  const value = Buffer.from(crypto.getRandomValues(new Uint8Array(10))).toString('hex')
  const expiresAt = now + CODE_MILLISECONDS
  world.state.github.codes = world.state.github.codes.filter((code) => now < code.expiresAt)
  world.state.github.codes.push({
    value,
    personId: person.id,
    redirectUri,
    redirectUriWasSent,
    scopes,
    codeChallenge,
    expiresAt,
  })
  return value
}

function exchangeCode(world: World, { get }: Parameters, authorization: string | null): Record<string, string> {
  const client = world.githubClient
  const [basicId, basicSecret] = readBasic(authorization)
  const id = get('client_id') ?? basicId ?? ''
  const secret = get('client_secret') ?? basicSecret ?? ''
  if (id !== client.id || !sameSecret(secret, client.secret)) {
    return failure('incorrect_client_credentials', 'The client_id and/or client_secret passed are incorrect.')
  }
  const index = world.state.github.codes.findIndex(({ value }) => value === get('code'))
  const code = index === -1 ? undefined : world.state.github.codes.splice(index, 1)[0]
  const badCode = failure('bad_verification_code', 'The code passed is incorrect or expired.')
  if (code === undefined || world.clock.now() >= code.expiresAt) return badCode
  const redirectUri = get('redirect_uri')
  if (
    code.redirectUriWasSent
      ? redirectUri !== code.redirectUri
      : redirectUri !== null && redirectUri !== code.redirectUri
  ) {
    return failure(
      'redirect_uri_mismatch',
      'The redirect_uri MUST match the registered callback URL for this application.',
    )
  }
  if (code.codeChallenge !== null && !verifierMatches(get('code_verifier') ?? '', code.codeChallenge)) return badCode
  if (world.switches.githubStanding.unverifiedEmails.has(code.personId))
    return failure('unverified_user_email', 'The user must have a verified primary email.')
  const value = newGithubToken()
  world.state.github.tokens.push({ value, personId: code.personId, scopes: code.scopes })
  return { access_token: value, scope: code.scopes.join(','), token_type: 'bearer' }
}

// Undocumented and widely used (Arctic's GitHub class sends nothing else): the client's credentials
// as Basic.
function readBasic(authorization: string | null): string[] {
  if (authorization === null || !/^basic /i.test(authorization)) return []
  return Buffer.from(authorization.slice('basic '.length), 'base64').toString('utf8').split(':')
}

function failure(error: string, description: string): Record<string, string> {
  const page = `${DOCUMENTATION}/troubleshooting-oauth-app-access-token-request-errors`
  return { error, error_description: description, error_uri: `${page}/#${error.replaceAll('_', '-')}` }
}

// Form-encoded unless the client asks for JSON.
function respondWithToken(request: Request, body: Record<string, string>): Response {
  if (/\bjson\b/.test(request.headers.get('accept') ?? ''))
    return Response.json(body, { headers: { 'cache-control': 'no-store' } })
  return new Response(new URLSearchParams(body).toString(), {
    headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8', 'cache-control': 'no-store' },
  })
}

// Includes the issuer, also for errors, as github.com does since April 2026 (RFC 9207, section 2).
function redirectBack(world: World, request: AuthorizeRequest, parameters: Record<string, string>): Response {
  const target = new URL(request.redirectUri)
  const iss = `${world.switches.githubUrl ?? world.url}/login/oauth`
  for (const [name, value] of Object.entries({ ...parameters, iss })) target.searchParams.append(name, value)
  if (request.state !== null) target.searchParams.append('state', request.state)
  return new Response(null, { status: 302, headers: { location: target.href, 'cache-control': 'no-store' } })
}

// docs.github.com, "Troubleshooting authorization request errors".
function appSuspended(world: World, request: AuthorizeRequest): Response {
  return redirectBack(world, request, {
    error: 'application_suspended',
    error_description: 'Your application has been suspended. Contact support@github.com.',
    error_uri: `${DOCUMENTATION}/troubleshooting-authorization-request-errors/#application-suspended`,
  })
}

function consentPage(c: Context, world: World, request: AuthorizeRequest, complaint: string | null) {
  return respondWithConsentPage(c, {
    provider: 'github',
    appHost: new URL(request.redirectUri).host,
    scopes: request.scopes,
    complaint,
    choices: world.state.github.people.map((person) => ({
      value: person.login,
      title: person.name ?? person.login,
      handle: person.login,
      avatarUrl: `/assets/avatars/github/${person.id}.svg`,
      badges: person.name === null ? ['No public name'] : [],
    })),
  })
}

function errorPage(c: Context, wrong: string) {
  return respondWithErrorPage(c, {
    provider: 'github',
    title: 'Be careful!',
    sentence: 'GitHub cannot go on with this request.',
    detail: wrong,
  })
}
