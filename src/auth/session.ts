// The only file that imports lucia, which gets no more releases. To replace it, write these functions anew.

import { DrizzlePostgreSQLAdapter } from '@lucia-auth/adapter-drizzle'
import { and, desc, eq, gt, inArray, lt, lte, ne, or, type SQL, sql } from 'drizzle-orm'
import { parse } from 'hono/utils/cookie'
import { type Adapter, Lucia, TimeSpan } from 'lucia'
import { randomToken, sha256 } from '../crypto.ts'
import { runBatches } from '../db/batches.ts'
import { isRowId } from '../db/row-id.ts'
import { sessions, users } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { describeDevice } from './user-agent.ts'

/** Why a session has ended. */
export type SessionEnd = 'SIGNED_OUT' | 'REVOKED' | 'REPLACED' | 'EXPIRED'

/** A signed-in browser. `id` is SHA-256 of the session token, `createdAt` the sign-in. */
export type Session = { id: string; userId: string; createdAt: Date; expiresAt: Date }

/** A session as its user may see it. `id` has nothing to do with the token, `current` is true for the one that is asking. */
export type ListedSession = {
  id: string
  device: string | null
  createdAt: Date
  lastUsedAt: Date
  expiresAt: Date
  current: boolean
}

/** How many sessions are listed. */
export const MAX_LISTED_SESSIONS = 50
/** How long after signing in a session may do what a stolen cookie must not be enough for. */
export const RECENT_SIGN_IN_SECONDS = 600
// Slides: used every now and then, a session goes on. Lucia writes the new end at half-life, so at most every 15 days.
const IDLE_LIFETIME = new TimeSpan(30, 'd')
// Does not slide (OWASP Session Management: an absolute timeout bounds what a stolen session is worth).
const ABSOLUTE_LIFETIME = new TimeSpan(90, 'd')
const USE_WRITTEN_EVERY = new TimeSpan(1, 'h')
const SWEEP_BATCH = 500

declare module 'lucia' {
  interface Register {
    Lucia: ReturnType<typeof lucia>
    DatabaseSessionAttributes: { createdAt: Date; lastUsedAt: Date; device: string | null }
  }
}

/**
 * Starts a session, and returns it with the Set-Cookie header that hands its token to the browser and to nobody else.
 * @param userAgent the browser's header of that name.
 * @param token the session token: 256 bits that nobody else can know. Random unless given.
 */
export async function startSession(
  deps: Deps,
  userId: string,
  userAgent: string | null,
  token = randomToken(),
): Promise<{ session: Session; setCookie: string }> {
  const now = deps.clock.now()
  const session = await transaction(deps, async (deps) => {
    await recordEvent(deps, { type: 'session.started', userId })
    const about = { createdAt: now, lastUsedAt: now, device: describeDevice(userAgent) }
    return lucia(deps).createSession(userId, about, { sessionId: sha256(token) })
  })
  return { session, setCookie: lucia(deps).createSessionCookie(token).serialize() }
}

/**
 * The session that a Cookie header belongs to, or null. Junk of any kind is nobody.
 * `setCookie` is not null when the browser's cookie is to be renewed.
 */
export async function findSession(
  deps: Deps,
  cookieHeader: string | null,
): Promise<{ session: Session; setCookie: string | null } | null> {
  const token = readSessionToken(deps, cookieHeader)
  if (token === null) return null
  const { session } = await lucia(deps).validateSession(sha256(token))
  if (session === null) return null
  if (session.createdAt <= oldestStart(deps)) {
    await remove(deps, eq(sessions.id, session.id), 'EXPIRED')
    return null
  }
  if (!session.fresh) await noteUse(deps, session)
  return { session, setCookie: session.fresh ? lucia(deps).createSessionCookie(token).serialize() : null }
}

/**
 * The Set-Cookie header that hands out the session with this id and token once more; null when
 * there is no such session.
 */
export async function repeatSessionCookie(deps: Deps, sessionId: string, token: string): Promise<string | null> {
  const isIts = sessionId === sha256(token) && (await isSessionGood(deps, sessionId))
  return isIts ? lucia(deps).createSessionCookie(token).serialize() : null
}

/** True while a session has not ended. It is not renewed by being looked at. */
export async function isSessionGood(deps: Deps, sessionId: string): Promise<boolean> {
  const [good] = await deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(eq(sessions.id, sessionId), isLive(deps)))
  return good !== undefined
}

/**
 * Refuses a session whose sign-in is not recent: whoever holds no more than its cookie cannot sign in again.
 * @throws AppError RECENT_SIGN_IN_REQUIRED
 */
export function requireRecentSignIn({ clock }: Pick<Deps, 'clock'>, { createdAt }: Session): void {
  if (clock.now().getTime() - createdAt.getTime() > RECENT_SIGN_IN_SECONDS * 1000)
    throw new AppError('RECENT_SIGN_IN_REQUIRED')
}

/** The sessions of the user whose session this is: it comes first, then the last used. */
export async function listSessions(deps: Deps, current: Session): Promise<ListedSession[]> {
  const found = await deps.db
    .select()
    .from(sessions)
    .where(and(eq(sessions.userId, current.userId), isLive(deps)))
    .orderBy(desc(sql`${sessions.id} = ${current.id}`), desc(sessions.lastUsedAt), desc(sessions.createdAt))
    .limit(MAX_LISTED_SESSIONS)
  return found.map((row) => show(row, current))
}

/** Sessions of the same user that have not ended, by `Session.id` of the API. The ids are those of rows. */
export async function listSessionsByIds(
  deps: Deps,
  current: Session,
  ids: readonly string[],
): Promise<ListedSession[]> {
  const found = await deps.db
    .select()
    .from(sessions)
    .where(and(eq(sessions.userId, current.userId), inArray(sessions.publicId, [...ids]), isLive(deps)))
  return found.map((row) => show(row, current))
}

