import { Hono } from 'hono'
import { getActivityState } from '../accounts/activity-lease.ts'
import { listProblems } from '../accounts/deployment-problems.ts'
import { runProbe } from '../db/caller.ts'
import type { Deps } from '../deps.ts'
import type { HttpEnv } from '../http/request-context.ts'
import { shareResult } from '../process/share-result.ts'
import { VERSION } from '../process/version.ts'
import { withTimeout } from '../process/with-timeout.ts'

const READY_WITHIN_SECONDS = 2

/** `/healthz`: the process responds. `/readyz`: it accepts requests and its database responds. */
export function healthRoutes(deps: Deps, isDraining: () => boolean): Hono<HttpEnv> {
  const app = new Hono<HttpEnv>()
  // Anybody may ask, so that the database is asked by one caller at a time, and its response kept for
  // the others.
  const findState = shareResult(deps.timing.readinessKeptSeconds, async () => {
    try {
      return await withTimeout(
        READY_WITHIN_SECONDS,
        runProbe(async () => ({ revocations: await getActivityState(deps), problems: await listProblems(deps) })),
        late,
      )
    } catch (error) {
      deps.log.warn({ error }, 'Not ready')
      throw error
    }
  })
  app.get('/healthz', (c) => c.text('ok'))
  app.get('/readyz', async (c) => {
    try {
      if (isDraining()) throw new Error('The process is shutting down')
      // Problems of the deployment do not make an instance unready: the other instances have them
      // too.
      return c.json({ status: 'ready', version: VERSION, ...(await findState()) })
    } catch {
      return c.json({ status: 'not ready' }, 503)
    }
  })
  return app
}

function late(): never {
  throw new Error('The database does not respond')
}
