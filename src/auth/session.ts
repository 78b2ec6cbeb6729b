// The only file that imports lucia, which has no more releases. To replace it, reimplement these
// functions.

import { DrizzlePostgreSQLAdapter } from '@lucia-auth/adapter-drizzle'
import { and, eq, lt, lte } from 'drizzle-orm'
import { parse } from 'hono/utils/cookie'
import { type Adapter, Lucia, TimeSpan } from 'lucia'
import { randomToken, sha256 } from '../crypto.ts'
import { isActive } from '../db/active-user.ts'
import { onceForEachHandle } from '../db/once-for-each-handle.ts'
import { sessions, users } from '../db/tables.ts'
import type { ChargeLookUp } from '../db/viewer-cache.ts'
import type { CachedSession } from '../db/viewers.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { recordEvent } from '../events/events.ts'
import {
  endSurplusSessions,
  isLiveSession,
  isSession,
  oldestStart,
  removeSessions,
  type Session,
  type SessionEnd,
  type SessionKey,
  sessionEnd,
} from './session-rows.ts'
import { describeDevice } from './user-agent.ts'
import { createUserSecret, findSecretOwner, hasSecretForm } from './user-secret.ts'

/** How long after its sign-in a session may do what requires a recent sign-in. */
export const RECENT_SIGN_IN_SECONDS = 600
// A sliding timeout. Lucia extends it at half of the lifetime, so at most every 15 days.
const IDLE_LIFETIME = new TimeSpan(30, 'd')
const USE_WRITTEN_EVERY = new TimeSpan(1, 'h')

declare module 'lucia' {
  interface Register {
    Lucia: ReturnType<typeof lucia>
    DatabaseSessionAttributes: { createdAt: Date; lastUsedAt: Date; device: string | null }
    DatabaseUserAttributes: { row: typeof users.$inferSelect }
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
  const key = { userId, id: sha256(token) }
  const session = await transaction(deps, async (deps) => {
    await recordEvent(deps, { type: 'session.started', userId })
    const about = { createdAt: now, lastUsedAt: now, device: describeDevice(userAgent) }
    const { createdAt, expiresAt } = await lucia(deps).createSession(userId, about, { sessionId: luciaId(key) })
    await endSurplusSessions(deps, userId)
    return { ...key, createdAt, expiresAt }
  })
  deps.viewers.sessions.addExisting(key.id)
  return { session, setCookie: createCookie(deps, token) }
}

/**
 * Returns the session of a Cookie header with its user; null when there is none, or the header is
 * malformed. `setCookie` is not null when the browser's cookie has to be renewed.
 * @param charge charges for the look-up of a token that may be made up.
 */
export async function findSession(
  deps: Deps,
  cookieHeader: string | null,
  charge: ChargeLookUp,
): Promise<(CachedSession & { setCookie: string | null }) | null> {
  const token = parseSessionToken(deps, cookieHeader)
  if (token === null) return null
  const id = sha256(token)
  let isExtended = false
  const lookUp = async () => {
    const lookedUp = await lookUpSession(deps, token, id)
    isExtended = lookedUp?.isExtended ?? false
    return lookedUp
  }
  const found = await deps.viewers.sessions.find(id, lookUp, charge)
  return found && { ...found, setCookie: isExtended ? createCookie(deps, token) : null }
}

/** Returns the session of a Cookie header if this process keeps it in memory; null otherwise. */
export function findKeptSession(deps: Deps, cookieHeader: string | null): CachedSession | null {
  const token = parseSessionToken(deps, cookieHeader)
  return token === null ? null : deps.viewers.sessions.findKept(sha256(token))
}

// Extends the session and records its use when that is due.
async function lookUpSession(
  deps: Deps,
  token: string,
  id: string,
): Promise<(CachedSession & { isExtended: boolean }) | null> {
  const userId = await findSecretOwner(deps, token)
  if (userId === null) return null
  const key = { userId, id }
  const { session: found, user } = await lucia(deps).validateSession(luciaId(key))
  if (found === null) return null
  const { createdAt, expiresAt, lastUsedAt, fresh } = found
  if (createdAt <= oldestStart(deps)) {
    await removeSessions(deps, isSession(key), 'EXPIRED')
    return null
  }
  if (!fresh) await recordUse(deps, key, lastUsedAt)
  const session = { ...key, createdAt, expiresAt }
  return { session, user: user.row, endsAt: sessionEnd(session), isExtended: fresh }
}

/**
 * Returns the Set-Cookie header of an existing session once more; null when there is none with this
 * key.
 * @param random the secret bits that `startSession` was called with.
 */
export async function repeatSessionCookie(deps: Deps, key: SessionKey, random: string): Promise<string | null> {
  const token = createUserSecret(key.userId, random)
  const isIts = key.id === sha256(token) && (await isSessionGood(deps, key))
  return isIts ? createCookie(deps, token) : null
}

/** Returns true while a session has not ended. Does not extend it. */
export async function isSessionGood(deps: Deps, session: SessionKey): Promise<boolean> {
  const [good] = await deps.db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(isSession(session), isLiveSession(deps)))
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
  if (session !== null) await removeSessions(deps, isSession(session), reason)
  return { setCookie: createRemovalCookie(deps) }
}

