import { Hono } from 'hono'
import { listProblems } from '../accounts/deployment-problems.ts'
import type { Deps } from '../deps.ts'
import type { HttpEnv } from '../http/request-context.ts'

const READY_WITHIN_MILLISECONDS = 2_000

/** `/healthz`: the process responds. `/readyz`: it accepts requests and its database responds. */
export function healthRoutes(deps: Deps, isDraining: () => boolean): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  app.get('/healthz', (c) => c.text('ok'))
  app.get('/readyz', async (c) => {
    try {
      if (isDraining()) throw new Error('The process is shutting down')
      // Problems of the deployment do not make an instance unready: the other instances have them
      // too.
      return c.json({ status: 'ready', problems: await within(READY_WITHIN_MILLISECONDS, listProblems(deps)) })
    } catch (error) {
      deps.log.warn({ error }, 'Not ready')
      return c.json({ status: 'not ready' }, 503)
    }
  })
  return app
}

async function within<T>(milliseconds: number, work: PromiseLike<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('The database does not answer')), milliseconds)
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
