import type { Grant, State } from '../state.ts'

/** The grants by the values of their access tokens and of all their refresh tokens. */
export type GrantIndex = { byAccessToken: Map<string, Grant>; byRefreshToken: Map<string, Grant> }

/** Creates the index of the grants in the state. */
export function createGrantIndex(state: State): GrantIndex {
  const index: GrantIndex = { byAccessToken: new Map(), byRefreshToken: new Map() }
  for (const grant of state.grants) {
    for (const token of grant.accessTokens) index.byAccessToken.set(token.value, grant)
    for (const value of grant.spentRefreshTokens) index.byRefreshToken.set(value, grant)
    if (grant.refreshToken !== null) index.byRefreshToken.set(grant.refreshToken.value, grant)
  }
  return index
}
