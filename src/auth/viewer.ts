import { eq } from 'drizzle-orm'
import { users } from '../db/tables.ts'
import type { Deps } from '../deps.ts'
import { findSession, type Session } from './session.ts'

/** A person who uses the app. */
export type User = typeof users.$inferSelect

/** Who is asking: a user, in a session. */
export type Viewer = { user: User; session: Session }

/**
 * Who a request with this Cookie header comes from; null when nobody is signed in.
 * `setCookie` is not null when the browser's cookie is to be renewed.
 */
export async function findViewer(
  deps: Deps,
  cookieHeader: string | null,
): Promise<{ viewer: Viewer | null; setCookie: string | null }> {
  const found = await findSession(deps, cookieHeader)
  if (found === null) return { viewer: null, setCookie: null }
  const [user] = await deps.db.select().from(users).where(eq(users.id, found.session.userId))
  return { viewer: user ? { user, session: found.session } : null, setCookie: found.setCookie }
}
