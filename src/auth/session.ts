// The only file that imports lucia, which has no more releases. To replace it, reimplement these
// functions.

import { DrizzlePostgreSQLAdapter } from '@lucia-auth/adapter-drizzle'
import { and, eq, gt, inArray, lt, lte, or, type SQL } from 'drizzle-orm'
import { parse } from 'hono/utils/cookie'
import { type Adapter, Lucia, TimeSpan } from 'lucia'
import { randomToken, sha256 } from '../crypto.ts'
import { runBatches } from '../db/batches.ts'
import { sessions, users } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { describeDevice } from './user-agent.ts'

/** Why a session has ended. */
export type SessionEnd = 'SIGNED_OUT' | 'REVOKED' | 'REPLACED' | 'EXPIRED'

/** A signed-in browser. `id` is SHA-256 of the session token, `createdAt` the sign-in. */
export type Session = { id: string; userId: string; createdAt: Date; expiresAt: Date }

/** How long after its sign-in a session may do what requires a recent sign-in. */
export const RECENT_SIGN_IN_SECONDS = 600
// A sliding timeout. Lucia extends it at half of the lifetime, so at most every 15 days.
const IDLE_LIFETIME = new TimeSpan(30, 'd')
// An absolute timeout, which limits the use of a stolen session (OWASP Session Management Cheat
// Sheet).
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
 * Starts a session, and returns it with the Set-Cookie header that carries its token.
 * @param userAgent the browser's User-Agent header.
 * @param token the session token, 256 secret bits; random by default.
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
 * Returns the session of a Cookie header; null when there is none, or the header is malformed.
 * `setCookie` is not null when the browser's cookie has to be renewed.
 */
export async function findSession(
  deps: Deps,
  cookieHeader: string | null,
): Promise<{ session: Session; setCookie: string | null } | null> {
  const token = parseSessionToken(deps, cookieHeader)
  if (token === null) return null
  const { session } = await lucia(deps).validateSession(sha256(token))
  if (session === null) return null
  if (session.createdAt <= oldestStart(deps)) {
    await removeSessions(deps, eq(sessions.id, session.id), 'EXPIRED')
    return null
  }
  if (!session.fresh) await recordUse(deps, session)
  return { session, setCookie: session.fresh ? lucia(deps).createSessionCookie(token).serialize() : null }
}

/**
 * Returns the Set-Cookie header of an existing session once more; null when there is none with this
 * id and token.
 */
export async function repeatSessionCookie(deps: Deps, sessionId: string, token: string): Promise<string | null> {
  const isIts = sessionId === sha256(token) && (await isSessionGood(deps, sessionId))
  return isIts ? lucia(deps).createSessionCookie(token).serialize() : null
}

/** Returns true while a session has not ended. Does not extend it. */
export async function isSessionGood(deps: Deps, sessionId: string): Promise<boolean> {
  const [good] = await deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(eq(sessions.id, sessionId), isLiveSession(deps)))
  return good !== undefined
}

/**
 * Requires a sign-in within the last ten minutes. A stolen cookie is not enough.
 * @throws AppError RECENT_SIGN_IN_REQUIRED
 */
export function requireRecentSignIn({ clock }: Pick<Deps, 'clock'>, { createdAt }: Session): void {
  if (clock.now().getTime() - createdAt.getTime() > RECENT_SIGN_IN_SECONDS * 1000)
    throw new AppError('RECENT_SIGN_IN_REQUIRED')
}

/** Ends a session in the database, and returns the Set-Cookie header that removes the cookie. */
export async function endSession(
  deps: Deps,
  sessionId: string | null,
  reason: SessionEnd,
): Promise<{ setCookie: string }> {
  if (sessionId !== null) await removeSessions(deps, eq(sessions.id, sessionId), reason)
  return { setCookie: createRemovalCookie(deps) }
}

