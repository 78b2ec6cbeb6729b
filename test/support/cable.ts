/** A connection between a gateway and a server that the test can cut. */
import { connect, createServer, type Socket } from 'node:net'
import { closeServer, listenLocally } from './local-server.ts'

export type Cable = {
  /** The URL of the server, through the cable. */
  url: string
  /** Cuts all connections, without a message from either side. New ones can be opened. */
  cut(): void
  /** Cuts all connections, and each new one at once, until `mend`. */
  break(): void
  mend(): void
  close(): Promise<void>
}

/** Lays a cable to the server of this URL. */
export async function openCable(url: string): Promise<Cable> {
  const { port, hostname } = new URL(url)
  const sockets = new Set<Socket>()
  let isBroken = false
  const server = createServer((client) => {
    if (isBroken) {
      client.resetAndDestroy()
      return
    }
    const upstream = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('data', (bytes) => to.write(bytes))
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  const through = new URL(url)
  through.port = String(await listenLocally(server))
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return {
    url: through.href,
    cut,
    break: () => {
      isBroken = true
      cut()
    },
    mend: () => {
      isBroken = false
    },
    close: async () => {
      cut()
      await closeServer(server)
    },
  }
}
