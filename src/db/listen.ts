// What the database tells by NOTIFY, as a hint that there is something to read. It may be lost with the connection that would have
// brought it, so that whoever hears of a new connection must look as well.
import type { Database } from './client.ts'
import { connectPostgres } from './connection.ts'

/**
 * Calls `heard` for each notification on `channel` with its payload, and with null when some may have been missed. On PostgreSQL over
 * a connection of its own, which is made anew for as long as it takes.
 * @returns the end of it.
 */
export async function hearNotifications(
  { source }: Pick<Database, 'source'>,
  channel: string,
  heard: (payload: string | null) => void,
): Promise<() => Promise<void>> {
  if (source.kind === 'pglite') return source.client.listen(channel, heard)
  const client = connectPostgres(source, {
    applicationName: 'xconnect-gateway-events',
    route: 'direct',
    max: 1,
    // In seconds. Meanwhile whoever waits looks now and then.
    backoff: (tries) => Math.min(2 ** tries / 10, 5) * (0.5 + Math.random() / 2),
  })
  await client.listen(channel, heard, () => heard(null))
  return () => client.end({ timeout: 1 })
}
