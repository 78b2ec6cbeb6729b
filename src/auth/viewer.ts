import { eq } from 'drizzle-orm'
import { users } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { type ApiScope, type ApiToken, findApiTokenBySecret, isApiTokenGood } from './api-token.ts'
import { findSession, isSessionGood, type Session } from './session.ts'

/** A person who uses the app. */
export type User = typeof users.$inferSelect

/** A user in a signed-in browser, who may do everything that is theirs. */
export type SessionViewer = { kind: 'SESSION'; user: User; session: Session }
/** A program that acts for a user, within the scopes of its token. */
export type UserTokenViewer = { kind: 'USER_TOKEN'; user: User; apiToken: ApiToken }
/** A program of the operator's, which acts for no user. */
export type OperatorViewer = { kind: 'OPERATOR_TOKEN'; apiToken: ApiToken }

/** Who is asking. */
export type Viewer = SessionViewer | UserTokenViewer | OperatorViewer

/**
 * The user whose browser sends this Cookie header; null when nobody is signed in.
 * `setCookie` is not null when the browser's cookie is to be renewed.
 */
export async function findSessionViewer(
  deps: Deps,
  cookieHeader: string | null,
): Promise<{ viewer: SessionViewer | null; setCookie: string | null }> {
  const found = await findSession(deps, cookieHeader)
  if (found === null) return { viewer: null, setCookie: null }
  const [user] = await deps.db.select().from(users).where(eq(users.id, found.session.userId))
  return {
    viewer: user ? { kind: 'SESSION', user, session: found.session } : null,
    setCookie: found.setCookie,
  }
}

/** Who holds the API token with this secret; null when there is none, or it has ended. */
export async function findTokenViewer(
  deps: Pick<Deps, 'db' | 'clock'>,
  secret: string,
): Promise<UserTokenViewer | OperatorViewer | null> {
  const found = await findApiTokenBySecret(deps, secret)
  if (found === null) return null
  const { apiToken, user } = found
  // By whom the token names, not by whether they were found: a user's token whose user is lost must not become the operator's.
  if (apiToken.userId === null) return { kind: 'OPERATOR_TOKEN', apiToken }
  return user === null ? null : { kind: 'USER_TOKEN', user, apiToken }
}

/** True while the session or token by which the viewer is known has not ended: for what goes on after a request was let in. */
export function isViewerGood(deps: Deps, viewer: Viewer): Promise<boolean> {
  return viewer.kind === 'SESSION' ? isSessionGood(deps, viewer.session.id) : isApiTokenGood(deps, viewer.apiToken.id)
}

/** The viewer of what only a signed-in browser may do; null for everybody else. */
export function sessionOf(viewer: Viewer | null): SessionViewer | null {
  return viewer?.kind === 'SESSION' ? viewer : null
}

/** True when the viewer may do for their user what this scope covers. A session may do all of it, an operator nothing. */
export function mayAsUser(viewer: Viewer | null, scope: ApiScope): boolean {
  return viewer?.kind === 'SESSION' || (viewer?.kind === 'USER_TOKEN' && viewer.apiToken.scopes.includes(scope))
}

/** True for an operator's token that has this scope. */
export function mayAsOperator(viewer: Viewer | null, scope: ApiScope): boolean {
  return viewer?.kind === 'OPERATOR_TOKEN' && viewer.apiToken.scopes.includes(scope)
}
