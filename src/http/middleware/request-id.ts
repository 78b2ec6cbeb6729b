import type { MiddlewareHandler } from 'hono'
import type { HttpEnv } from '../request-context.ts'

/**
 * Gives each request an id, the client's X-Request-Id if it is well-formed, and returns it in the
 * response.
 */
export const requestId: MiddlewareHandler<HttpEnv> = async (c, next) => {
  const given = c.req.header('x-request-id')
  const id = given !== undefined && /^[\w.-]{8,64}$/.test(given) ? given : crypto.randomUUID()
  c.set('requestId', id)
  await next()
  c.header('x-request-id', id)
}
