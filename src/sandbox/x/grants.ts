// X's grants. An account has one live grant for each app; a new authorization ends the earlier one.
// A refresh token works once. X does not document three things, which are switches: the effect of a
// second use (`replay`), whether a refresh ends the access token before it
// (`refreshEndsAccessToken`), and whether revoking a token of an ended grant ends the live grant of
// the same account and app (`revocationEndsAccount`). By default the old access token stays valid
// until it expires, and the live grant remains.
import { randomUUID } from 'node:crypto'
import { newXSecret } from '../secrets.ts'
import type { AuthorizationCode, Grant } from '../state.ts'
import type { World } from '../world.ts'
import { announceRevocation } from './activity-streams.ts'

const REFRESH_TOKEN_SECONDS = 183 * 24 * 60 * 60

/** Starts the grant of a code, and ends the account's earlier one. */
export function startGrant(world: World, code: AuthorizationCode): Grant {
  for (const earlier of world.switches.keepsEarlierGrants ? [] : liveGrants(world)) {
    if (earlier.accountId === code.accountId && earlier.clientId === code.clientId) endGrant(earlier, 'superseded')
  }
  const grant: Grant = {
    family: randomUUID(),
    accountId: code.accountId,
    clientId: code.clientId,
    scopes: code.scopes,
    requestedScopes: code.requestedScopes,
    grantedAt: world.clock.now(),
    accessTokens: [],
    refreshToken: null,
    spentRefreshTokens: [],
    rotations: 0,
    replays: 0,
    ended: null,
  }
  world.state.grants.push(grant)
  issueTokens(world, grant)
  return grant
}

/**
 * Refreshes the tokens of a grant. Returns null for a refresh token that is spent, expired or
 * unknown.
 */
export function refreshGrant(world: World, refreshToken: string, clientId: string): Grant | null {
  const grant = world.grants.byRefreshToken.get(refreshToken)
  if (grant === undefined || grant.clientId !== clientId) return null
  if (grant.refreshToken?.value !== refreshToken) {
    grant.replays += 1
    if (world.switches.replay === 'end-grant' && grant.ended === null) endGrant(grant, 'replay')
    return null
  }
  if (grant.ended !== null || world.clock.now() >= grant.refreshToken.expiresAt) return null
  grant.spentRefreshTokens.push(refreshToken)
  grant.rotations += 1
  issueTokens(world, grant)
  return grant
}

/** Returns the grant of an access token; null when it is unknown, expired or revoked. */
export function findGrantByAccessToken(world: World, accessToken: string): Grant | null {
  const grant = world.grants.byAccessToken.get(accessToken)
  if (grant === undefined || grant.ended !== null) return null
  const token = grant.accessTokens.find((issued) => issued.value === accessToken)
  return token !== undefined && world.clock.now() < token.expiresAt ? grant : null
}

/**
 * Ends the grant of either token of its pair, also of a spent refresh token. Ignores unknown tokens
 * (RFC 7009).
 */
export function revokeToken(world: World, token: string, clientId: string): void {
  const grant = world.grants.byAccessToken.get(token) ?? world.grants.byRefreshToken.get(token)
  if (grant === undefined || grant.clientId !== clientId) return
  const named = world.switches.revocationEndsAccount
    ? liveGrants(world).filter((live) => live.accountId === grant.accountId && live.clientId === clientId)
    : [grant]
  for (const live of named) {
    if (live.ended !== null) continue
    endGrant(live, 'revoked-by-app')
    announceRevocation(world, live.accountId)
  }
}

/** Ends the live grants of an account, as the connected-apps page does. */
export function revokeGrantsOf(world: World, accountId: string): void {
  for (const grant of liveGrants(world)) {
    if (grant.accountId !== accountId) continue
    endGrant(grant, 'revoked-by-user')
    announceRevocation(world, accountId)
  }
}

/** Returns the grants that have not ended. */
export function liveGrants(world: World): Grant[] {
  return world.state.grants.filter((grant) => grant.ended === null)
}

/** Returns the access tokens of a grant that still work. */
export function liveAccessTokens(world: World, grant: Grant): string[] {
  if (grant.ended !== null) return []
  return grant.accessTokens.filter((token) => world.clock.now() < token.expiresAt).map((token) => token.value)
}

/**
 * Returns the scopes in the order of X's example, or reversed when the client requested that order:
 * a client must not compare strings.
 */
export function scopeInXOrder(grant: Grant): string {
  const order = ['tweet.read', 'users.read', 'tweet.write', 'offline.access']
  const rank = (scope: string) => (order.includes(scope) ? order.indexOf(scope) : order.length)
  const sorted = [...grant.scopes].sort((left, right) => rank(left) - rank(right) || left.localeCompare(right))
  const asked = grant.requestedScopes.filter((scope) => grant.scopes.includes(scope))
  return (sorted.join(' ') === asked.join(' ') ? sorted.reverse() : sorted).join(' ')
}

function issueTokens(world: World, grant: Grant): void {
  const now = world.clock.now()
  for (const token of grant.accessTokens) {
    if (world.switches.refreshEndsAccessToken || token.expiresAt <= now) world.grants.byAccessToken.delete(token.value)
  }
  grant.accessTokens = grant.accessTokens.filter((token) => world.grants.byAccessToken.has(token.value))
  const accessToken = { value: newXSecret('at', now), expiresAt: now + world.switches.accessTokenSeconds * 1000 }
  grant.accessTokens.push(accessToken)
  world.grants.byAccessToken.set(accessToken.value, grant)
  if (!grant.scopes.includes('offline.access')) return
  grant.refreshToken = { value: newXSecret('rt', now), expiresAt: now + REFRESH_TOKEN_SECONDS * 1000 }
  world.grants.byRefreshToken.set(grant.refreshToken.value, grant)
}

function endGrant(grant: Grant, because: NonNullable<Grant['ended']>): void {
  grant.ended = because
}