/** Deletes the expired sessions. */
export async function sweepSessions(deps: Deps): Promise<void> {
  const expired = deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(or(lte(sessions.expiresAt, new Date()), lte(sessions.createdAt, oldestStart(deps))))
    .limit(SWEEP_BATCH)
  await runBatches(
    SWEEP_BATCH,
    async () => (await removeSessions(deps, inArray(sessions.id, expired), 'EXPIRED')).length,
  )
}

/** The row of a session. */
export type SessionRow = typeof sessions.$inferSelect

/**
 * Deletes sessions and records their end. Of any number of callers, one finds a row and records the
 * event.
 */
export function removeSessions(deps: Deps, which: SQL | undefined, reason: SessionEnd): Promise<SessionRow[]> {
  return transaction(deps, async (deps) => {
    const ended = await deps.db.delete(sessions).where(which).returning()
    await recordEvent(deps, ...ended.map(({ userId }) => ({ type: 'session.ended' as const, userId, reason })))
    return ended
  })
}

/** The condition for sessions that have not ended. */
export function isLiveSession(deps: Deps): SQL | undefined {
  return and(gt(sessions.expiresAt, new Date()), gt(sessions.createdAt, oldestStart(deps)))
}

/** Returns when a session ends without further use, by either timeout. */
export function sessionEnd({ expiresAt, createdAt }: Pick<SessionRow, 'expiresAt' | 'createdAt'>): Date {
  return new Date(Math.min(expiresAt.getTime(), createdAt.getTime() + ABSOLUTE_LIFETIME.milliseconds()))
}

/** Returns the Set-Cookie header that removes the session cookie. */
export function createRemovalCookie(deps: Deps): string {
  return lucia(deps).createBlankSessionCookie().serialize()
}

// Sessions that started before this have reached the absolute timeout.
function oldestStart({ clock }: Deps): Date {
  return new Date(clock.now().getTime() - ABSOLUTE_LIFETIME.milliseconds())
}

async function recordUse(deps: Deps, session: { id: string; lastUsedAt: Date }): Promise<void> {
  const now = deps.clock.now()
  const due = new Date(now.getTime() - USE_WRITTEN_EVERY.milliseconds())
  if (session.lastUsedAt > due) return
  // The condition is checked again: of many concurrent requests, one writes.
  const isIt = and(eq(sessions.id, session.id), lte(sessions.lastUsedAt, due))
  await deps.db.update(sessions).set({ lastUsedAt: now }).where(isIt)
}

function lucia(deps: Deps) {
  const secure = deps.config.publicUrl.startsWith('https:')
  // The adapter's types name one driver's database; it calls only what all of them share.
  const adapter: Adapter = new DrizzlePostgreSQLAdapter(deps.db, sessions, users)
  // Lucia calls this for an expired session.
  adapter.deleteSession = async (sessionId) => {
    await removeSessions(deps, eq(sessions.id, sessionId), 'EXPIRED')
  }
  // Lucia calls this at half of the lifetime, for each of many concurrent requests; one writes.
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
      // Lax, not Strict: the provider's redirect to the callback must carry the cookie.
      attributes: { secure, sameSite: 'lax', path: '/' },
    },
    getSessionAttributes: ({ createdAt, lastUsedAt }) => ({ createdAt, lastUsedAt }),
  })
}

// With the prefix __Host-, browsers require https, Path=/ and no Domain, so that a sibling
// subdomain cannot set the cookie.
function sessionCookieName(secure: boolean): string {
  return secure ? '__Host-xconnect_session' : 'xconnect_session'
}

function parseSessionToken(deps: Deps, cookieHeader: string | null): string | null {
  if (cookieHeader === null) return null
  const name = sessionCookieName(deps.config.publicUrl.startsWith('https:'))
  const token = parse(cookieHeader, name)[name]
  return token !== undefined && /^[A-Za-z0-9_-]{43}$/.test(token) ? token : null
}
