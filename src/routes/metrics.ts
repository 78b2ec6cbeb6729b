// The server of METRICS_PORT. It has a port of its own, because its figures are for operators alone.
import { createServer, type Server } from 'node:http'
import { runInBackground } from '../db/caller.ts'
import type { DatabaseUsage } from '../db/client.ts'
import type { Deps } from '../deps.ts'
import { shareResult } from '../process/share-result.ts'
import { VERSION } from '../process/version.ts'
import { withTimeout } from '../process/with-timeout.ts'
import type { Figure, PrometheusMetrics } from '../telemetry/prometheus.ts'

/** What the server shows beside what the process has counted. */
export type MetricsSources = {
  prometheus: PrometheusMetrics
  /** Reads the figures of the database. */
  readDatabase(): Promise<readonly Figure[]>
  /** The connections of the pool that are in use and waited for. */
  databaseUsage(): DatabaseUsage
  isReady(): boolean
}

// Prometheus waits for 10 s by default, and asks every 15 to 60 s.
const DATABASE_WITHIN_SECONDS = 2
// For several servers of Prometheus, and for people.
const KEPT_SECONDS = 5
// A scrape is one request without a body.
const SERVER_OPTIONS = { headersTimeout: 5_000, requestTimeout: 5_000, maxHeaderSize: 8_192 }

/** Creates the server, which does not listen yet. It responds to GET /metrics alone. */
export function createMetricsServer(deps: Deps, sources: MetricsSources): Server {
  const findDatabaseFigures = shareResult(KEPT_SECONDS, () => readWithinDeadline(deps, sources))
  return createServer(SERVER_OPTIONS, async (incoming, outgoing) => {
    const path = incoming.url?.split('?', 1)[0]
    if (path !== '/metrics' || incoming.method !== 'GET') {
      outgoing.writeHead(path === '/metrics' ? 405 : 404, { 'content-type': 'text/plain' })
      outgoing.end(path === '/metrics' ? 'Use GET' : 'Only /metrics is here')
      return
    }
    try {
      const database = await findDatabaseFigures()
      const { prometheus } = sources
      const text = await prometheus.print([...readProcess(deps, sources, database !== null), ...(database ?? [])])
      outgoing.writeHead(200, { 'content-type': prometheus.contentType, 'cache-control': 'no-store' })
      outgoing.end(text)
    } catch (error) {
      deps.log.error({ error }, 'The metrics could not be printed')
      outgoing.writeHead(500)
      outgoing.end()
    }
  })
}

// Null while the database does not respond in time. The process is scraped all the same.
async function readWithinDeadline({ log }: Deps, { readDatabase }: MetricsSources): Promise<readonly Figure[] | null> {
  try {
    return await withTimeout(DATABASE_WITHIN_SECONDS, runInBackground('metrics', readDatabase), () => {
      throw new Error('The database does not respond')
    })
  } catch (error) {
    log.warn({ error }, 'The metrics of the database could not be read')
    return null
  }
}

function readProcess(deps: Deps, { databaseUsage, isReady }: MetricsSources, isDatabaseUp: boolean): Figure[] {
  return [
    { name: 'build_info', labels: { version: VERSION }, value: 1 },
    { name: 'ready', value: isReady() && isDatabaseUp ? 1 : 0 },
    { name: 'database_up', value: isDatabaseUp ? 1 : 0 },
    { name: 'event_streams_open', value: deps.eventStreams.list().length },
    { name: 'log_lines_dropped_total', value: deps.droppedLogLines() },
    ...(['X_REFRESH', 'X_POST'] as const).map((breaker): Figure => {
      const value = deps.circuitBreakers.isOpen(breaker) ? 1 : 0
      return { name: 'circuit_breaker_open', labels: { breaker }, value }
    }),
    ...databaseUsage().flatMap(({ caller, running, waiting }): Figure[] => [
      { name: 'database_connections', labels: { caller, state: 'in_use' }, value: running },
      { name: 'database_connections', labels: { caller, state: 'waited_for' }, value: waiting },
    ]),
  ]
}
