// A user's front end: pages on an origin in ALLOWED_ORIGINS.
import { createServer, type OutgoingHttpHeaders } from 'node:http'
import { closeServer, listenLocally } from '../support/local-server.ts'

export type FrontEnd = AsyncDisposable & {
  origin: string
  /** Serves this page at this path. */
  addPage(path: string, html: string, headers?: OutgoingHttpHeaders): string
}

/**
 * Starts a front end.
 * @param hostname its host name: `localhost` is another site than 127.0.0.1.
 */
export async function startFrontEnd(hostname: '127.0.0.1' | 'localhost' = '127.0.0.1'): Promise<FrontEnd> {
  const pages = new Map<string, { html: string; headers: OutgoingHttpHeaders }>()
  const server = createServer((request, response) => {
    const page = pages.get(new URL(request.url ?? '', 'http://front-end').pathname)
    if (page === undefined) return response.writeHead(404).end()
    return response.writeHead(200, { 'content-type': 'text/html', ...page.headers }).end(page.html)
  })
  const origin = `http://${hostname}:${await listenLocally(server)}`
  return {
    origin,
    addPage: (path, html, headers = {}) => {
      pages.set(path, { html: `<!doctype html><title>Front end</title>${html}`, headers })
      return `${origin}${path}`
    },
    [Symbol.asyncDispose]: () => closeServer(server),
  }
}
