import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from './client.ts'
import { connectPostgres } from './connection.ts'

/** Sends a notification over the connection that listens. */
export type Notify = (channel: string, payload: string) => Promise<unknown>

/**
 * Handles the notifications of one channel.
 * @param payload null when the process begins to listen, also after the connection was lost:
 *   notifications may have been missed.
 */
export type Listener = (payload: string | null, notify: Notify) => void

/** The name of a connection that listens, as in pg_stat_activity. */
export const LISTENING_APPLICATION = 'xconnect-gateway-events'

const NOTIFY = 'select pg_notify($1, $2)'

/**
 * Listens for NOTIFY on some channels. On PostgreSQL over one connection of its own, which is
 * opened again whenever it is lost. Notifications of the time between are lost: a listener reads
 * the tables too.
 * @param onLost is called when the connection is lost, as soon as notifications can be missed.
 * @param announcement is executed whenever the process begins to listen, in the same session.
 * @returns a function that stops listening.
 */
export async function listenForNotifications(
  { source }: Pick<Database, 'source'>,
  listeners: ReadonlyMap<string, Listener>,
  onLost: () => void = () => {},
  announcement: string | null = null,
): Promise<() => Promise<void>> {
  if (source.kind === 'pglite') {
    const { client } = source
    const notify: Notify = (channel, payload) => client.query(NOTIFY, [channel, payload])
    const stops = await Promise.all(
      [...listeners].map(([channel, listener]) => client.listen(channel, (payload) => listener(payload, notify))),
    )
    for (const listener of listeners.values()) listener(null, notify)
    return async () => void (await Promise.all(stops.map((stop) => stop())))
  }
  let state: 'OPENING' | 'LISTENING' | 'STOPPED' = 'OPENING'
  const client = connectPostgres(source, {
    applicationName: LISTENING_APPLICATION,
    route: 'direct',
    max: 1,
    // `listenAgain` waits.
    backoff: () => 0,
    listening: {
      onNotify: (channel, payload) => listeners.get(channel)?.(payload, notify),
      onClose: () => {
        if (state !== 'LISTENING') return
        state = 'OPENING'
        onLost()
        void listenAgain()
      },
    },
  })
  const notify: Notify = (channel, payload) => client.unsafe(NOTIFY, [channel, payload])
  const listen = async () => {
    // One message, so that either all are listened to or none.
    const statements = [...listeners.keys()].map((channel) => `listen "${channel}"`)
    await client.unsafe([...statements, ...(announcement === null ? [] : [announcement])].join('; '))
    if (state === 'STOPPED') return
    state = 'LISTENING'
    for (const listener of listeners.values()) listener(null, notify)
  }
  const listenAgain = async () => {
    for (let tries = 0; state === 'OPENING'; tries++) {
      await sleep(Math.min(2 ** tries / 10, 5) * (0.5 + Math.random() / 2) * 1000, undefined, { ref: false })
      if (state === 'OPENING') await listen().catch(() => {})
    }
  }
  await listen()
  return async () => {
    state = 'STOPPED'
    await client.end({ timeout: 1 })
  }
}
