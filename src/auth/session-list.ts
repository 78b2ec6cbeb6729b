// The sessions of one user, as the API lists and revokes them.
import { and, desc, eq, inArray, ne, sql } from 'drizzle-orm'
import { isRowId } from '../db/row-id.ts'
import { sessions } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'
import { createRemovalCookie } from './session.ts'
import {
  isLiveSession,
  MAX_SESSIONS,
  removeSessions,
  type Session,
  type SessionRow,
  sessionEnd,
} from './session-rows.ts'

/**
 * A session as its user sees it. `id` is not derived from the token; `current` is true for the
 * session of the request.
 */
export type ListedSession = {
  id: string
  device: string | null
  createdAt: Date
  lastUsedAt: Date
  expiresAt: Date
  current: boolean
}

/** Returns the sessions of the same user: the current one first, then the last used. */
export async function listSessions(deps: Deps, current: Session): Promise<ListedSession[]> {
  const found = await deps.db
    .select()
    .from(sessions)
    .where(and(eq(sessions.userId, current.userId), isLiveSession(deps)))
    .orderBy(desc(sql`${sessions.id} = ${current.id}`), desc(sessions.lastUsedAt), desc(sessions.createdAt))
    .limit(MAX_SESSIONS)
  return found.map((row) => show(row, current))
}

/** Returns the sessions of the same user that have not ended and have one of these `publicId`s. */
export async function listSessionsByIds(
  deps: Deps,
  current: Session,
  ids: readonly string[],
): Promise<ListedSession[]> {
  const found = await deps.db
    .select()
    .from(sessions)
    .where(and(eq(sessions.userId, current.userId), inArray(sessions.publicId, [...ids]), isLiveSession(deps)))
  return found.map((row) => show(row, current))
}

/**
 * Ends a session of the same user. For the current session, `setCookie` is the header that removes
 * the cookie.
 * @throws AppError SESSION_NOT_FOUND
 */
export async function revokeSession(
  deps: Deps,
  current: Session,
  publicId: string,
): Promise<{ session: ListedSession; setCookie: string | null }> {
  const isIt = and(eq(sessions.userId, current.userId), eq(sessions.publicId, publicId), isLiveSession(deps))
  const [ended] = isRowId(publicId) ? await removeSessions(deps, isIt, 'REVOKED') : []
  if (ended === undefined) throw new AppError('SESSION_NOT_FOUND', { field: ['input', 'sessionId'] })
  const session = show(ended, current)
  return { session, setCookie: session.current ? createRemovalCookie(deps) : null }
}

/** Ends all sessions of the same user except the current one, and returns their number. */
export async function revokeOtherSessions(deps: Deps, current: Session): Promise<number> {
  const others = and(eq(sessions.userId, current.userId), ne(sessions.id, current.id), isLiveSession(deps))
  return (await removeSessions(deps, others, 'REVOKED')).length
}

function show(row: SessionRow, current: Session): ListedSession {
  const { publicId, device, createdAt, lastUsedAt } = row
  return { id: publicId, device, createdAt, lastUsedAt, expiresAt: sessionEnd(row), current: row.id === current.id }
}
