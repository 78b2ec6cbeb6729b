// Tells all instances which users have new events, after their commit. NOTIFY inside a transaction
// would make all commits of the deployment wait for each other, since PostgreSQL queues
// notifications under one lock. A process that dies loses the users it has gathered; the recheck of
// the streams finds their events (auth/stream-recheck.ts).
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../telemetry/log.ts'

/**
 * Notifies all instances at once of a first user with new events, and gathers those who follow for
 * 50 ms, to notify of many by one statement.
 */
export type EventNotifier = {
  /** Call it after the commit. Never throws. */
  notify(userIds: Iterable<string>): void
  /** Sends what is gathered; later users are sent at once. */
  end(): Promise<void>
}

const GATHER_MILLISECONDS = 50

/**
 * Creates the notifier of one process.
 * @param send notifies all instances of these users.
 */
export function createEventNotifier(log: Log, send: (userIds: readonly string[]) => Promise<void>): EventNotifier {
  const gathered = new Set<string>()
  let sending: Promise<void> | null = null
  const ended = new AbortController()
  const run = async () => {
    while (gathered.size > 0) {
      const userIds = [...gathered]
      gathered.clear()
      await send(userIds).catch((error) =>
        log.debug({ error }, 'Other instances were not notified of new events, which they find at their next recheck'),
      )
      await sleep(GATHER_MILLISECONDS, undefined, { signal: ended.signal }).catch(() => {})
    }
    sending = null
  }
  return {
    notify: (userIds) => {
      for (const userId of userIds) gathered.add(userId)
      if (gathered.size > 0) sending ??= run()
    },
    end: async () => {
      ended.abort()
      await sending
    },
  }
}
