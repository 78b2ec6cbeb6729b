import type { Hono } from 'hono'
import { ping } from './db/client.ts'
import type { Deps } from './deps.ts'
import { createGraphqlServer } from './graphql/server.ts'
import { createRoutes } from './http.ts'
import type { HttpEnv } from './http-guards.ts'

/** The gateway without a port: everything it answers, given what it needs. */
export type App = {
  fetch: Hono<HttpEnv>['fetch']
  /** From now on /readyz says no, so that a load balancer sends nobody here any more. */
  drain(): void
}

const READY_WITHIN_MILLISECONDS = 2_000

/** Wires the edges to `deps`. */
export function createApp(deps: Deps): App {
  let draining = false
  const checkReadiness = async () => {
    if (draining) throw new Error('The process is shutting down')
    await within(READY_WITHIN_MILLISECONDS, ping(deps.db))
  }
  const routes = createRoutes(deps, { checkReadiness, answerGraphql: createGraphqlServer(deps) })
  return {
    fetch: routes.fetch,
    drain: () => {
      draining = true
    },
  }
}

async function within(milliseconds: number, work: PromiseLike<unknown>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('The database does not answer')), milliseconds)
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
