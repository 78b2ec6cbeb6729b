import type { Database } from './client.ts'
import { connectPostgres } from './connection.ts'

/**
 * Listens for NOTIFY on a channel. On PostgreSQL over a connection of its own, which is opened
 * again whenever it is lost. Notifications of the time between are lost: a listener reads the
 * tables too.
 * @param onNotify gets the payload, and null when notifications may have been missed.
 * @returns a function that stops listening.
 */
export async function listenForNotifications(
  { source }: Pick<Database, 'source'>,
  channel: string,
  onNotify: (payload: string | null) => void,
): Promise<() => Promise<void>> {
  if (source.kind === 'pglite') return source.client.listen(channel, onNotify)
  const client = connectPostgres(source, {
    applicationName: 'xconnect-gateway-events',
    route: 'direct',
    max: 1,
    // In seconds.
    backoff: (tries) => Math.min(2 ** tries / 10, 5) * (0.5 + Math.random() / 2),
  })
  await client.listen(channel, onNotify, () => onNotify(null))
  return () => client.end({ timeout: 1 })
}
