// The only file that imports lucia, which has no more releases. To replace it, reimplement these
// functions.

import { DrizzlePostgreSQLAdapter } from '@lucia-auth/adapter-drizzle'
import { and, eq, gt, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import { parse } from 'hono/utils/cookie'
import { type Adapter, Lucia, TimeSpan } from 'lucia'
import { randomToken, sha256 } from '../crypto.ts'
import { runBatches } from '../db/batches.ts'
import { sessions, users } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import { describeDevice } from './user-agent.ts'
import { createUserSecret, findSecretOwner, parseSecretOwner } from './user-secret.ts'

/** Why a session has ended. */
export type SessionEnd = 'SIGNED_OUT' | 'REVOKED' | 'REPLACED' | 'EXPIRED'

/** A signed-in browser. `id` is SHA-256 of the session token, `createdAt` the sign-in. */
export type Session = { id: string; userId: string; createdAt: Date; expiresAt: Date }

/** What identifies a session. */
export type SessionKey = Pick<Session, 'id' | 'userId'>

/** How long after its sign-in a session may do what requires a recent sign-in. */
export const RECENT_SIGN_IN_SECONDS = 600
// A sliding timeout. Lucia extends it at half of the lifetime, so at most every 15 days.
const IDLE_LIFETIME = new TimeSpan(30, 'd')
// An absolute timeout, which limits the use of a stolen session (OWASP Session Management Cheat
// Sheet).
const ABSOLUTE_LIFETIME = new TimeSpan(90, 'd')
const USE_WRITTEN_EVERY = new TimeSpan(1, 'h')
// Few: the transaction locks the event counters of all their users.
const SWEEP_BATCH = 50

declare module 'lucia' {
  interface Register {
    Lucia: ReturnType<typeof lucia>
    DatabaseSessionAttributes: { createdAt: Date; lastUsedAt: Date; device: string | null }
  }
}

/**
 * Starts a session, and returns it with the Set-Cookie header that carries its token.
 * @param userAgent the browser's User-Agent header.
 * @param random the 256 secret bits of the session token, as base64url.
 */
export async function startSession(
  deps: Deps,
  userId: string,
  userAgent: string | null,
  random = randomToken(),
): Promise<{ session: Session; setCookie: string }> {
  const now = deps.clock.now()
  const token = createUserSecret(userId, random)
  const session = await transaction(deps, async (deps) => {
    await recordEvent(deps, { type: 'session.started', userId })
    const about = { createdAt: now, lastUsedAt: now, device: describeDevice(userAgent) }
    return lucia(deps, userId).createSession(userId, about, { sessionId: sha256(token) })
  })
  return { session, setCookie: lucia(deps, userId).createSessionCookie(token).serialize() }
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
  const userId = await findSecretOwner(deps, token)
  if (userId === null) return null
  const { session } = await lucia(deps, userId).validateSession(sha256(token))
  if (session === null) return null
  if (session.createdAt <= oldestStart(deps)) {
    await removeSessions(deps, isIt(session), 'EXPIRED')
    return null
  }
  if (!session.fresh) await recordUse(deps, session)
  return { session, setCookie: session.fresh ? lucia(deps, userId).createSessionCookie(token).serialize() : null }
}

/**
 * Returns the Set-Cookie header of an existing session once more; null when there is none with this
 * key.
 * @param random the secret bits that `startSession` was called with.
 */
export async function repeatSessionCookie(deps: Deps, key: SessionKey, random: string): Promise<string | null> {
  const token = createUserSecret(key.userId, random)
  const isIts = key.id === sha256(token) && (await isSessionGood(deps, key))
  return isIts ? lucia(deps, key.userId).createSessionCookie(token).serialize() : null
}

/** Returns true while a session has not ended. Does not extend it. */
export async function isSessionGood(deps: Deps, session: SessionKey): Promise<boolean> {
  const [good] = await deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(isIt(session), isLiveSession(deps)))
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
  session: SessionKey | null,
  reason: SessionEnd,
): Promise<{ setCookie: string }> {
  if (session !== null) await removeSessions(deps, isIt(session), reason)
  return { setCookie: createRemovalCookie(deps) }
}

/** Deletes the expired sessions, until the signal. */
export async function sweepSessions(deps: Deps, signal?: AbortSignal): Promise<void> {
  const expired = deps.db
    .select({ userId: sessions.userId, id: sessions.id })
    .from(sessions)
    .where(or(lte(sessions.expiresAt, new Date()), lte(sessions.createdAt, oldestStart(deps))))
    .limit(SWEEP_BATCH)
  await runBatches(
    SWEEP_BATCH,
    async () => (await removeSessions(deps, sql`(${sessions.userId}, ${sessions.id}) in ${expired}`, 'EXPIRED')).length,
    signal,
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
  return lucia(deps, '').createBlankSessionCookie().serialize()
}

// Sessions that started before this have reached the absolute timeout.
function oldestStart({ clock }: Deps): Date {
  return new Date(clock.now().getTime() - ABSOLUTE_LIFETIME.milliseconds())
}

async function recordUse(deps: Deps, session: SessionKey & { lastUsedAt: Date }): Promise<void> {
  const now = deps.clock.now()
  const due = new Date(now.getTime() - USE_WRITTEN_EVERY.milliseconds())
  if (session.lastUsedAt > due) return
  // The condition is checked again: of many concurrent requests, one writes.
  await deps.db
    .update(sessions)
    .set({ lastUsedAt: now })
    .where(and(isIt(session), lte(sessions.lastUsedAt, due)))
}

function isIt({ userId, id }: SessionKey): SQL | undefined {
  return and(eq(sessions.userId, userId), eq(sessions.id, id))
}

// Lucia knows sessions by their id alone: the adapter adds the user to each of its statements.
function lucia(deps: Deps, userId: string) {
  const secure = deps.config.publicUrl.startsWith('https:')
  // The adapter's types name one driver's database; it calls only what all of them share.
  const adapter: Adapter = new DrizzlePostgreSQLAdapter(deps.db, sessions, users)
  adapter.getSessionAndUser = async (id) => {
    const [row] = await deps.db.select().from(sessions).where(isIt({ userId, id }))
    if (row === undefined) return [null, null]
    const { expiresAt, createdAt, lastUsedAt, device } = row
    const session = { id, userId, expiresAt, attributes: { createdAt, lastUsedAt, device } }
    // The foreign key guarantees the user, whose row the caller reads.
    return [session, { id: userId, attributes: {} }]
  }
  // Lucia calls this for an expired session.
  adapter.deleteSession = async (id) => {
    await removeSessions(deps, isIt({ userId, id }), 'EXPIRED')
  }
  // Lucia calls this at half of the lifetime, for each of many concurrent requests; one writes.
  adapter.updateSessionExpiration = async (id, expiresAt) => {
    const written = new Date(expiresAt.getTime() - USE_WRITTEN_EVERY.milliseconds())
    await deps.db
      .update(sessions)
      .set({ expiresAt, lastUsedAt: deps.clock.now() })
      .where(and(isIt({ userId, id }), lt(sessions.expiresAt, written)))
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
  if (token === undefined) return null
  // Before session tokens named their user, they were the secret bits alone.
  return parseSecretOwner(token) !== null || /^[A-Za-z0-9_-]{43}$/.test(token) ? token : null
}
