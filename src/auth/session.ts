// The only file that imports lucia, which gets no more releases. To replace it, write these functions anew.
import { DrizzlePostgreSQLAdapter } from '@lucia-auth/adapter-drizzle'
import { and, eq, gt, inArray, lte, type SQL } from 'drizzle-orm'
import { parse } from 'hono/utils/cookie'
import { type Adapter, Lucia, TimeSpan } from 'lucia'
import { randomToken, sha256 } from '../crypto.ts'
import { sessions, users } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { recordEvent } from '../events.ts'

/** Why a session has ended. */
export type SessionEnd = 'SIGNED_OUT' | 'REPLACED' | 'EXPIRED'

/** A signed-in browser. `id` is SHA-256 of the session token. */
export type Session = { id: string; userId: string; expiresAt: Date }

// Slides: used every now and then, a session goes on. Lucia writes the new end at half-life, so at most every 15 days.
const IDLE_LIFETIME = new TimeSpan(30, 'd')
// Does not slide (OWASP Session Management: an absolute timeout bounds what a stolen session is worth).
const ABSOLUTE_LIFETIME = new TimeSpan(90, 'd')
const SWEEP_BATCH = 500

declare module 'lucia' {
  interface Register {
    Lucia: ReturnType<typeof lucia>
    DatabaseSessionAttributes: { createdAt: Date }
  }
}

/** Starts a session, and returns it with the Set-Cookie header that hands its token to the browser and to nobody else. */
export async function startSession(deps: Deps, userId: string): Promise<{ session: Session; setCookie: string }> {
  const token = randomToken()
  const session = await transaction(deps, async (deps) => {
    await recordEvent(deps, { type: 'session.started', userId })
    return lucia(deps).createSession(userId, { createdAt: deps.clock.now() }, { sessionId: sha256(token) })
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
  if (session.createdAt.getTime() + ABSOLUTE_LIFETIME.milliseconds() <= deps.clock.now().getTime()) {
    await remove(deps, eq(sessions.id, session.id), 'EXPIRED')
    return null
  }
  return { session, setCookie: session.fresh ? lucia(deps).createSessionCookie(token).serialize() : null }
}

/** True while a session has not ended. It is not renewed by being looked at. */
export async function isSessionGood(deps: Deps, sessionId: string): Promise<boolean> {
  const oldest = new Date(deps.clock.now().getTime() - ABSOLUTE_LIFETIME.milliseconds())
  const [good] = await deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(eq(sessions.id, sessionId), gt(sessions.expiresAt, new Date()), gt(sessions.createdAt, oldest)))
  return good !== undefined
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

/** Deletes the sessions that have expired. */
export async function sweepSessions(deps: Deps): Promise<void> {
  const expired = deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(lte(sessions.expiresAt, new Date()))
    .limit(SWEEP_BATCH)
  let removed: number
  do removed = await remove(deps, inArray(sessions.id, expired), 'EXPIRED')
  while (removed === SWEEP_BATCH)
}

// Of any number of callers, one finds the row and says so.
function remove(deps: Deps, which: SQL, reason: SessionEnd): Promise<number> {
  return transaction(deps, async (deps) => {
    const ended = await deps.db.delete(sessions).where(which).returning({ userId: sessions.userId })
    await recordEvent(deps, ...ended.map(({ userId }) => ({ type: 'session.ended' as const, userId, reason })))
    return ended.length
  })
}

function lucia(deps: Deps) {
  const secure = deps.config.publicUrl.startsWith('https:')
  // The adapter's types name one driver's database; it calls only what all of them share.
  const adapter: Adapter = new DrizzlePostgreSQLAdapter(deps.db, sessions, users)
  // Lucia calls it for a session that it finds expired.
  adapter.deleteSession = async (sessionId) => {
    await remove(deps, eq(sessions.id, sessionId), 'EXPIRED')
  }
  return new Lucia(adapter, {
    sessionExpiresIn: IDLE_LIFETIME,
    sessionCookie: {
      name: sessionCookieName(secure),
      // Lax, not Strict: the provider's redirect back to us must bring the cookie along.
      attributes: { secure, sameSite: 'lax', path: '/' },
    },
    getSessionAttributes: ({ createdAt }) => ({ createdAt }),
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
