// Lets an instance wait until all others have handled the notifications that were sent before: it
// asks on one channel, and the others confirm on another. PostgreSQL delivers the notifications of
// all sessions in the order of their commits. The others are counted in pg_stat_activity, which shows
// a role the application names of its own connections alone: all instances have one role.
import { sql } from 'drizzle-orm'
import { withTimeout } from '../process/with-timeout.ts'
import type { Log } from '../telemetry/log.ts'
import { type Db, queryRows } from './client.ts'
import { LISTENING_APPLICATION, type Listener } from './listen.ts'

export type NotificationBarrier = {
  /** The channels of the barrier. */
  listeners: ReadonlyMap<string, Listener>
  /** Waits for the other instances, for at most half a second. Never throws. */
  wait(): Promise<void>
}

const ASKED_CHANNEL = 'xconnect_asked'
const CONFIRMED_CHANNEL = 'xconnect_confirmed'
// A suspended instance does not confirm.
const WAIT_SECONDS = 0.5

/**
 * Creates the barrier of one instance.
 * @param isListening true while this instance listens itself.
 */
export function createNotificationBarrier(db: Db, log: Log, isListening: () => boolean): NotificationBarrier {
  const instance = crypto.randomUUID()
  const waiting = new Map<string, () => void>()
  let asked = 0
  return {
    listeners: new Map<string, Listener>([
      [
        ASKED_CHANNEL,
        (id, notify) => {
          if (id === null || id.startsWith(instance)) return
          notify(CONFIRMED_CHANNEL, id).catch((error: unknown) =>
            log.debug({ error }, 'A notification was not confirmed'),
          )
        },
      ],
      [CONFIRMED_CHANNEL, (id) => waiting.get(id ?? '')?.()],
    ]),
    wait: async () => {
      asked += 1
      const id = `${instance} ${asked}`
      const { promise, resolve } = Promise.withResolvers<void>()
      let confirmed = 0
      let others = Number.POSITIVE_INFINITY
      const resolveIfAll = () => {
        if (confirmed >= others) resolve()
      }
      waiting.set(id, () => {
        confirmed += 1
        resolveIfAll()
      })
      try {
        // An instance that begins to listen later has missed nothing.
        const [row] = await queryRows(
          db,
          sql`select pg_notify(${ASKED_CHANNEL}, ${id}), (select count(*)::int from pg_stat_activity
            where datname = current_database() and application_name = ${LISTENING_APPLICATION}) as listening`,
        )
        others = Number(row?.listening) - (isListening() ? 1 : 0)
        resolveIfAll()
        await withTimeout(WAIT_SECONDS, promise, () =>
          log.warn({ confirmed, others }, 'Not every instance has confirmed a notification in time'),
        )
      } catch (error) {
        log.warn({ error }, 'The other instances could not be asked to confirm a notification')
      } finally {
        waiting.delete(id)
      }
    },
  }
}
