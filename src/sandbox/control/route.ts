import type { Hono } from 'hono'
import { z } from 'zod'
import { parseJson } from '../parameters.ts'
import type { SandboxControl } from './control.ts'

const callSchema = z.object({ method: z.string(), args: z.array(z.unknown()).default([]) })

/**
 * `POST /_control` with `{"method", "args"}` returns `{"result"}`, or 400 with `{"error"}`: the
 * control for tests in other processes.
 */
export function addControlRoute(app: Hono, control: SandboxControl): void {
  app.post('/_control', async (c) => {
    // A web page can send text/plain across origins without a preflight request, but not JSON.
    if (c.req.header('content-type') !== 'application/json') return c.json({ error: 'Send application/json.' }, 415)
    const call = callSchema.safeParse(parseJson(await c.req.text()))
    if (!call.success) return c.json({ error: 'Send {"method": "…", "args": […]}.' }, 400)
    const found = Object.entries(control).find(([name]) => name === call.data.method)
    if (found === undefined) return c.json({ error: `There is no control method ${call.data.method}.` }, 400)
    try {
      const result: unknown = Reflect.apply(found[1], control, call.data.args)
      return c.json({ result: result ?? null })
    } catch (error) {
      return c.json({ error: error instanceof Error ? error.message : String(error) }, 400)
    }
  })
}
