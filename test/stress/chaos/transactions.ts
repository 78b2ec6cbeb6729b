import { setTimeout as sleep } from 'node:timers/promises'
import type { Arena } from './arena.ts'

const LOOK_EVERY_MILLISECONDS = 10
// During a notification, the server shows a transaction that began at the session's last statement,
// its LISTEN.
const LISTENER = 'xconnect-gateway-events'

/**
 * Measures a hundred times a second how long the gateways' oldest transaction has been open; `stop`
 * returns the longest time in milliseconds.
 */
export function watchTransactions({ sql }: Arena): { stop(): Promise<number> } {
  let longest = 0
  let stopped = false
  const watching = (async () => {
    while (!stopped) {
      try {
        const [row] = await sql<{ seconds: number }[]>`
          select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 as seconds
          from pg_stat_activity where application_name like 'xconnect%' and application_name <> ${LISTENER}`
        longest = Math.max(longest, (row?.seconds ?? 0) * 1000)
      } catch {
        // The database is being restarted.
      }
      await sleep(LOOK_EVERY_MILLISECONDS)
    }
  })()
  return {
    async stop() {
      stopped = true
      await watching
      return longest
    },
  }
}
