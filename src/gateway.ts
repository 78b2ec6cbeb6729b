import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type App, createApp } from './app.ts'
import { startStreamRechecks } from './auth/stream-recheck.ts'
import type { Config } from './config/config.ts'
import type { ListenAddress } from './config/listen-address.ts'
import { explainCrossSite, listCrossSiteOrigins } from './config/same-site.ts'
import { productionTiming, type Timing } from './config/timing.ts'
import { announceKeys, countInstances } from './db/announced-keys.ts'
import { runInBackground } from './db/caller.ts'
import { type Database, openDatabase } from './db/client.ts'
import { type Clock, systemClock } from './db/clock.ts'
import { checkGeneration } from './db/generations.ts'
import { JOBS_CHANNEL } from './db/jobs.ts'
import { type Listener, listenForNotifications } from './db/listen.ts'
import { migrateDatabase } from './db/migrate.ts'
import { createMonthsAhead } from './db/partitions.ts'
import { checkProviders } from './db/providers.ts'
import { checkEncryptionKeys } from './db/startup-checks.ts'
import { createDeps } from './deps.ts'
import { EVENTS_CHANNEL, notifyOfEvents, parseNotification } from './events/notify.ts'
import { READING_RATE, serveWithinLimits } from './http/unread-responses.ts'
import { readDatabaseFigures } from './jobs/database-figures.ts'
import { createJobQueue, installJobTables } from './jobs/queue.ts'
import { startRevocationStream } from './jobs/revocation-stream.ts'
import { createClockSkewWarning } from './outbound/clock-skew.ts'
import { installOutbound } from './outbound/provider-calls.ts'
import { createWebhookEgress, type WebhookEgress } from './outbound/webhook-egress.ts'
import { createEventNotifier } from './process/event-notifier.ts'
import { stopListening } from './process/listener.ts'
import { type Running, shutDown, waitAtMost } from './process/shutdown.ts'
import { explainListenError } from './process/startup-error.ts'
import { returnSlices } from './rate-limit/rows.ts'
import { createMetricsServer } from './routes/metrics.ts'
import type { Log } from './telemetry/log.ts'
import { nameProviderCall } from './telemetry/metrics.ts'

/** A gateway that accepts requests. */
export type Gateway = {
  /**
   * The port it listens on: the configured one, or the one that the system chose where that is 0.
   */
  port: number
  /** Finishes the work in progress and closes everything. Safe to call twice. */
  stop(): Promise<void>
}

/** The parts of a gateway that main.ts has already, and those that tests replace. */
export type GatewayParts = {
  clock?: Clock
  /** The open database, or one that is being opened. */
  database?: Database | Promise<Database>
  timing?: Timing
  webhookEgress?: WebhookEgress
  droppedLogLines?: () => number
}

const CLOSE_SECONDS = 2

/**
 * Opens and migrates the database, starts the background work, and listens.
 * @throws StartupError
 */
