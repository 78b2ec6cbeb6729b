import { randomUUID } from 'node:crypto'
import type { MiddlewareHandler } from 'hono'
import type { HttpEnv } from '../request-context.ts'

/**
 * Gives each request an id, the client's X-Request-Id if it is well-formed, and returns it in the
 * response.
 */
export const requestId: MiddlewareHandler<HttpEnv> = async (c, next) => {
  const id = chooseRequestId(c.req.header('x-request-id'))
  c.set('requestId', id)
  await next()
  c.header('x-request-id', id)
}

/** Returns the id that the client gave if it is well-formed; otherwise a new one. */
export function chooseRequestId(given: string | undefined): string {
  return given !== undefined && /^[\w.-]{8,64}$/.test(given) ? given : randomUUID()
}
