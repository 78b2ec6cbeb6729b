// Signed-in users who send one request after the other, before an abuse and meanwhile.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { z } from 'zod'

/** What the neighbours send, in turns, and the Cookie headers of their sessions. */
export type Neighbour = { query: string; cookies: readonly string[] }

const serviceShape = z.object({
  asked: z.number(),
  failed: z.number(),
  medianMilliseconds: z.number(),
  p99Milliseconds: z.number(),
})

/** The service that the neighbours got. */
export type Service = z.infer<typeof serviceShape>

const AT_ONCE = 8

/** Lets the neighbours send their requests until `work` is done. */
export async function watchNeighbour(url: string, neighbour: Neighbour, work: () => Promise<void>): Promise<Service> {
  const thread = new Worker(new URL('./neighbour-thread.ts', import.meta.url), { workerData: { url, ...neighbour } })
  const result = once(thread, 'message')
  const working = work().finally(() => thread.postMessage('done'))
  const [[service]] = await Promise.all([result, working])
  return serviceShape.parse(service)
}

/** Calls `send` this many times, eight at once, and returns the results in their order. */
export async function inTurns<T>(count: number, send: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const turn = async () => {
    while (next < count) {
      const index = next++
      results[index] = await send(index)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, turn))
  return results
}