export async function startGateway(config: Config, log: Log, parts: GatewayParts = {}): Promise<Gateway> {
  const { timing = productionTiming, clock = systemClock, droppedLogLines } = parts
  const callDeadlineSeconds = timing.callDeadlineSeconds
  // Imported here, so that a gateway without METRICS_PORT loads none of it.
  const prometheus =
    config.metrics === null ? null : (await import('./telemetry/prometheus.ts')).createPrometheusMetrics()
  const metrics = prometheus?.metrics ?? null
  const outbound = installOutbound(
    callDeadlineSeconds,
    config.outboundProxy,
    createClockSkewWarning(log),
    metrics &&
      (({ method, path, status, seconds }) =>
        metrics.countProviderCall(nameProviderCall(method, path), status, seconds)),
  )
  const webhookEgress =
    parts.webhookEgress ??
    createWebhookEgress({ policy: config.webhookEgressPolicy, deadlineSeconds: callDeadlineSeconds })
  const opening = Promise.resolve(parts.database ?? openDatabase(config.database))
  const database = await logWhileWaiting(log, 'the database to open', opening)
  const queue = createJobQueue(database, log)
  let stopNotifications = async () => {}
  let stopRechecks = () => {}
  let stopMetrics = () => {}
  let stopRevocationStream = async () => {}
  const close = async () => {
    stopRechecks()
    stopMetrics()
    await waitAtMost(log, 'the activity stream', CLOSE_SECONDS, stopRevocationStream())
    const closing = [database.close(), outbound.close(), webhookEgress.close()]
    await Promise.all(closing.map((work) => waitAtMost(log, 'connections', CLOSE_SECONDS, work)))
  }
  const closeListener = () => waitAtMost(log, 'notifications', CLOSE_SECONDS, stopNotifications())
  try {
    await prepareDatabase(database, config, log)
    await logWhileWaiting(log, 'the generation of the database', checkGeneration({ db: database.db, clock, log }))
    const { db } = database
    const eventNotifier = createEventNotifier(log, (userIds) =>
      runInBackground('notifications', () => notifyOfEvents(db, userIds)),
    )
    const { jobs } = queue
    const deps = createDeps({
      ...{ db, config, log, jobs, webhookEgress, eventNotifier },
      ...{ timing, clock, droppedLogLines, metrics },
    })
    await logWhileWaiting(log, 'the job queue', queue.start(deps))
    stopNotifications = await logWhileWaiting(
      log,
      'a connection that listens',
      listenForNotifications(
        database,
        new Map<string, Listener>([
          [EVENTS_CHANNEL, (payload) => deps.eventStreams.notify(parseNotification(payload))],
          [JOBS_CHANNEL, queue.wake],
          ...deps.viewers.listeners,
        ]),
        deps.viewers.onLost,
        announceKeys(config.encryptionKeys),
      ),
    )
    stopRechecks = startStreamRechecks(deps)
    stopRevocationStream = startRevocationStream(deps, outbound)
    const app = createApp(deps)
    const { server, port } = await listen(app, log, config, timing)
    if (prometheus !== null && config.metrics !== null) {
      const readDatabase = () => readDatabaseFigures(deps)
      const isReady = () => !app.isDraining()
      const sources = { prometheus, readDatabase, databaseUsage: database.usage, isReady }
      stopMetrics = await listenForScrapes(createMetricsServer(deps, sources), config.metrics, log)
    }
    warnOfCrossSiteOrigins(config, log)
    const { eventStreams, refreshes } = deps
    // The embedded database is told to stop listening before it is closed.
    const closeAll = async () => {
      deps.viewers.stopKeeping()
      await closeListener()
      await close()
    }
    const running: Running = {
      app,
      server: {
        stopListening: () => stopListening(server),
        closeIdleConnections: () => server.closeIdleConnections(),
        closeAllConnections: () => server.closeAllConnections(),
      },
      queue,
      eventNotifier,
      eventStreams,
      returnSlices: () => returnSlices(deps),
      refreshes,
      close: closeAll,
    }
    let stopped: Promise<void> | null = null
    const stop = () => {
      stopped ??= shutDown(running, { log, production: config.production })
      return stopped
    }
    return { port, stop }
  } catch (error) {
    // The last step may fail on a used port, when jobs are already running.
    await closeListener()
    await waitAtMost(log, 'jobs', CLOSE_SECONDS, queue.stop(CLOSE_SECONDS))
    await close()
    throw error
  }
}

async function prepareDatabase(database: Database, config: Config, log: Log): Promise<void> {
  const report = (fields: object, sentence: string) => log.warn(fields, sentence)
  const underLock = async () => {
    // pg-boss would create its tables while other instances do, and recognizes that error by an
    // English message of the server.
    if (database.source.kind === 'postgres') await installJobTables(database)
    // No gateway may have run for months. Instances that start at once create them one after the
    // other, so that none serves before. The maintenance tries again.
    await createMonthsAhead(database).catch((error) =>
      log.warn({ error }, 'The partitions of this month could not be created; the default partition takes the rows'),
    )
  }
  // Under the lock of the migrations.
  await logWhileWaiting(log, 'the migrations', migrateDatabase(database, { report, underLock }))
  await logWhileWaiting(log, 'the keys to be compared', checkEncryptionKeys(database.db, config.encryptionKeys))
  await warnOfLackingInstances(database, config, log)
  await logWhileWaiting(log, 'the providers to be compared', checkProviders(database.db, config))
}

