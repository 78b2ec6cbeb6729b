import type { Context, Hono } from 'hono'
import { respondWithConsentPage, respondWithErrorPage } from '../pages/consent.ts'
import { type Parameters, readParameters, readQuery } from '../parameters.ts'
import { account, isPossibleUsername } from '../people.ts'
import { newXSecret } from '../secrets.ts'
import type { XAccount } from '../state.ts'
import { findAccount, type World } from '../world.ts'

/**
 * X's authorization page (RFC 6749, section 4.1.1; RFC 7636).
 *
 * A person opens `GET /i/oauth2/authorize?…` in a browser. A script sends a POST to the same URL
 * with its query and these form fields, and gets a 302 to the redirect URI:
 *   account      handle of an account that exists
 *   new_account  in place of `account`: a handle to create; takes precedence
 *   decision     `approve` or `deny`
 * An invalid request of the app shows X's error page and never redirects.
 */
const CODE_MILLISECONDS = 30_000
const STATE_MAXIMUM = 500

// OpenAPI 2.167, components.securitySchemes.OAuth2UserToken.
const KNOWN_SCOPES = new Set(
  `block.read block.write bookmark.read bookmark.write broadcast.read broadcast.write dm.read dm.write follows.read
  follows.write like.read like.write list.read list.write media.write mute.read mute.write offline.access space.read
  timeline.read tweet.moderate.write tweet.read tweet.write users.read`.split(/\s+/),
)

type AuthorizeRequest = { redirectUri: string; scopes: string[]; state: string; codeChallenge: string }

/** Adds X's authorization page to the routes. */
export function addXAuthorize(app: Hono, world: World): void {
  app.get('/i/oauth2/authorize', (c) => {
    const request = readAuthorizeRequest(world, readQuery(c.req.url))
    return 'wrong' in request ? errorPage(c, request.wrong) : consentPage(c, world, request, null)
  })

  app.post('/i/oauth2/authorize', async (c) => {
    const request = readAuthorizeRequest(world, readQuery(c.req.url))
    if ('wrong' in request) return errorPage(c, request.wrong)
    const form = await readParameters(c.req.raw)
    const decision = form.get('decision')
    if (decision === 'deny') return redirectBack(request, { error: 'access_denied', state: mangled(request.state) })
    const chosen = chooseAccount(world, form)
    if (typeof chosen === 'string') return consentPage(c, world, request, chosen)
    if (decision !== 'approve') return consentPage(c, world, request, 'Choose whether to authorize the app.')
    return redirectBack(request, { state: mangled(request.state), code: newCode(world, request, chosen) })
  })
}

function readAuthorizeRequest(world: World, parameters: Parameters): AuthorizeRequest | { wrong: string } {
  const get = parameters.get
  if (parameters.repeated !== null) return { wrong: `The parameter ${parameters.repeated} was sent twice.` }
  if (get('client_id') !== world.xClient.id) return { wrong: 'No app has this client_id.' }
  const redirectUri = get('redirect_uri')
  if (redirectUri === null || !world.xClient.redirectUris.includes(redirectUri)) {
    return {
      wrong: `The redirect_uri ${redirectUri ?? '(missing)'} is not registered for this app, character by character.`,
    }
  }
  if (get('response_type') !== 'code') return { wrong: 'The response_type must be code.' }
  const state = get('state')
  if (state === null) return { wrong: 'The state is missing.' }
  if (state.length > STATE_MAXIMUM)
    return { wrong: `The state has ${state.length} characters; ${STATE_MAXIMUM} are allowed.` }
  const codeChallenge = get('code_challenge')
  if (codeChallenge === null) return { wrong: 'The code_challenge is missing: X demands PKCE.' }
  if (get('code_challenge_method') !== 'S256') return { wrong: 'The code_challenge_method must be S256.' }
  if (!/^[A-Za-z0-9_-]{43}$/.test(codeChallenge)) return { wrong: 'The code_challenge is no SHA-256 in base64url.' }
  const scopes = (get('scope') ?? '').split(' ').filter((scope) => scope !== '')
  if (scopes.length === 0) return { wrong: 'The scope is missing.' }
  const unknown = scopes.find((scope) => !KNOWN_SCOPES.has(scope))
  if (unknown !== undefined) return { wrong: `There is no scope ${unknown}.` }
  return { redirectUri, scopes: [...new Set(scopes)], state, codeChallenge }
}

