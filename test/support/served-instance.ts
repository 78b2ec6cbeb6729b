// An instance behind a port, so that requests take the direct route as they do in production.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { createApp } from '../../src/app.ts'
import type { Instance } from './instance.ts'

/** Serves an instance, until `close`. Its address is that of the socket, or of a trusted proxy. */
export async function serveInstance(instance: Pick<Instance, 'deps'>) {
  const app = createApp(instance.deps)
  const respond = getRequestListener(app.fetch)
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (!(await app.handleDirectly(incoming, outgoing))) await respond(incoming, outgoing)
  }
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
