import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { type Arena, CHAOS_APPLICATION } from './arena.ts'

/** Looks every 10 ms for how long the gateways' oldest transaction has been open; `stop` gives the longest, in milliseconds. */
export function watchTransactions(arena: Arena): { stop(): Promise<number> } {
  const { host, port, user, pass, database } = arena.sql.options
  const sql = postgres({
    host: host[0] ?? '',
    port: port[0] ?? 0,
    user,
    pass: pass ?? '',
    database,
    max: 1,
    onnotice: () => {},
    connection: { application_name: CHAOS_APPLICATION },
  })
  let longest = 0
  let stopped = false
  const watching = (async () => {
    while (!stopped) {
      try {
        const [row] = await sql<{ age: number }[]>`
          select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 as age
          from pg_stat_activity where application_name like 'xconnect%'`
        longest = Math.max(longest, (row?.age ?? 0) * 1000)
      } catch {
        // The database is being restarted.
      }
      await sleep(10)
    }
    await sql.end({ timeout: 1 })
  })()
  return {
    async stop() {
      stopped = true
      await watching
      return longest
    },
  }
}