/** Returns the account, or a message for the person about what to change. */
function chooseAccount(world: World, form: Parameters): XAccount | string {
  const fresh = form.get('new_account')?.trim().replace(/^@/, '') ?? ''
  if (fresh === '') {
    const chosen = form.get('account')
    if (chosen === null) return 'Choose an account.'
    return findAccount(world, chosen) ?? `There is no account @${chosen}.`
  }
  if (!isPossibleUsername(fresh)) return 'A username has 1 to 15 letters, digits or underscores.'
  if (findAccount(world, fresh) !== null) return `@${fresh} is taken: choose it from the list.`
  return createAccount(world, fresh, fresh)
}

/** Creates an account with an id of 19 digits. */
export function createAccount(world: World, username: string, name: string, rest: Partial<XAccount> = {}): XAccount {
  const newest = world.state.accounts.reduce((top, known) => (BigInt(known.id) > top ? BigInt(known.id) : top), 0n)
  const createdAt = new Date(world.clock.now()).toISOString()
  const created = account(String(newest + 4_194_304_001n), username, name, { createdAt, ...rest })
  world.state.accounts.push(created)
  return created
}

function newCode(world: World, request: AuthorizeRequest, chosen: XAccount): string {
  const now = world.clock.now()
  const limit = world.switches.scopeLimits.get(chosen.id)
  const value = newXSecret('ac', now)
  world.state.codes = world.state.codes.filter((code) => now < code.expiresAt)
  world.state.codes.push({
    value,
    accountId: chosen.id,
    clientId: world.xClient.id,
    redirectUri: request.redirectUri,
    scopes: limit === undefined ? request.scopes : request.scopes.filter((scope) => limit.includes(scope)),
    requestedScopes: request.scopes,
    codeChallenge: request.codeChallenge,
    expiresAt: now + CODE_MILLISECONDS,
  })
  return value
}

function redirectBack(request: AuthorizeRequest, parameters: Record<string, string>): Response {
  const target = new URL(request.redirectUri)
  for (const [name, value] of Object.entries(parameters)) target.searchParams.append(name, value)
  return new Response(null, { status: 302, headers: { location: target.href, 'cache-control': 'no-store' } })
}

// X returns a state with JSON punctuation in a changed form, which it does not document.
function mangled(state: string): string {
  return state.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function consentPage(c: Context, world: World, request: AuthorizeRequest, complaint: string | null) {
  return respondWithConsentPage(c, {
    provider: 'x',
    appHost: new URL(request.redirectUri).host,
    scopes: request.scopes,
    complaint,
    choices: world.state.accounts.map((known) => ({
      value: known.username,
      title: known.name,
      handle: `@${known.username}`,
      avatarUrl: `/assets/avatars/x/${known.id}.svg`,
      badges: accountBadges(known),
    })),
  })
}

function accountBadges(known: XAccount): string[] {
  const badges = known.subscriptionType === 'None' ? [] : [known.subscriptionType.replace('PremiumPlus', 'Premium+')]
  if (known.protected) badges.push('Protected')
  if (known.suspended) badges.push('Suspended')
  return known.locked ? [...badges, 'Locked'] : badges
}

function errorPage(c: Context, wrong: string) {
  return respondWithErrorPage(c, {
    provider: 'x',
    title: 'Something went wrong',
    sentence: 'You weren’t able to give access to the App. Go back and try logging in again.',
    detail: wrong,
  })
}
