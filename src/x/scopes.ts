// X's OAuth scopes: the default ones, the required ones, and all that X knows.
import { AppError } from '../errors.ts'

/** The scopes that all features of the gateway need: the default of `startXConnect`. */
const defaultScopes = ['tweet.read', 'tweet.write', 'users.read', 'offline.access'] as const

// Required by GET /2/users/me, which identifies the account.
const requiredScopes = ['tweet.read', 'users.read']
// From X's OpenAPI document 2.167. For an unknown scope X shows an error page of its own and does
// not redirect back, so scopes are validated here.
const knownScopes = [
  ...defaultScopes,
  'block.read',
  'block.write',
  'bookmark.read',
  'bookmark.write',
  'broadcast.read',
  'broadcast.write',
  'dm.read',
  'dm.write',
  'follows.read',
  'follows.write',
  'like.read',
  'like.write',
  'list.read',
  'list.write',
  'media.write',
  'mute.read',
  'mute.write',
  'space.read',
  'timeline.read',
  'tweet.moderate.write',
]

/**
 * Returns the scopes to request: the given ones and the required ones, or the default ones for
 * null.
 * @throws AppError BAD_USER_INPUT for a scope that X does not know.
 */
export function parseScopes(requested: readonly string[] | null): string[] {
  if (requested === null) return [...defaultScopes]
  const unknown = requested.filter((scope) => !knownScopes.includes(scope))
  if (unknown.length > 0) {
    throw new AppError('BAD_USER_INPUT', {
      field: ['input', 'scopes'],
      detail: `X knows no scope ${unknown.map((scope) => JSON.stringify(scope.slice(0, 40))).join(', ')}. It knows ${knownScopes.join(', ')}.`,
    })
  }
  return [...new Set([...requiredScopes, ...requested])]
}

/** Returns true when these scopes allow reading the profile of the account. */
export function canReadProfile(scopes: readonly string[]): boolean {
  return requiredScopes.every((scope) => scopes.includes(scope))
}

/** Returns the default scopes that an account was not granted. */
export function missingScopes(account: { scopes: readonly string[] }): string[] {
  return defaultScopes.filter((scope) => !account.scopes.includes(scope))
}

/** Returns the status of an account whose tokens work: LIMITED when a default scope is missing. */
export function workingStatus(scopes: readonly string[]) {
  return missingScopes({ scopes }).length === 0
    ? ({ status: 'ACTIVE', statusReason: null } as const)
    : ({ status: 'LIMITED', statusReason: 'SCOPES_NOT_GRANTED' } as const)
}
