// The viewers of sessions and API tokens, kept in memory while notifications tell of every change.
import { sql } from 'drizzle-orm'
import type { Log } from '../telemetry/log.ts'
import { type AfterCommit, atOnce } from './after-commit.ts'
import type { Db } from './client.ts'
import type { Clock } from './clock.ts'
import type { Listener } from './listen.ts'
import { createNotificationBarrier } from './notification-barrier.ts'
import type { apiTokens, sessions, users } from './tables.ts'
import { type CachedViewer, createViewerCache, type ViewerCache } from './viewer-cache.ts'

type User = typeof users.$inferSelect

/** A session with its user. */
export type CachedSession = CachedViewer & {
  user: User
  session: Pick<typeof sessions.$inferSelect, 'id' | 'userId' | 'createdAt' | 'expiresAt'>
}

/** An API token, without the hash of its secret, with its user. */
export type CachedApiToken = CachedViewer & {
  user: User
  apiToken: Omit<typeof apiTokens.$inferSelect, 'secretHash'>
}

/** The viewers that one process keeps. */
export type Viewers = {
  sessions: ViewerCache<CachedSession>
  apiTokens: ViewerCache<CachedApiToken>
  /** The channels by which the process learns of changes. */
  listeners: ReadonlyMap<string, Listener>
  /** Drops everything. Nothing is kept until the process listens again. */
  stopKeeping(): void
  /** Does the same, because notifications can be missed from now on. */
  onLost(): void
  /** Drops what is kept of a user here, and waits until the other instances have done so. */
  drop(userId: string): Promise<void>
}

/** The NOTIFY channel of changes; the payload is the id of the user. */
const CHANNEL = 'xconnect_viewers'

/** Creates the memory of one process. It keeps nothing until the process listens. */
export function createViewers({ db, clock, log }: { db: Db; clock: Clock; log: Log }): Viewers {
  const sessions = createViewerCache<CachedSession>(clock)
  const apiTokens = createViewerCache<CachedApiToken>(clock)
  const caches = [sessions, apiTokens]
  let isListening = false
  let wasLost = false
  const barrier = createNotificationBarrier(db, log, () => isListening)
  const drop = (userId: string) => {
    for (const cache of caches) cache.drop(userId)
  }
  const onNotify: Listener = (userId) => {
    if (userId !== null) return drop(userId)
    if (wasLost) log.info('Notifications of the database arrive again')
    wasLost = false
    isListening = true
    for (const cache of caches) cache.open()
  }
  const stopKeeping = () => {
    isListening = false
    for (const cache of caches) cache.close()
  }
  return {
    sessions,
    apiTokens,
    listeners: new Map([[CHANNEL, onNotify], ...barrier.listeners]),
    stopKeeping,
    onLost: () => {
      wasLost = true
      log.info('Notifications of the database cannot arrive: each request looks up its session or API token')
      stopKeeping()
    },
    drop: async (userId) => {
      drop(userId)
      await barrier.wait()
    },
  }
}

/**
 * Tells every instance that what it keeps of a user is no longer true: a session or API token has
 * ended, or the user's row has changed. Call it in the transaction that makes the change. Once
 * `transaction()` has returned, no instance acts on what was true before.
 */
export async function announceViewerChange(
  { db, afterCommit = atOnce, viewers }: { db: Db; afterCommit?: AfterCommit; viewers?: Viewers },
  userId: string,
): Promise<void> {
  await db.execute(sql`select pg_notify(${CHANNEL}, ${userId})`)
  await afterCommit(() => viewers?.drop(userId))
}
