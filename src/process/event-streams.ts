// The event streams that this process has open: their number is bounded, NOTIFY and the recheck
// wake them, and a shutdown ends them. events/streams.ts reads their events. This registry is part
// of `Deps`, so it is below the features; it knows owners, users, sessions and tokens by their ids
// alone.
import { AppError } from '../errors.ts'

/** The open event streams of this process. */
export type EventStreams = {
  /**
   * Opens a stream of a user's events.
   * @param owner the user or operator token that the stream is counted against.
   * @throws AppError TOO_MANY_STREAMS when the owner or the process has reached its limit.
   */
  open(owner: string, followed: Followed): EventStream
  /** Wakes the streams of these users; with null, all streams. */
  notify(userIds: readonly string[] | null): void
  /** The open streams, for the recheck. */
  list(): readonly OpenStream[]
  /** Ends all streams, and from now on each new one as soon as it is opened. */
  finishAll(): void
}

/** What a stream follows, and by whose right. */
export type Followed = {
  userId: string
  credential: { kind: 'SESSION' | 'API_TOKEN'; userId: string; id: string }
}

/** An open stream, as the recheck sees it. */
export type OpenStream = Followed & {
  /**
   * Wakes the stream unless it was woken for this position already. What was committed before is
   * read by the time that it waits again.
   */
  reach(position: number): void
  notify(): void
}

/** One open stream, as its reader sees it. */
export type EventStream = {
  /** True once the stream has to end. */
  isOver(): boolean
  /**
   * Call it before the first read, with the user's last position: a recheck does not wake the
   * stream for it.
   */
  startAt(position: number): void
  /** Resolves when there may be new events, and when the stream has to end. */
  wait(): Promise<void>
  /** Frees the stream's place. Safe to call twice. */
  end(): void
}

/**
 * The maximum of open streams at an instance for one user or one operator token, unless it is
 * configured otherwise (MAX_EVENT_STREAMS_PER_USER).
 */
export const DEFAULT_STREAMS_PER_OWNER = 5
/**
 * The maximum of streams at an instance, unless it is configured otherwise. Each takes about 160 kB
 * of memory.
 */
export const DEFAULT_MAX_STREAMS = 500

/**
 * Creates the registry.
 * @param lifeSeconds after which a stream ends, so that its client reconnects.
 * @param maxStreams the maximum of streams at this instance.
 * @param maxPerOwner the maximum of those of one user or operator token.
 */
export function createEventStreams(
  lifeSeconds: number,
  maxStreams = DEFAULT_MAX_STREAMS,
  maxPerOwner = DEFAULT_STREAMS_PER_OWNER,
): EventStreams {
  const open = new Set<Member>()
  const byOwner = createGroups<Member>()
  const byUser = createGroups<Member>()
  let closed = false
  return {
    open: (owner, followed) => {
      if (byOwner.get(owner).size >= maxPerOwner) {
        throw new AppError('TOO_MANY_STREAMS', {
          detail: `You have ${maxPerOwner} event streams open at this instance, which is the limit. Close one, or follow several types in one stream.`,
        })
      }
      if (open.size >= maxStreams) {
        throw new AppError('TOO_MANY_STREAMS', {
          detail: 'This instance has as many event streams open as it serves. Try again shortly, or poll with events.',
        })
      }
      let over = closed
      let notified = false
      let reached: number | null = null
      let wake = () => {}
      const member: Member = {
        ...followed,
        reach: (position: number) => {
          if (position === reached) return
          reached = position
          member.notify()
        },
        notify: () => {
          notified = true
          wake()
        },
        finish: () => {
          over = true
          wake()
        },
      }
      // With jitter: streams that began together would otherwise reconnect together.
      const timer = setTimeout(member.finish, lifeSeconds * (0.9 + Math.random() / 10) * 1000)
      timer.unref()
      open.add(member)
      byOwner.add(owner, member)
      byUser.add(followed.userId, member)
      const stream: EventStream = {
        isOver: () => over,
        startAt: (position) => {
          reached = position
        },
        wait: async () => {
          if (!notified && !over) {
            const { promise, resolve } = Promise.withResolvers<void>()
            wake = resolve
            await promise
          }
          notified = false
        },
        end: () => {
          clearTimeout(timer)
          open.delete(member)
          byOwner.delete(owner, member)
          byUser.delete(followed.userId, member)
          member.finish()
        },
      }
      return stream
    },
    notify: (userIds) => {
      const notified = userIds === null ? [open] : userIds.map((userId) => byUser.get(userId))
      for (const streams of notified) for (const stream of streams) stream.notify()
    },
    list: () => [...open],
    finishAll: () => {
      closed = true
      for (const stream of open) stream.finish()
    },
  }
}

type Member = OpenStream & { finish(): void }

// Sets by a key, without the empty ones.
function createGroups<T>() {
  const groups = new Map<string, Set<T>>()
  const empty: ReadonlySet<T> = new Set()
  return {
    get: (key: string): ReadonlySet<T> => groups.get(key) ?? empty,
    add: (key: string, value: T) => {
      const group = groups.get(key) ?? new Set()
      groups.set(key, group.add(value))
    },
    delete: (key: string, value: T) => {
      const group = groups.get(key)
      group?.delete(value)
      if (group?.size === 0) groups.delete(key)
    },
  }
}
