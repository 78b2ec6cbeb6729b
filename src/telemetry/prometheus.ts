// Metrics in Prometheus' text format, kept by prom-client. Names follow Prometheus' conventions: the
// prefix `xconnect_`, base units, and `_total` for counters. The metrics of the process and of Node have
// the usual names of all Node programs (`process_…`, `nodejs_…`).
import prometheus from 'prom-client'
import { type Metrics, nameOperation, nameRoute } from './metrics.ts'

/** The metrics of one process. */
export type PrometheusMetrics = {
  metrics: Metrics
  contentType: string
  /** Returns all metrics as text, with these in addition. */
  print(figures: readonly Figure[]): Promise<string>
}

/** One value of a gauge, or of a counter that is counted elsewhere. Its metric is in `figureHelp`. */
export type Figure = { name: FigureName; labels?: Readonly<Record<string, string>>; value: number }

export type FigureName = keyof typeof figureHelp

// Each with its help, and its labels.
const figureHelp = {
  build_info: ['1, with the version of the gateway as a label.', ['version']],
  ready: ['1 while /readyz of this instance responds 200.', []],
  database_up: [
    '1 if the database responded to this scrape in time. Otherwise the metrics from the database are missing.',
    [],
  ],
  database_connections: [
    'Connections of the pool, by kind of caller and whether a query runs or waits for one.',
    ['caller', 'state'],
  ],
  event_streams_open: ['Event streams that this instance has open.', []],
  log_lines_dropped_total: ['Log lines dropped because standard output accepted no more.', []],
  circuit_breaker_open: [
    '1 while the circuit breaker of this instance is open, because X leaves calls in doubt.',
    ['breaker'],
  ],
  connected_accounts: [
    'Connected accounts by status, from the database. Above 100,000 accounts an estimate from the statistics of PostgreSQL.',
    ['status'],
  ],
  tokens_uncertain: [
    'Connected accounts whose refresh token may be spent, from the database. At most 10,000 are counted.',
    [],
  ],
  oldest_refresh_timestamp_seconds: [
    'When the refresh token that has not been refreshed for the longest time was issued, from the database.',
    [],
  ],
  tweets_open: [
    'Tweets without a certain outcome, from the database: PENDING, and UNKNOWN while the timeline is searched for them. At most 10,000 of each are counted.',
    ['status'],
  ],
  tweets_open_oldest_timestamp_seconds: ['Since when the oldest of these tweets has had its status.', ['status']],
  jobs_due: [
    'Jobs that are due and do not run yet, from the database. At most 10,000 of each queue are counted.',
    ['queue'],
  ],
  jobs_due_oldest_timestamp_seconds: ['When the oldest of these jobs became due.', ['queue']],
  jobs_failed: [
    'Jobs given up within the last day, and tasks of the maintenance that failed within the last hour, from the database. At most 10,000 of each queue are counted.',
    ['queue'],
  ],
  webhook_deliveries_pending: [
    'Webhook deliveries that wait for their first or next attempt, from the database. At most 10,000 are counted.',
    [],
  ],
  webhook_turn_oldest_timestamp_seconds: [
    'When the oldest due webhook turn of a user became due, from the database.',
    [],
  ],
  x_blocked: [
    '1 for each endpoint of X that the whole app may not call now, with the reason, from the database.',
    ['endpoint', 'error_code'],
  ],
  provider_problem: [
    '1 for each problem that GitHub or X has reported of this deployment, from the database.',
    ['code'],
  ],
  maintenance_last_success_timestamp_seconds: [
    'When the last good run of the task ended, from the database.',
    ['task'],
  ],
  maintenance_duration_seconds: ['How long the last good run of the task took, from the database.', ['task']],
  maintenance_rows: ['The number of rows that the last good run of the task has handled, from the database.', ['task']],
  maintenance_failures: ['Runs of the task that have failed since its last good run, from the database.', ['task']],
  maintenance_behind: [
    '1 while the task has failed five times in a row, or had no good run for ten minutes.',
    ['task'],
  ],
} as const satisfies Record<string, readonly [help: string, labels: readonly string[]]>

// From a request that is served from memory to one that waits for X.
const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const CALL_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const JOB_BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 5, 15, 45]
// Root fields are names of the schema, which has fewer. A bound all the same: each is a dozen of series.
const MAX_OPERATIONS = 200

