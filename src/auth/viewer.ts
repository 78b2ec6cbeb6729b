import { OPERATOR_ID, type users } from '../db/tables.ts'
import type { ChargeLookUp } from '../db/viewer-cache.ts'
import type { CachedApiToken } from '../db/viewers.ts'
import type { Deps } from '../deps.ts'
import {
  type ApiToken,
  findApiTokenBySecret,
  findKeptApiToken,
  isApiTokenGood,
  type OperatorScope,
  type UserScope,
} from './api-token.ts'
import { findKeptSession, findSession, isSessionGood } from './session.ts'
import type { Session } from './session-rows.ts'

/** A person who uses the app. */
export type User = typeof users.$inferSelect

/** A user in a signed-in browser, with access to all of their data. */
export type SessionViewer = { kind: 'SESSION'; user: User; session: Session }
/** A program that acts for a user, within the scopes of its token. */
export type UserTokenViewer = { kind: 'USER_TOKEN'; user: User; apiToken: ApiToken }
/** A program of the operator, which acts for no user. */
export type OperatorViewer = { kind: 'OPERATOR_TOKEN'; apiToken: ApiToken }

/** The authenticated caller of a request. */
export type Viewer = SessionViewer | UserTokenViewer | OperatorViewer

/**
 * Returns the viewer of a Cookie header; null when it carries no valid session. `setCookie` is not
 * null when the browser's cookie has to be renewed.
 * @throws AppError RATE_LIMITED from `charge`
 */
export async function findSessionViewer(
  deps: Deps,
  cookieHeader: string | null,
  charge: ChargeLookUp,
): Promise<{ viewer: SessionViewer | null; setCookie: string | null }> {
  const found = await findSession(deps, cookieHeader, charge)
  if (found === null) return { viewer: null, setCookie: null }
  const { user, session, setCookie } = found
  return { viewer: { kind: 'SESSION', user, session }, setCookie }
}

/**
 * Returns the viewer of the API token with this secret; null when there is no active one.
 * @throws AppError RATE_LIMITED from `charge`
 */
export async function findTokenViewer(
  deps: Pick<Deps, 'db' | 'clock' | 'viewers'>,
  secret: string,
  charge: ChargeLookUp,
): Promise<UserTokenViewer | OperatorViewer | null> {
  const found = await findApiTokenBySecret(deps, secret, charge)
  return found && createTokenViewer(found)
}

/**
 * Returns the viewer of an API token or, with `secret` null, of a Cookie header, if this process
 * keeps them in memory; null otherwise.
 */
export function findKeptViewer(deps: Deps, secret: string | null, cookieHeader: string | null): Viewer | null {
  if (secret !== null) {
    const found = findKeptApiToken(deps, secret)
    return found && createTokenViewer(found)
  }
  const found = findKeptSession(deps, cookieHeader)
  return found && { kind: 'SESSION', user: found.user, session: found.session }
}

function createTokenViewer({ apiToken, user }: CachedApiToken): UserTokenViewer | OperatorViewer {
  return apiToken.userId === OPERATOR_ID ? { kind: 'OPERATOR_TOKEN', apiToken } : { kind: 'USER_TOKEN', user, apiToken }
}

/**
 * Returns true while the viewer's session or token has not ended. For work that outlives its
 * request.
 */
export function isViewerGood(deps: Deps, viewer: Viewer): Promise<boolean> {
  return viewer.kind === 'SESSION' ? isSessionGood(deps, viewer.session) : isApiTokenGood(deps, viewer.apiToken)
}

/** Returns the viewer when it is a signed-in browser; null for any other. */
export function sessionOf(viewer: Viewer | null): SessionViewer | null {
  return viewer?.kind === 'SESSION' ? viewer : null
}

/**
 * Returns true when the viewer may act for a user within this scope. A session has all scopes; an
 * operator's token acts for no user.
 */
export function mayAsUser(viewer: Viewer | null, scope: UserScope): boolean {
  return viewer?.kind === 'SESSION' || (viewer?.kind === 'USER_TOKEN' && viewer.apiToken.scopes.includes(scope))
}

/** Returns true for an operator's token with this scope. */
export function mayAsOperator(viewer: Viewer | null, scope: OperatorScope): boolean {
  return viewer?.kind === 'OPERATOR_TOKEN' && viewer.apiToken.scopes.includes(scope)
}
