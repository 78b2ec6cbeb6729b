import type { Clock } from './clock.ts'
import type { users } from './tables.ts'

/** What a session or an API token stands for. */
export type CachedViewer = {
  user: Pick<typeof users.$inferSelect, 'id'>
  /** When the session or token ends, by the clock of the process. */
  endsAt: Date
}

/**
 * Keeps the viewers of sessions or API tokens for some seconds, by the hash of their secrets, so
 * that not every request has to look them up. It is closed until `open` is called: notifications
 * drop what is no longer true, and without the connection that listens nothing may be kept.
 */
export type ViewerCache<Viewer extends CachedViewer> = {
  /** Returns the viewer that is kept, or that `lookUp` finds; null when it finds none. */
  find(hash: string, lookUp: () => Promise<Viewer | null>): Promise<Viewer | null>
  /** Drops what is kept of a user. */
  drop(userId: string): void
  open(): void
  /** Drops everything, and keeps nothing more. */
  close(): void
}

// A bound for the case that a notification is late or lost, as in a process that was suspended.
const KEPT_MILLISECONDS = 10_000
// About a kilobyte each.
const MAX_KEPT = 10_000

/** Creates a cache, which is closed. @param clock the clock by which sessions and tokens end. */
export function createViewerCache<Viewer extends CachedViewer>({ now }: Pick<Clock, 'now'>): ViewerCache<Viewer> {
  type Entry = { viewer: Viewer; keptAt: number; lookedUpAt: number }
  // In the order in which they were looked up, and so of their end.
  const entries = new Map<string, Entry>()
  let isOpen = false
  // A look-up that started before a change may have read what was true before.
  let changes = 0

  // By two clocks: that of the process can be set back.
  const isFresh = ({ viewer, keptAt, lookedUpAt }: Entry) => {
    const time = now().getTime()
    const isRecent = time >= lookedUpAt && time - lookedUpAt < KEPT_MILLISECONDS
    return isRecent && performance.now() - keptAt < KEPT_MILLISECONDS && time < viewer.endsAt.getTime()
  }

  const keep = (hash: string, entry: Entry) => {
    for (const [oldest, kept] of entries) {
      if (entries.size < MAX_KEPT && isFresh(kept)) break
      entries.delete(oldest)
    }
    entries.delete(hash)
    entries.set(hash, entry)
  }

  const clear = () => {
    changes += 1
    entries.clear()
  }

  return {
    find: async (hash, lookUp) => {
      const kept = entries.get(hash)
      if (kept !== undefined && isFresh(kept)) return kept.viewer
      const before = changes
      const times = { keptAt: performance.now(), lookedUpAt: now().getTime() }
      const viewer = await lookUp()
      if (viewer !== null && isOpen && changes === before) keep(hash, { viewer, ...times })
      return viewer
    },
    drop: (userId) => {
      changes += 1
      for (const [hash, { viewer }] of entries) if (viewer.user.id === userId) entries.delete(hash)
    },
    open: () => {
      clear()
      isOpen = true
    },
    close: () => {
      clear()
      isOpen = false
    },
  }
}
