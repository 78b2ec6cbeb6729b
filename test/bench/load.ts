// Load from autocannon, in a process of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { z } from 'zod'

/** One HTTP request, to be sent over and over. */
export type BenchRequest = { url: string; method: 'GET' | 'POST'; headers: Record<string, string>; body: string | null }

export type LoadFigures = { total: number; perSecond: number; p50Milliseconds: number; p99Milliseconds: number }

const resultShape = z.object({
  errors: z.literal(0),
  non2xx: z.literal(0),
  requests: z.object({ total: z.int().positive(), average: z.number() }),
  latency: z.object({ p50: z.number(), p99: z.number() }),
})

/** Sends the request over that many connections. @throws Error when one response is not a 2xx. */
export async function sendLoad(
  { url, method, headers, body }: BenchRequest,
  { connections, seconds }: { connections: number; seconds: number },
): Promise<LoadFigures> {
  const options = [
    ...[
      '--connections',
      String(connections),
      '--duration',
      String(seconds),
      '--method',
      method,
      '--json',
      '--no-progress',
    ],
    ...Object.entries(headers).flatMap(([name, value]) => ['--headers', `${name}: ${value}`]),
    ...(body === null ? [] : ['--body', body]),
  ]
  const program = join(import.meta.dirname, 'node_modules/autocannon/autocannon.js')
  const child = spawn(process.execPath, [program, ...options, url], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (child.exitCode !== 0) throw new Error(`autocannon ended with ${child.exitCode}: ${errors}`)
  const result = resultShape.safeParse(JSON.parse(output))
  if (!result.success) throw new Error(`${url} did not respond as it should: ${output}`)
  const { requests, latency } = result.data
  return {
    total: requests.total,
    perSecond: requests.average,
    p50Milliseconds: latency.p50,
    p99Milliseconds: latency.p99,
  }
}
