import { type ServerType, serve } from '@hono/node-server'
import { type App, createApp } from './app.ts'
import type { Config } from './config/config.ts'
import { explainCrossSite, listCrossSiteOrigins } from './config/same-site.ts'
import { productionTiming, type Timing } from './config/timing.ts'
import { type Database, openDatabase } from './db/client.ts'
import type { Clock } from './db/clock.ts'
import { hearNotifications } from './db/listen.ts'
import { migrateDatabase } from './db/migrate.ts'
import { checkProviders } from './db/providers.ts'
import { checkEncryptionKeys } from './db/startup-checks.ts'
import { createDeps } from './deps.ts'
import { EVENTS_CHANNEL } from './events/streams.ts'
import { createJobQueue, installJobTables } from './jobs/queue.ts'
import { createClockSkewWarning } from './outbound/clock-skew.ts'
import { installOutbound } from './outbound/provider-calls.ts'
import { createWebhookEgress, type WebhookEgress } from './outbound/webhook-egress.ts'
import { type Running, shutDown, waitAtMost } from './process/shutdown.ts'
import { explainListenError } from './process/startup-error.ts'
import type { Log } from './telemetry/log.ts'
import { createFanOut } from './webhooks/fan-out.ts'

/** A gateway that listens. */
export type Gateway = {
  /** The port it got, which differs from the configured one only where that is 0. */
  port: number
  /** Stops taking requests, finishes what is under way, and closes everything. Safe to call twice. */
  stop(): Promise<void>
}

/** What tests replace. */
export type GatewayParts = {
  clock?: Clock
  database?: Database
  timing?: Timing
  webhookEgress?: WebhookEgress
  droppedLogLines?: () => number
}

const CLOSE_SECONDS = 2

/** Opens the database, migrates it, and listens. */
export async function startGateway(config: Config, log: Log, parts: GatewayParts = {}): Promise<Gateway> {
  const timing = parts.timing ?? productionTiming
  const outbound = installOutbound(timing.callDeadlineSeconds, config.outboundProxy, createClockSkewWarning(log))
  const webhookEgress =
    parts.webhookEgress ??
    createWebhookEgress({ policy: config.webhookEgressPolicy, deadlineSeconds: timing.callDeadlineSeconds })
  const database = parts.database ?? (await waiting(log, 'the database to open', openDatabase(config.database)))
  const queue = createJobQueue(database, log)
  const close = async () => {
    const closing = [database.close(), outbound.close(), webhookEgress.close()]
    await Promise.all(closing.map((work) => waitAtMost(log, 'connections', CLOSE_SECONDS, work)))
  }
  let hearing = async () => {}
  try {
    const report = (fields: object, sentence: string) => log.warn(fields, sentence)
    // The job queue would make its tables while other instances do, and knows that they did by an English message of the server.
    const underLock = async () => {
      if (database.source.kind === 'postgres') await installJobTables(database)
    }
    await waiting(log, 'the migrations', migrateDatabase(database, { report, underLock }))
    await waiting(log, 'the keys to be compared', checkEncryptionKeys(database.db, config.encryptionKeys))
    await waiting(log, 'the providers to be compared', checkProviders(database.db, config))
    const { clock, droppedLogLines } = parts
    const { db } = database
    const deps = createDeps({ db, config, log, jobs: queue.jobs, webhookEgress, timing, clock, droppedLogLines })
    await waiting(log, 'the job queue', queue.start(deps))
    const fanOut = createFanOut(deps)
    const heard = (userId: string | null) => {
      deps.eventStreams.notify(userId)
      fanOut.notify()
    }
    hearing = await waiting(log, 'a connection that listens', hearNotifications(database, EVENTS_CHANNEL, heard))
    const app = createApp(deps)
    const { server, port } = await listen(app, config)
    for (const origin of listCrossSiteOrigins(config)) {
      const { publicUrl } = config
      log.warn(
        { origin, publicUrl, cure: explainCrossSite(origin, publicUrl) },
        'An origin in ALLOWED_ORIGINS is another site than PUBLIC_URL: its pages call without a session, also after signing in',
      )
    }
    let stopping: Promise<void> | null = null
    const running: Running = {
      app,
      server,
      queue,
      fanOut,
      eventStreams: deps.eventStreams,
      refreshes: deps.refreshes,
      close: () => Promise.all([waitAtMost(log, 'notifications', CLOSE_SECONDS, hearing()), close()]),
    }
    return {
      port,
      stop: () => {
        stopping ??= shutDown(running, { log, production: config.production })
        return stopping
      },
    }
  } catch (error) {
    // The port may be taken only after the jobs have begun.
    await waitAtMost(log, 'notifications', CLOSE_SECONDS, hearing())
    await waitAtMost(log, 'jobs', CLOSE_SECONDS, queue.stop(CLOSE_SECONDS))
    await close()
    throw error
  }
}

/** Has the log say what a start waits for, as long as it does: who looks at one that does not get on must not find nothing. */
async function waiting<T>(log: Log, what: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now()
  const say = () =>
    log.info({ seconds: Math.round((performance.now() - startedAt) / 1000) }, `The start waits for ${what}`)
  const first = setTimeout(say, 1_000)
  const further = setInterval(say, 10_000)
  try {
    return await work
  } finally {
    clearTimeout(first)
    clearInterval(further)
  }
}

function listen(app: App, config: Config): Promise<{ server: ServerType; port: number }> {
  return new Promise((resolve, reject) => {
    const server = serve(
      {
        fetch: app.fetch,
        hostname: config.host,
        port: config.port,
        // Bounds for slow and greedy clients; Node's own are 60 s, 300 s and none, looked after every 30 s.
        serverOptions: {
          headersTimeout: 10_000,
          requestTimeout: 15_000,
          connectionsCheckingInterval: 1_000,
          maxHeaderSize: 16_384,
          // Longer than load balancers keep an idle connection, mostly 60 s: whoever closes first may do so while a request is on its way.
          keepAliveTimeout: 65_000,
        },
      },
      ({ port }) => resolve({ server, port }),
    )
    server.once('error', (error) =>
      reject(explainListenError(error, config.port, 'Set PORT to a free one.', config.host)),
    )
  })
}
