// X's OAuth scopes: which we ask for, which we need, and which there are.
import { AppError } from '../errors.ts'

/** The scopes a link needs to do all that the gateway offers; the default of `startXConnect`. */
const defaultScopes = ['tweet.read', 'tweet.write', 'users.read', 'offline.access'] as const

// What users/me needs: without them we cannot tell whose account it is.
const requiredScopes = ['tweet.read', 'users.read']
// X shows its own error page for a scope it does not know, and never comes back; so the vocabulary is checked here. It is that of X's
// OpenAPI document 2.167.
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

/** The scopes to ask for. @throws AppError BAD_USER_INPUT for one that X does not know. */
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

/** True when whose account it is can be asked with these. */
export function canReadProfile(scopes: readonly string[]): boolean {
  return requiredScopes.every((scope) => scopes.includes(scope))
}

/** What a link lacks of the default scopes. */
export function missingScopes(account: { scopes: readonly string[] }): string[] {
  return defaultScopes.filter((scope) => !account.scopes.includes(scope))
}

/** How an account stands whose tokens work: LIMITED where X granted less than all. */
export function workingStatus(scopes: readonly string[]) {
  return missingScopes({ scopes }).length === 0
    ? ({ status: 'ACTIVE', statusReason: null } as const)
    : ({ status: 'LIMITED', statusReason: 'SCOPES_NOT_GRANTED' } as const)
}
