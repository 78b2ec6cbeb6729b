import { identifyCaller } from './caller.ts'
import type { Clock } from './clock.ts'
import type { users } from './tables.ts'

/** What a session or an API token stands for. */
export type CachedViewer = {
  user: Pick<typeof users.$inferSelect, 'id'>
  /** When the session or token ends, by the clock of the process. */
  endsAt: Date
}

/** Charges for a look-up that may find nothing, and runs it. @throws AppError RATE_LIMITED */
export type ChargeLookUp = <T>(lookUp: () => Promise<T | null>) => Promise<T | null>

/**
 * Keeps the viewers of sessions or API tokens for some seconds, by the hash of their secrets, so
 * that not every request has to look them up. It is closed until `open` is called: notifications
 * drop what is no longer true, and without the connection that listens nothing may be kept.
 * That a secret is unknown is kept without notifications: a new secret has random bits that nobody
 * can have sent before, so an unknown one never becomes valid.
 */
export type ViewerCache<Viewer extends CachedViewer> = {
  /**
   * Returns the viewer that is kept, or that `lookUp` finds; null when it finds none.
   * @param charge runs the look-up of a secret that this process has not found before.
   */
  find(hash: string, lookUp: () => Promise<Viewer | null>, charge: ChargeLookUp): Promise<Viewer | null>
  /** Returns the viewer that is kept; null when none is. */
  findKept(hash: string): Viewer | null
  /** Marks the secret with this hash as one that exists: its look-up is not charged. */
  addExisting(hash: string): void
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
// About a hundred bytes each.
const MAX_EXISTING = 50_000
const MAX_UNKNOWN = 10_000

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

  // The hashes of secrets that a look-up has found, the last one last.
  const existing = new Set<string>()
  const addExisting = (hash: string) => {
    existing.delete(hash)
    existing.add(hash)
    deleteOldest(existing, MAX_EXISTING)
  }
  // The hashes of secrets that a look-up has not found, with its time, the last one last. A
  // database that was restored or is behind the one before it may find them later, as may any
  // look-up once a blocked user is unblocked.
  const unknown = new Map<string, number>()
  const isUnknown = (hash: string) => {
    const since = unknown.get(hash)
    return since !== undefined && performance.now() - since < KEPT_MILLISECONDS
  }
  const addUnknown = (hash: string) => {
    existing.delete(hash)
    unknown.delete(hash)
    unknown.set(hash, performance.now())
    deleteOldest(unknown, MAX_UNKNOWN)
  }

  const clear = () => {
    changes += 1
    entries.clear()
  }

  const findKept = (hash: string) => {
    const kept = entries.get(hash)
    return kept !== undefined && isFresh(kept) ? kept.viewer : null
  }

  return {
    findKept,
    find: async (hash, lookUp, charge) => {
      const kept = findKept(hash)
      if (kept !== null) return kept
      if (isUnknown(hash)) return null
      const lookUpAndKeep = async () => {
        const before = changes
        const times = { keptAt: performance.now(), lookedUpAt: now().getTime() }
        const viewer = await lookUp()
        if (viewer !== null && isOpen && changes === before) keep(hash, { viewer, ...times })
        return viewer
      }
      const isExisting = existing.has(hash)
      if (isExisting) identifyCaller(hash)
      const viewer = await (isExisting ? lookUpAndKeep() : charge(lookUpAndKeep))
      if (viewer === null) addUnknown(hash)
      else addExisting(hash)
      return viewer
    },
    addExisting,
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

function deleteOldest(entries: { size: number; keys(): Iterator<string>; delete(key: string): boolean }, max: number) {
  if (entries.size <= max) return
  const { value: oldest } = entries.keys().next()
  if (oldest !== undefined) entries.delete(oldest)
}
