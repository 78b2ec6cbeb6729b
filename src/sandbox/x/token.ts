import type { Hono } from 'hono'
import { type Parameters, readParameters } from '../parameters.ts'
import { sameSecret, verifierMatches } from '../secrets.ts'
import type { Grant } from '../state.ts'
import type { World } from '../world.ts'
import { refreshGrant, revokeToken, scopeInXOrder, startGrant } from './grants.ts'
import { invalidParameter, missingParameter, type Problem, problemResponse } from './problem-format.ts'
import { OAUTH_PROBLEMS } from './problems.ts'

/** X's token and revocation endpoints (RFC 6749, sections 4.1.3 and 6; RFC 7009). */
export function addXToken(app: Hono, world: World): void {
  app.post('/2/oauth2/token', async (c) => {
    const parameters = await readParameters(c.req.raw)
    const refusal = checkClient(world, c.req.raw.headers.get('authorization'), parameters)
    if (refusal !== null) return problemResponse(refusal)
    const result = exchange(world, parameters)
    return 'body' in result ? problemResponse(result) : respondWithTokens(world, result)
  })

  app.post('/2/oauth2/revoke', async (c) => {
    const parameters = await readParameters(c.req.raw)
    const refusal = checkClient(world, c.req.raw.headers.get('authorization'), parameters)
    if (refusal !== null) return problemResponse(refusal)
    const token = parameters.get('token')
    if (token === null) return problemResponse(missingParameter('token'))
    const hint = parameters.get('token_type_hint')
    if (hint === null) return problemResponse(OAUTH_PROBLEMS['missing-token-type-hint'])
    if (hint !== 'access_token' && hint !== 'refresh_token') return problemResponse(invalidParameter('token type hint'))
    revokeToken(world, token, world.xClient.id)
    return respondWithJson({ revoked: true })
  })
}

/** Authenticates the client; null on success. These errors say nothing about the user's grant. */
function checkClient(world: World, authorization: string | null, parameters: Parameters): Problem | null {
  const { id, secret } = world.xClient
  if (parameters.repeated !== null) return invalidParameter(`parameter [${parameters.repeated}]`)
  if (authorization !== null && /^basic /i.test(authorization)) {
    const credentials = readBasic(authorization)
    if (credentials === null) return OAUTH_PROBLEMS['unauthorized-client']
    if (credentials.id !== id) return OAUTH_PROBLEMS['invalid-client']
    const matches = secret !== null && sameSecret(credentials.secret, secret)
    return matches ? null : OAUTH_PROBLEMS['unauthorized-client']
  }
  const named = parameters.get('client_id')
  if (named !== null && named !== id) return OAUTH_PROBLEMS['invalid-client']
  // A confidential client has to authenticate; its id in the body alone is not enough.
  if (secret !== null) return OAUTH_PROBLEMS['unauthorized-client']
  return named === null ? missingParameter('client_id') : null
}

function exchange(world: World, parameters: Parameters): Grant | Problem {
  switch (parameters.get('grant_type')) {
    case null:
      return missingParameter('grant_type')
    case 'authorization_code':
      return exchangeCode(world, parameters)
    case 'refresh_token': {
      const refreshToken = parameters.get('refresh_token')
      if (refreshToken === null) return missingParameter('refresh_token')
      return refreshGrant(world, refreshToken, world.xClient.id) ?? OAUTH_PROBLEMS['invalid-token']
    }
    default:
      return invalidParameter('grant type')
  }
}

function exchangeCode(world: World, parameters: Parameters): Grant | Problem {
  for (const required of ['code', 'redirect_uri', 'code_verifier']) {
    if (parameters.get(required) === null) return missingParameter(required)
  }
  const index = world.state.codes.findIndex((code) => code.value === parameters.get('code'))
  // Used up by the first request, also a wrong one: a stolen code cannot be tried with one verifier
  // after another.
  const code = index === -1 ? undefined : world.state.codes.splice(index, 1)[0]
  if (code === undefined || world.clock.now() >= code.expiresAt) return OAUTH_PROBLEMS['invalid-code']
  if (code.redirectUri !== parameters.get('redirect_uri')) return OAUTH_PROBLEMS['wrong-redirect']
  if (!verifierMatches(parameters.get('code_verifier') ?? '', code.codeChallenge))
    return OAUTH_PROBLEMS['wrong-verifier']
  return startGrant(world, code)
}

// RFC 6749, section 2.3.1: id and secret are form-encoded before they are joined by a colon.
function readBasic(authorization: string): { id: string; secret: string } | null {
  const [id, secret, ...more] = Buffer.from(authorization.slice('basic '.length), 'base64').toString('utf8').split(':')
  if (id === undefined || secret === undefined || more.length > 0) return null
  try {
    return { id: formDecode(id), secret: formDecode(secret) }
  } catch {
    return null
  }
}

function formDecode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

function respondWithTokens(world: World, grant: Grant): Response {
  const accessToken = grant.accessTokens.at(-1)
  if (accessToken === undefined) throw new Error('Bug: a grant without an access token')
  return respondWithJson({
    token_type: 'bearer',
    expires_in: world.switches.accessTokenSeconds,
    access_token: accessToken.value,
    scope: scopeInXOrder(grant),
    ...(grant.refreshToken === null ? {} : { refresh_token: grant.refreshToken.value }),
  })
}

function respondWithJson(body: Record<string, unknown>): Response {
  return Response.json(body, { headers: { 'cache-control': 'no-store', pragma: 'no-cache' } })
}
