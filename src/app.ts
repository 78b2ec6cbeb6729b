import type { Hono } from 'hono'
import { listProblems } from './accounts/deployment-problems.ts'
import type { Deps } from './deps.ts'
import { createGraphqlServer } from './graphql/server.ts'
import type { HttpEnv } from './http/middleware/csrf-protection.ts'
import { createRoutes } from './routes/graphql.ts'

/** The gateway without a port: everything it answers, given what it needs. */
export type App = {
  fetch: Hono<HttpEnv>['fetch']
  /** From now on /readyz says no, so that a load balancer sends nobody here any more, and each answer is the last of its connection. */
  drain(): void
  /** Resolves when no request is worked on any more, be its client still there to hear of it or not. */
  settled(): Promise<void>
}

const READY_WITHIN_MILLISECONDS = 2_000

/** Wires the edges to `deps`. */
export function createApp(deps: Deps): App {
  let draining = false
  const checkReadiness = async () => {
    if (draining) throw new Error('The process is shutting down')
    return within(READY_WITHIN_MILLISECONDS, listProblems(deps))
  }
  const routes = createRoutes(deps, { checkReadiness, answerGraphql: createGraphqlServer(deps) })
  const underWay = new Set<Promise<Response>>()
  return {
    fetch: (...request) => {
      const answer = Promise.resolve(routes.fetch(...request))
        .then((response) => (draining ? lastOfConnection(response) : response))
        .finally(() => underWay.delete(answer))
      underWay.add(answer)
      return answer
    },
    drain: () => {
      draining = true
    },
    settled: async () => {
      while (underWay.size > 0) await Promise.allSettled(underWay)
    },
  }
}

// A connection that is kept open would bring one request after another to a process that is to end.
function lastOfConnection(response: Response): Response {
  const last = new Response(response.body, response)
  last.headers.set('connection', 'close')
  return last
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