/**
 * Ends a session of the same user, which may be the one that asks: `setCookie` is then the header that removes the cookie.
 * @throws AppError SESSION_NOT_FOUND
 */
export async function revokeSession(
  deps: Deps,
  current: Session,
  publicId: string,
): Promise<{ session: ListedSession; setCookie: string | null }> {
  const isIt = and(eq(sessions.publicId, publicId), eq(sessions.userId, current.userId), isLive(deps))
  const [ended] = isRowId(publicId) ? await remove(deps, isIt, 'REVOKED') : []
  if (ended === undefined) throw new AppError('SESSION_NOT_FOUND', { field: ['input', 'sessionId'] })
  const session = show(ended, current)
  return { session, setCookie: session.current ? lucia(deps).createBlankSessionCookie().serialize() : null }
}

/** Ends all sessions of the same user but the one that asks, and returns how many those were. */
export async function revokeOtherSessions(deps: Deps, current: Session): Promise<number> {
  const others = and(eq(sessions.userId, current.userId), ne(sessions.id, current.id), isLive(deps))
  return (await remove(deps, others, 'REVOKED')).length
}

/** Ends a session in the database, and returns the Set-Cookie header that removes the cookie. */
export async function endSession(
  deps: Deps,
  sessionId: string | null,
  reason: SessionEnd,
): Promise<{ setCookie: string }> {
  if (sessionId !== null) await remove(deps, eq(sessions.id, sessionId), reason)
  return { setCookie: lucia(deps).createBlankSessionCookie().serialize() }
}

/** Deletes the sessions whose time is over. */
export async function sweepSessions(deps: Deps): Promise<void> {
  const expired = deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(or(lte(sessions.expiresAt, new Date()), lte(sessions.createdAt, oldestStart(deps))))
    .limit(SWEEP_BATCH)
  await runBatches(SWEEP_BATCH, async () => (await remove(deps, inArray(sessions.id, expired), 'EXPIRED')).length)
}

type Row = typeof sessions.$inferSelect

// Of any number of callers, one finds the row and says so.
function remove(deps: Deps, which: SQL | undefined, reason: SessionEnd): Promise<Row[]> {
  return transaction(deps, async (deps) => {
    const ended = await deps.db.delete(sessions).where(which).returning()
    await recordEvent(deps, ...ended.map(({ userId }) => ({ type: 'session.ended' as const, userId, reason })))
    return ended
  })
}

function show({ id, publicId, device, createdAt, lastUsedAt, expiresAt }: Row, current: Session): ListedSession {
  const end = Math.min(expiresAt.getTime(), createdAt.getTime() + ABSOLUTE_LIFETIME.milliseconds())
  return { id: publicId, device, createdAt, lastUsedAt, expiresAt: new Date(end), current: id === current.id }
}

function isLive(deps: Deps): SQL | undefined {
  return and(gt(sessions.expiresAt, new Date()), gt(sessions.createdAt, oldestStart(deps)))
}

// Whatever began then is over.
function oldestStart({ clock }: Deps): Date {
  return new Date(clock.now().getTime() - ABSOLUTE_LIFETIME.milliseconds())
}

async function noteUse(deps: Deps, session: { id: string; lastUsedAt: Date }): Promise<void> {
  const now = deps.clock.now()
  const due = new Date(now.getTime() - USE_WRITTEN_EVERY.milliseconds())
  if (session.lastUsedAt > due) return
  // Judged again by the statement itself: of many requests at once, one writes.
  const isIt = and(eq(sessions.id, session.id), lte(sessions.lastUsedAt, due))
  await deps.db.update(sessions).set({ lastUsedAt: now }).where(isIt)
}

function lucia(deps: Deps) {
  const secure = deps.config.publicUrl.startsWith('https:')
  // The adapter's types name one driver's database; it calls only what all of them share.
  const adapter: Adapter = new DrizzlePostgreSQLAdapter(deps.db, sessions, users)
  // Lucia calls it for a session that it finds expired.
  adapter.deleteSession = async (sessionId) => {
    await remove(deps, eq(sessions.id, sessionId), 'EXPIRED')
  }
  // And at half-life for each request of many at once, of which one is to write.
  adapter.updateSessionExpiration = async (sessionId, expiresAt) => {
    const written = new Date(expiresAt.getTime() - USE_WRITTEN_EVERY.milliseconds())
    await deps.db
      .update(sessions)
      .set({ expiresAt, lastUsedAt: deps.clock.now() })
      .where(and(eq(sessions.id, sessionId), lt(sessions.expiresAt, written)))
  }
  return new Lucia(adapter, {
    sessionExpiresIn: IDLE_LIFETIME,
    sessionCookie: {
      name: sessionCookieName(secure),
      // Lax, not Strict: the provider's redirect back to us must bring the cookie along.
      attributes: { secure, sameSite: 'lax', path: '/' },
    },
    getSessionAttributes: ({ createdAt, lastUsedAt }) => ({ createdAt, lastUsedAt }),
  })
}

// __Host-: the browser then insists on https, no Domain and Path=/, so that a sibling subdomain can't plant a session.
function sessionCookieName(secure: boolean): string {
  return secure ? '__Host-xconnect_session' : 'xconnect_session'
}

function readSessionToken(deps: Deps, cookieHeader: string | null): string | null {
  if (cookieHeader === null) return null
  const name = sessionCookieName(deps.config.publicUrl.startsWith('https:'))
  const token = parse(cookieHeader, name)[name]
  return token !== undefined && /^[A-Za-z0-9_-]{43}$/.test(token) ? token : null
}
