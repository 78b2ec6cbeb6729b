// The event streams that this process has open: their number is bounded, NOTIFY wakes them, and a
// shutdown ends them. events/streams.ts reads their events. This registry is part of `Deps`, so it
// is below the features; it knows owners and users by their ids alone.
import { AppError } from '../errors.ts'

/** The open event streams of this process. */
export type EventStreams = {
  /**
   * Opens a stream of a user's events, or, with null, of all users' events.
   * @param owner the user or operator token that the stream is counted against.
   * @throws AppError TOO_MANY_STREAMS when the owner or the process has reached its limit.
   */
  open(owner: string, userId: string | null): EventStream
  /** Wakes the streams of this user; with null, all streams. */
  notify(userId: string | null): void
  /** Ends all streams, and from now on each new one as soon as it is opened. */
  finishAll(): void
}

/** One open stream. */
export type EventStream = {
  /** True once the stream has to end. */
  isOver(): boolean
  /**
   * Resolves when there may be new events, when the stream has to end, and after `seconds` at the
   * latest.
   */
  wait(seconds: number): Promise<void>
  /** Frees the stream's place. Safe to call twice. */
  end(): void
}

/** The maximum of open streams at an instance for one user or one operator token. */
export const MAX_STREAMS_PER_OWNER = 5
/**
 * The maximum of streams at an instance. Each queries the database every few seconds to check that
 * its owner still has access.
 */
export const MAX_STREAMS = 500

/**
 * Creates the registry.
 * @param lifeSeconds after which a stream ends, so that its client reconnects.
 */
export function createEventStreams(lifeSeconds: number): EventStreams {
  const open = new Set<{ owner: string; userId: string | null; notify(): void; finish(): void }>()
  let closed = false
  return {
    open: (owner, userId) => {
      const own = [...open].filter((stream) => stream.owner === owner).length
      if (own >= MAX_STREAMS_PER_OWNER) throw new AppError('TOO_MANY_STREAMS')
      if (open.size >= MAX_STREAMS) {
        throw new AppError('TOO_MANY_STREAMS', {
          detail: 'This instance has as many event streams open as it serves. Try again shortly, or poll with events.',
        })
      }
      let over = closed
      let notified = false
      let wake = () => {}
      const member = {
        owner,
        userId,
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
      const stream: EventStream = {
        isOver: () => over,
        wait: async (seconds) => {
          if (!notified && !over) {
            const { promise, resolve } = Promise.withResolvers<void>()
            wake = resolve
            const late = setTimeout(resolve, seconds * 1000)
            await promise
            clearTimeout(late)
          }
          notified = false
        },
        end: () => {
          clearTimeout(timer)
          open.delete(member)
          member.finish()
        },
      }
      return stream
    },
    notify: (userId) => {
      for (const stream of open)
        if (userId === null || stream.userId === null || stream.userId === userId) stream.notify()
    },
    finishAll: () => {
      closed = true
      for (const stream of open) stream.finish()
    },
  }
}
