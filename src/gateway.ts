import { type ServerType, serve } from '@hono/node-server'
import { type App, createApp } from './app.ts'
import { type Breakers, createBreakers } from './breakers.ts'
import { createClockWatch } from './clock-watch.ts'
import type { Config } from './config.ts'
import { checkEncryptionKeys, checkProviders } from './db/canary.ts'
import { type Database, openDatabase } from './db/client.ts'
import { migrateDatabase } from './db/migrate.ts'
import { hearNotifications } from './db/notifications.ts'
import { type Clock, type Deps, systemClock } from './deps.ts'
import { explainListenError } from './errors.ts'
import { createEventStreams, EVENTS_CHANNEL } from './event-streams.ts'
import { createJobQueue, type JobQueue } from './jobs.ts'
import type { Log } from './log.ts'
import { installOutbound } from './outbound.ts'
import { createTargets, type Targets } from './targets.ts'
import { productionTiming, type Timing } from './timing.ts'
import { createFanOut, type FanOut } from './webhooks/fan-out.ts'

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
  breakers?: Breakers
  targets?: Targets
}

// A load balancer needs a moment to see that /readyz says no.
const LOAD_BALANCER_SECONDS = 5
// One call to X with its commit, and then some. With all that follows it stays below the 60 s that the README asks for.
const REQUESTS_SECONDS = 25
// To ask, for a client that has just connected; and for the last answer to leave.
const QUIET_CONNECTION_SECONDS = 2
const LAST_ANSWER_SECONDS = 1
const JOBS_SECONDS = 10
const ROTATIONS_SECONDS = 10
const CLOSE_SECONDS = 5

/** Opens the database, migrates it, and listens. */
export async function startGateway(config: Config, log: Log, parts: GatewayParts = {}): Promise<Gateway> {
  const timing = parts.timing ?? productionTiming
  const outbound = installOutbound(timing.callDeadline, createClockWatch(log))
  const targets =
    parts.targets ?? createTargets({ policy: config.webhookTargets, deadlineSeconds: timing.callDeadline })
  const database = parts.database ?? (await openDatabase(config.database))
  const queue = createJobQueue(database, log)
  const close = async () => {
    const closing = [database.close(), outbound.close(), targets.close()]
    await Promise.all(closing.map((work) => within(log, CLOSE_SECONDS, work)))
  }
  let hearing = async () => {}
  try {
    await migrateDatabase(database)
    await checkEncryptionKeys(database.db, config.encryptionKeys)
    await checkProviders(database.db, config)
    const deps: Deps = {
      db: database.db,
      config,
      clock: parts.clock ?? systemClock,
      log,
      timing,
      breakers: parts.breakers ?? createBreakers(log),
      jobs: queue.jobs,
      targets,
      rotations: new Map(),
      eventStreams: createEventStreams(timing.streamLife),
    }
    await queue.start(deps)
    const fanOut = createFanOut(deps)
    hearing = await hearNotifications(database, EVENTS_CHANNEL, (userId) => {
      deps.eventStreams.hear(userId)
      fanOut.hear()
    })
    const app = createApp(deps)
    const { server, port } = await listen(app, config)
    let stopping: Promise<void> | null = null
    const stop = async () => {
      await drain(app, server, deps, queue, fanOut)
      await within(log, CLOSE_SECONDS, hearing())
      await close()
    }
    return {
      port,
      stop: () => {
        stopping ??= stop()
        return stopping
      },
    }
  } catch (error) {
    // The port may be taken only after the jobs have begun.
    await within(log, CLOSE_SECONDS, hearing())
    await within(log, CLOSE_SECONDS, queue.stop(CLOSE_SECONDS))
    await close()
    throw error
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
    server.once('error', (error) => reject(explainListenError(error, config.port, 'Set PORT to a free one.')))
  })
}

async function drain(app: App, server: ServerType, deps: Deps, queue: JobQueue, fanOut: FanOut): Promise<void> {
  app.drain()
  if (deps.config.production) await pause(LOAD_BALANCER_SECONDS)
  await within(deps.log, REQUESTS_SECONDS, finishRequests(app, server, deps))
  await within(deps.log, JOBS_SECONDS, fanOut.end())
  await within(deps.log, JOBS_SECONDS, queue.stop(JOBS_SECONDS))
  // A rotation may have outlived the request that asked for it; what it brings must still be written.
  await within(deps.log, ROTATIONS_SECONDS, Promise.allSettled(deps.rotations.values()))
  if ('closeAllConnections' in server) server.closeAllConnections()
}

// Node does not count as idle a connection on which nothing was ever asked, as browsers keep them ready: it would hold up the end.
async function finishRequests(app: App, server: ServerType, deps: Deps): Promise<void> {
  // They would last for many minutes yet. Their clients come back elsewhere, where they were.
  deps.eventStreams.finishAll()
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  if ('closeIdleConnections' in server) server.closeIdleConnections()
  await Promise.race([closed, pause(QUIET_CONNECTION_SECONDS)])
  // The server forgets a request whose client has hung up; what X was asked for its sake must still be written down.
  await app.settled()
  await Promise.race([closed, pause(LAST_ANSWER_SECONDS)])
}

// A database that is frozen must not keep the process from ending, nor one that is gone the rest from being finished.
async function within(log: Log, seconds: number, work: Promise<unknown>): Promise<void> {
  try {
    await Promise.race([work, pause(seconds)])
  } catch (error) {
    log.error({ error }, 'Something could not be stopped cleanly')
  }
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000).unref()
  })
}