function listenForScrapes(server: Server, { host, port }: ListenAddress, log: Log): Promise<() => void> {
  const { promise, resolve, reject } = Promise.withResolvers<() => void>()
  server.listen(port, host, () => {
    log.info({ address: server.address() }, 'Metrics are served at /metrics')
    resolve(() => {
      server.close()
      server.closeAllConnections()
    })
  })
  server.once('error', (error) =>
    reject(explainListenError(error, port, 'Set METRICS_PORT to a free one.', host, 'METRICS_')),
  )
  return promise
}

// From now on this instance encrypts with its first key.
async function warnOfLackingInstances(database: Database, config: Config, log: Log): Promise<void> {
  const keyId = config.encryptionKeys[0].id
  const { lacking } = await countInstances(database, keyId)
  if (lacking > 0)
    log.error(
      { keyId, instances: lacking },
      'Running instances lack the encryption key that this one encrypts with, and will respond 503 to what needs it. Give them the key behind their first one, and restart them',
    )
}

function warnOfCrossSiteOrigins(config: Config, log: Log): void {
  const { publicUrl } = config
  for (const origin of listCrossSiteOrigins(config)) {
    log.warn(
      { origin, publicUrl, cure: explainCrossSite(origin, publicUrl) },
      'An origin in ALLOWED_ORIGINS is on another site than PUBLIC_URL: browsers send no session cookie with its requests, even after a sign-in',
    )
  }
}

// Logs what the start waits for after one second, then every ten seconds, so that the log of a
// start that hangs is not empty.
async function logWhileWaiting<T>(log: Log, what: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const logWait = () =>
    log.info({ seconds: Math.round((performance.now() - startedAt) / 1000) }, `The start waits for ${what}`)
  const first = setTimeout(logWait, 1_000)
  const further = setInterval(logWait, 10_000)
  try {
    return await work
  } finally {
    clearTimeout(first)
    clearInterval(further)
  }
}

// Bounds for slow and greedy clients. Node's defaults are 60 s, 300 s and none, checked every 30 s.
const SERVER_OPTIONS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
  // Longer than load balancers keep idle connections, usually 60 s. The side that closes first could
  // do so while a request is being sent, so it must not be this one.
  keepAliveTimeout: 65_000,
}

// A few dozens of the largest responses.
const MIN_UNREAD_BYTES = 64_000_000

function listen(
  app: App,
  log: Log,
  config: Config,
  { unreadResponseSeconds }: Timing,
): Promise<{ server: Server; port: number }> {
  return new Promise((resolve, reject) => {
    const respond = getRequestListener(app.fetch, { hostname: config.host })
    const handle = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
      try {
        if (!(await app.handleDirectly(incoming, outgoing))) await respond(incoming, outgoing)
      } catch (error) {
        log.error({ error }, 'A request got no response')
        outgoing.destroy()
      }
    }
    const server = createServer(SERVER_OPTIONS)
    const maxBytes = Math.max(MIN_UNREAD_BYTES, 4 * config.maxResponseBytes)
    serveWithinLimits(server, handle, { seconds: unreadResponseSeconds, maxBytes, ...READING_RATE }, log)
    server.listen(config.port, config.host, () => {
      const address = server.address()
      if (typeof address !== 'object' || address === null) throw new Error('Bug: a server that listens has a port')
      resolve({ server, port: address.port })
    })
    server.once('error', (error) =>
      reject(explainListenError(error, config.port, 'Set PORT to a free one.', config.host)),
    )
  })
}