/** Creates the metrics. */
export function createPrometheusMetrics(): PrometheusMetrics {
  const registry = new prometheus.Registry()
  prometheus.collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 })
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new prometheus.Counter({ name: `xconnect_${name}`, help, labelNames, registers: [registry] })
  const histogram = <Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    buckets: number[],
  ) => new prometheus.Histogram({ name: `xconnect_${name}`, help, labelNames, buckets, registers: [registry] })
  const requests = counter('http_requests_total', 'Requests by route, GraphQL root field and HTTP status.', [
    'route',
    'operation',
    'code',
  ])
  const requestSeconds = histogram(
    'http_request_duration_seconds',
    'Duration of requests by route and GraphQL root field; of an event stream until it begins.',
    ['route', 'operation'],
    REQUEST_BUCKETS,
  )
  const errors = counter('api_errors_total', 'Error codes in responses of the API.', ['error_code'])
  const calls = counter('provider_requests_total', 'Requests sent to GitHub and X by call and HTTP status.', [
    'call',
    'code',
  ])
  const callSeconds = histogram(
    'provider_request_duration_seconds',
    'Duration of requests to GitHub and X, with their connection.',
    ['call'],
    CALL_BUCKETS,
  )
  const posts = counter('posts_total', "Tweets by the outcome of their posting and the status of X's response.", [
    'outcome',
    'code',
  ])
  const refreshes = counter('token_refreshes_total', "Token refreshes by outcome and the status of X's response.", [
    'outcome',
    'code',
  ])
  const deliveries = counter(
    'webhook_attempts_total',
    'Attempts to deliver a webhook by outcome. DEAD: the last attempt has failed.',
    ['outcome'],
  )
  const deliverySeconds = histogram(
    'webhook_attempt_duration_seconds',
    'Duration of attempts to deliver a webhook.',
    [],
    CALL_BUCKETS,
  )
  const jobs = counter('jobs_total', 'Runs of background jobs and of the maintenance by queue and outcome.', [
    'queue',
    'outcome',
  ])
  const jobSeconds = histogram(
    'job_duration_seconds',
    'Duration of runs of background jobs and of the maintenance.',
    ['queue'],
    JOB_BUCKETS,
  )

  // A rate does not see the first event of a series that was not there before.
  for (const outcome of ['DELIVERED', 'FAILED', 'DEAD']) deliveries.inc({ outcome }, 0)
  for (const outcome of ['FAILED', 'UNKNOWN']) posts.inc({ outcome, code: 'none' }, 0)
  for (const outcome of ['LOST', 'NOT_SENT']) refreshes.inc({ outcome, code: 'none' }, 0)
  refreshes.inc({ outcome: 'REJECTED', code: '400' }, 0)

  const operations = new Set<string>()
  const boundOperation = (operation: string) => {
    if (operations.has(operation)) return operation
    if (operations.size >= MAX_OPERATIONS) return 'other'
    operations.add(operation)
    return operation
  }
  const metrics: Metrics = {
    countRequest: ({ path, status, seconds, rootFields, errorCodes }) => {
      const route = nameRoute(path)
      const operation = boundOperation(nameOperation(rootFields))
      requests.inc({ route, operation, code: String(status) })
      requestSeconds.observe({ route, operation }, seconds)
      for (const code of errorCodes) errors.inc({ error_code: code })
    },
    countProviderCall: (call, status, seconds) => {
      calls.inc({ call, code: describeStatus(status) })
      callSeconds.observe({ call }, seconds)
    },
    countPost: (outcome, xStatus) => posts.inc({ outcome, code: describeStatus(xStatus) }),
    countRefresh: (outcome, xStatus) => refreshes.inc({ outcome, code: describeStatus(xStatus) }),
    countDelivery: (outcome, seconds) => {
      deliveries.inc({ outcome })
      deliverySeconds.observe(seconds)
    },
    countJob: (queue, outcome, seconds) => {
      jobs.inc({ queue, outcome })
      jobSeconds.observe({ queue }, seconds)
    },
  }
  return {
    metrics,
    contentType: registry.contentType,
    print: async (figures) => `${await registry.metrics()}\n${await printFigures(figures)}`,
  }
}

// Their own registry each time: a value that is not given is missing, and not the one of before.
async function printFigures(figures: readonly Figure[]): Promise<string> {
  const registry = new prometheus.Registry()
  for (const [name, given] of Map.groupBy(figures, (figure) => figure.name)) {
    const [help, labelNames] = figureHelp[name]
    const options = { name: `xconnect_${name}`, help, labelNames: [...labelNames], registers: [registry] }
    if (name.endsWith('_total')) {
      const counter = new prometheus.Counter(options)
      for (const { labels = {}, value } of given) counter.inc({ ...labels }, value)
    } else {
      const gauge = new prometheus.Gauge(options)
      for (const { labels = {}, value } of given) gauge.set({ ...labels }, value)
    }
  }
  return registry.metrics()
}

function describeStatus(status: number | '2xx' | null): string {
  return status === null ? 'none' : String(status)
}
