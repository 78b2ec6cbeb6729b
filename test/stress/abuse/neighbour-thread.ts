// The neighbour in a thread of its own, so that its times do not include those of the clients that
// send the flood.
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { percentile } from '../../support/percentile.ts'
import { ask } from './ask.ts'
import type { Neighbour, Service } from './neighbour.ts'

const PAUSE_MILLISECONDS = 25

const { url, query, cookies }: Neighbour & { url: string } = workerData
let isDone = false
parentPort?.once('message', () => {
  isDone = true
})
const latencies: number[] = []
let failed = 0
do {
  const startedAt = performance.now()
  const status = await ask(url, query, { cookie: cookies[latencies.length % cookies.length] ?? '' }).catch(() => 0)
  if (status !== 200) failed += 1
  latencies.push(performance.now() - startedAt)
  await sleep(PAUSE_MILLISECONDS)
} while (!isDone)
const service: Service = {
  asked: latencies.length,
  failed,
  medianMilliseconds: percentile(latencies, 0.5),
  p99Milliseconds: percentile(latencies, 0.99),
}
parentPort?.postMessage(service)
