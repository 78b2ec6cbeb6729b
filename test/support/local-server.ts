// A server of a test on a free port of this machine.
import { once } from 'node:events'
import type { Server } from 'node:net'

/** Listens at 127.0.0.1. Returns the port. */
export async function listenLocally(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Bug: a TCP server without a port')
  return address.port
}

/** Closes the server; one of HTTP with all its connections. */
export async function closeServer(server: Server & { closeAllConnections?(): void }): Promise<void> {
  server.closeAllConnections?.()
  await new Promise((resolve) => server.close(resolve))
}
