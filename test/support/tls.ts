import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, type Socket } from 'node:net'
import { generate } from 'selfsigned'
import { closeServer, listenLocally } from './local-server.ts'

export type Certificate = { cert: string; key: string }

/**
 * Creates a self-signed certificate for these host names and 127.0.0.1.
 * @param options.expired whether it expired yesterday.
 */
export async function makeCertificate(hosts: string[], { expired = false } = {}): Promise<Certificate> {
  const day = 86_400_000
  const made = await generate([{ name: 'commonName', value: hosts[0] ?? 'nobody' }], {
    keyType: 'ec',
    notBeforeDate: new Date(Date.now() - 2 * day),
    notAfterDate: new Date(Date.now() + (expired ? -day : day)),
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [...hosts.map((value) => ({ type: 2 as const, value })), { type: 7 as const, ip: '127.0.0.1' }],
      },
    ],
  })
  return { cert: made.cert, key: made.private }
}

/** Starts an HTTPS server. */
export async function startHttps(
  certificate: Certificate,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const server = createHttpsServer(certificate, handle).on('tlsClientError', () => {})
  return { port: await listenLocally(server), [Symbol.asyncDispose]: () => closeServer(server) }
}

/** Returns a handler that forwards requests to an HTTP server. */
export function passTo(url: string) {
  return (incoming: IncomingMessage, response: ServerResponse): void => {
    const { method = 'GET', headers } = incoming
    const onward = request(new URL(incoming.url ?? '/', url), { method, headers }, (received) => {
      response.writeHead(received.statusCode ?? 502, received.headers)
      received.pipe(response)
    })
    onward.on('error', () => response.destroy())
    incoming.pipe(onward)
  }
}

export type ConnectProxy = Awaited<ReturnType<typeof startConnectProxy>>

/** Starts a CONNECT proxy that resolves every host name to this machine. */
export async function startConnectProxy() {
  const tunnels: { target: string; authorization: string | null }[] = []
  const sockets = new Set<Socket>()
  let behaviour: 'open' | 'refuse' | 'silent' = 'open'
  const server = createHttpServer((_, response) => response.writeHead(405).end())
  server.on('connect', (asked: IncomingMessage, client: Socket, head: Buffer) => {
    const target = asked.url ?? ''
    tunnels.push({ target, authorization: asked.headers['proxy-authorization'] ?? null })
    sockets.add(client)
    client.on('error', () => {})
    if (behaviour === 'silent') return
    if (behaviour === 'refuse') {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n')
      return
    }
    const onward = connect(Number(target.split(':').at(-1)), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      onward.write(head)
      onward.pipe(client)
      client.pipe(onward)
    })
    sockets.add(onward)
    onward.on('error', () => client.destroy())
    client.on('close', () => onward.destroy())
  })
  const port = await listenLocally(server)
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    tunnels,
    behave: (next: typeof behaviour) => {
      behaviour = next
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await closeServer(server)
    },
  }
}
