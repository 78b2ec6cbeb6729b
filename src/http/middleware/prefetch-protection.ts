import type { MiddlewareHandler } from 'hono'
import { errorResponse, methodNotAllowedResponse } from '../error-response.ts'
import type { HttpEnv } from '../request-context.ts'

const PURPOSE_HEADERS = ['sec-purpose', 'purpose', 'x-purpose', 'x-moz']

/**
 * Rejects prefetches (Fetch, section "Sec-Purpose"; Purpose, X-Purpose and X-Moz of older browsers)
 * and HEAD. A GET of the OAuth routes starts or finishes a flow, so its response cannot be fetched
 * before the click. Browsers discard a rejected prefetch and send the request again at the click.
 * @param methodsOf returns the methods of a path, for the Allow header.
 */
export function prefetchProtection(methodsOf: (path: string) => string[]): MiddlewareHandler<HttpEnv> {
  return async (c, next) => {
    if (PURPOSE_HEADERS.some((name) => /^\s*(prefetch|preview)\b/i.test(c.req.header(name) ?? ''))) {
      const message = 'A sign-in cannot be prefetched. Navigate to this URL.'
      return errorResponse(403, { code: 'FORBIDDEN', message })
    }
    if (c.req.method !== 'HEAD') return next()
    const methods = methodsOf(c.req.path)
    if (methods.length === 0) return c.notFound()
    return methodNotAllowedResponse(methods)
  }
}
