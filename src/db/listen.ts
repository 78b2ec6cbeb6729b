import type { Database } from './client.ts'
import { connectPostgres } from './connection.ts'

/**
 * Listens for NOTIFY on some channels. On PostgreSQL over one connection of its own, which is
 * opened again whenever it is lost. Notifications of the time between are lost: a listener reads
 * the tables too.
 * @param listeners get the payload of their channel, and null when notifications may have been
 *   missed.
 * @returns a function that stops listening.
 */
export async function listenForNotifications(
  { source }: Pick<Database, 'source'>,
  listeners: ReadonlyMap<string, (payload: string | null) => void>,
): Promise<() => Promise<void>> {
  if (source.kind === 'pglite') {
    const { client } = source
    const stops = await Promise.all([...listeners].map(([channel, onNotify]) => client.listen(channel, onNotify)))
    return async () => void (await Promise.all(stops.map((stop) => stop())))
  }
  const client = connectPostgres(source, {
    applicationName: 'xconnect-gateway-events',
    route: 'direct',
    max: 1,
    // In seconds.
    backoff: (tries) => Math.min(2 ** tries / 10, 5) * (0.5 + Math.random() / 2),
  })
  for (const [channel, onNotify] of listeners) await client.listen(channel, onNotify, () => onNotify(null))
  return () => client.end({ timeout: 1 })
}
