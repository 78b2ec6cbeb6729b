// A reverse proxy that replaces the browser's Host header, as nginx does with
// `proxy_pass http://localhost:3000` and Vite's `server.proxy` with an address alone. Like both, it
// rewrites redirects that begin with its target.
import { createServer, request } from 'node:http'
import { closeServer, listenLocally } from './local-server.ts'

export type HostProxy = AsyncDisposable & {
  port: number
  /** Sends requests to this port, with this Host header; null keeps the browser's. */
  passTo(port: number, host: string | null): void
}

/** Starts a proxy on 127.0.0.1. */
export async function startHostProxy(): Promise<HostProxy> {
  let target: { port: number; host: string | null } | null = null
  const server = createServer((incoming, outgoing) => {
    if (target === null) return outgoing.writeHead(502).end()
    const { port, host } = target
    const own = `http://${incoming.headers.host}`
    const headers = { ...incoming.headers, host: host ?? incoming.headers.host }
    const passed = request(
      { host: '127.0.0.1', port, method: incoming.method, path: incoming.url, headers },
      (response) => {
        const { location } = response.headers
        const rewritten =
          host !== null && location?.startsWith(`http://${host}/`) ? location.replace(`http://${host}`, own) : location
        outgoing.writeHead(response.statusCode ?? 502, {
          ...response.headers,
          ...(rewritten !== undefined && { location: rewritten }),
        })
        response.pipe(outgoing)
      },
    )
    passed.on('error', () => outgoing.destroy())
    incoming.pipe(passed)
  })
  return {
    port: await listenLocally(server),
    passTo: (port, host) => {
      target = { port, host }
    },
    [Symbol.asyncDispose]: () => closeServer(server),
  }
}
