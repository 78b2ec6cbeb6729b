import type { Context, MiddlewareHandler } from 'hono'
import { errorResponse, methodNotAllowedResponse } from '../error-response.ts'
import type { HttpEnv } from '../request-context.ts'

const PURPOSE_HEADERS = ['sec-purpose', 'purpose', 'x-purpose', 'x-moz']

/**
 * Lets only navigations of a browser window reach the OAuth routes, where a GET starts or finishes a
 * flow and counts against the limits of an address. Rejects prefetches (Fetch, section
 * "Sec-Purpose"; Purpose, X-Purpose and X-Moz of older browsers), which a browser discards and sends
 * again at the click; HEAD; and what a page loads or embeds, such as an image, by Sec-Fetch-Mode and
 * Sec-Fetch-Dest (Fetch Metadata). Older browsers send neither.
 * @param methodsOf returns the methods of a path, for the Allow header.
 */
export function navigationProtection(methodsOf: (path: string) => string[]): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    if (PURPOSE_HEADERS.some((name) => /^\s*(prefetch|preview)\b/i.test(c.req.header(name) ?? ''))) {
      const message = 'A sign-in cannot be prefetched. Navigate to this URL.'
      return errorResponse(403, { code: 'FORBIDDEN', message })
    }
    if (c.req.method === 'GET' && !isNavigation(c)) {
      const message = 'A sign-in cannot be loaded by a page or a frame. Navigate to this URL.'
      return errorResponse(403, { code: 'FORBIDDEN', message })
    }
    if (c.req.method !== 'HEAD') return next()
    const methods = methodsOf(c.req.path)
    if (methods.length === 0) return c.notFound()
    return methodNotAllowedResponse(methods)
  }
}

// A frame navigates too, but its destination is "iframe" or another element. No page can send these
// headers with values of its own, nor the mode "navigate" by fetch. A navigation that a service
// worker of this origin passes on has no destination (Fetch, "Request constructor"), and one that a
// front end's server forwards with Node's fetch has the mode "cors".
function isNavigation(c: Context<HttpEnv>): boolean {
  const mode = c.req.header('sec-fetch-mode') ?? 'navigate'
  const destination = c.req.header('sec-fetch-dest') ?? 'document'
  return mode === 'navigate'
    ? destination === 'document' || destination === 'empty'
    : mode === 'cors' && destination === 'document'
}