/** Returns the Set-Cookie header that removes the session cookie. */
export function createRemovalCookie(deps: Deps): string {
  return lucia(deps).createBlankSessionCookie().serialize()
}

async function recordUse(deps: Deps, session: SessionKey, lastUsedAt: Date): Promise<void> {
  const now = deps.clock.now()
  const due = new Date(now.getTime() - USE_WRITTEN_EVERY.milliseconds())
  if (lastUsedAt > due) return
  // The condition is checked again: of many concurrent requests, one writes.
  await deps.db
    .update(sessions)
    .set({ lastUsedAt: now })
    .where(and(isSession(session), lte(sessions.lastUsedAt, due)))
}

// Lucia knows sessions by their id alone. It gets the key of the row as one text, which the adapter
// takes apart.
function luciaId({ userId, id }: SessionKey): string {
  return `${userId}:${id}`
}

function parseLuciaId(text: string): SessionKey {
  const [userId = '', id = ''] = text.split(':')
  return { userId, id }
}

const lucia = onceForEachHandle((deps: Deps) => {
  const secure = deps.config.publicUrl.startsWith('https:')
  // The adapter's types name one driver's database; it calls only what all of them share.
  const adapter: Adapter = new DrizzlePostgreSQLAdapter(deps.db, sessions, users)
  const insert = adapter.setSession.bind(adapter)
  adapter.setSession = (session) => insert({ ...session, id: parseLuciaId(session.id).id })
  adapter.getSessionAndUser = async (id) => {
    const [found] = await deps.db
      .select({ session: sessions, user: users })
      .from(sessions)
      .innerJoin(users, and(eq(users.id, sessions.userId), isActive()))
      .where(isSession(parseLuciaId(id)))
    if (found === undefined) return [null, null]
    const { userId, expiresAt, createdAt, lastUsedAt, device } = found.session
    const session = { id, userId, expiresAt, attributes: { createdAt, lastUsedAt, device } }
    return [session, { id: userId, attributes: { row: found.user } }]
  }
  // Lucia calls this for an expired session.
  adapter.deleteSession = async (id) => {
    await removeSessions(deps, isSession(parseLuciaId(id)), 'EXPIRED')
  }
  // Lucia calls this at half of the lifetime, for each of many concurrent requests; one writes.
  adapter.updateSessionExpiration = async (id, expiresAt) => {
    const written = new Date(expiresAt.getTime() - USE_WRITTEN_EVERY.milliseconds())
    await deps.db
      .update(sessions)
      .set({ expiresAt, lastUsedAt: deps.clock.now() })
      .where(and(isSession(parseLuciaId(id)), lt(sessions.expiresAt, written)))
  }
  return new Lucia(adapter, {
    sessionExpiresIn: IDLE_LIFETIME,
    sessionCookie: {
      name: sessionCookieName(secure),
      // Lax, not Strict: the provider's redirect to the callback must carry the cookie.
      attributes: { secure, sameSite: 'lax', path: '/' },
    },
    getSessionAttributes: ({ createdAt, lastUsedAt }) => ({ createdAt, lastUsedAt }),
    getUserAttributes: ({ row }) => ({ row }),
  })
})

function createCookie(deps: Deps, token: string): string {
  return lucia(deps).createSessionCookie(token).serialize()
}

// With the prefix __Host-, browsers require https, Path=/ and no Domain, so that a sibling
// subdomain cannot set the cookie.
function sessionCookieName(secure: boolean): string {
  return secure ? '__Host-xconnect_session' : 'xconnect_session'
}

function parseSessionToken(deps: Deps, cookieHeader: string | null): string | null {
  if (cookieHeader === null) return null
  const name = sessionCookieName(deps.config.publicUrl.startsWith('https:'))
  const token = parseCookie(cookieHeader, name)
  return token !== undefined && hasSecretForm(token) ? token : null
}

// Most browsers send this cookie alone, and as it was set: nothing is left to parse.
function parseCookie(header: string, name: string): string | undefined {
  const isAlone = header.startsWith(`${name}=`) && !/[;"%\s]/.test(header)
  return isAlone ? header.slice(name.length + 1) : parse(header, name)[name]
}
