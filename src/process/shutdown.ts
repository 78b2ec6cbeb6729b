// The phases of a shutdown. Together with the exit of the process in signals.ts they take at most
// STOP_SECONDS. New token pairs have priority: X ends the old pair when it issues a new one, so a
// pair that is not written to the database is a lost connection. All other work survives: another
// instance repeats a job, and looks up a tweet that was being sent in the account's timeline.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../telemetry/log.ts'
import type { EventNotifier } from './event-notifier.ts'
import type { EventStreams } from './event-streams.ts'
import type { RunningRefreshes } from './running-refreshes.ts'
import { withTimeout } from './with-timeout.ts'

/** The parts of a running gateway that a shutdown ends. The layers above implement them. */
export type Running = {
  app: {
    /** Makes the instance not ready. */
    drain(): void
    /** Makes each response the last of its connection. */
    endConnections(): void
    /** Resolves when no request is in progress. */
    settled(): Promise<void>
  }
  server: {
    /**
     * Closes the listener. Connections stay open; `ended` resolves when all of them have ended.
     */
    stopListening(): Promise<{ ended: Promise<void> }>
    closeIdleConnections(): void
    closeAllConnections(): void
  }
  queue: {
    /** Starts no more jobs. */
    pause(): Promise<void>
    /** Waits for the running jobs, for at most `seconds`. */
    stop(seconds: number): Promise<void>
  }
  eventNotifier: Pick<EventNotifier, 'end'>
  eventStreams: EventStreams
  /** Gives the slices of rate limits back. */
  returnSlices(): Promise<void>
  refreshes: RunningRefreshes
  /** Closes the database and all connections. */
  close(): Promise<unknown>
}

// The end of each phase, in seconds after the signal.
/**
 * Until then requests are accepted: a load balancer needs time to notice that /readyz responds 503.
 * In production only.
 */
const LOAD_BALANCER_SECONDS = 5
/**
 * The last start of a token refresh. One takes at most 15.5 s: 5 to connect, 10 for the call, 0.5
 * for a stalled process.
 */
const LAST_REFRESH_SECONDS = 5
const REQUESTS_SECONDS = 19
/** Refreshes and jobs have ended, and their results are written. */
const WRITTEN_SECONDS = 21.5
/**
 * The database is closed. The rest of STOP_SECONDS is for the last log lines, and for a busy
 * machine.
 */
const CLOSED_SECONDS = 23

/**
 * How long idle connections are served after the listener has closed. A proxy that sends a request
 * while its connection is closed gets a reset, and must not repeat a POST. Each response is the last
 * of its connection, and no other can be opened, so that the proxy has left this instance before
 * the end of this time. In production only.
 */
const IDLE_CONNECTION_SECONDS = 5
// For a client that has connected but not yet sent its request, and for the last response to be
// sent.
const QUIET_CONNECTION_SECONDS = 2
const LAST_RESPONSE_SECONDS = 1

/** Finishes the work in progress, then closes everything. Resolves within 23 s, whatever hangs. */
export async function shutDown(running: Running, { log, production }: { log: Log; production: boolean }) {
  const { app, server, queue, eventNotifier, refreshes } = running
  const startedAt = performance.now()
  const secondsUntil = (moment: number) => Math.max(moment - (performance.now() - startedAt) / 1000, 0)
  const finish = (what: string, moment: number, work: Promise<unknown>) =>
    waitAtMost(log, what, secondsUntil(moment), work)

  app.drain()
  const lastRefresh = setTimeout(refreshes.close, LAST_REFRESH_SECONDS * 1000)
  // Other instances run the jobs from here on. Requests may still queue some.
  const paused = queue.pause()
  if (production) await sleep(LOAD_BALANCER_SECONDS * 1000)
  await finish('requests', REQUESTS_SECONDS, finishRequests(running, production ? IDLE_CONNECTION_SECONDS : 0))
  clearTimeout(lastRefresh)
  refreshes.close()
  await Promise.all([
    // A refresh may outlive the request that started it.
    finish('refreshes', WRITTEN_SECONDS, refreshes.settled()),
    finish('rate limits', WRITTEN_SECONDS, running.returnSlices()),
    finish(
      'jobs',
      WRITTEN_SECONDS,
      paused.then(() => queue.stop(secondsUntil(WRITTEN_SECONDS))),
    ),
  ])
  server.closeAllConnections()
  await finish('notifications', WRITTEN_SECONDS, eventNotifier.end())
  await finish('connections', CLOSED_SECONDS, running.close())
}

// Browsers open connections in advance. Node does not count one without any request as idle, and
// would wait for it.
async function finishRequests({ app, server, eventStreams }: Running, idleSeconds: number): Promise<void> {
  const { ended } = await server.stopListening()
  // Not before the listener is closed: the clients would open new connections, and those that wait
  // to be accepted when it closes are reset.
  app.endConnections()
  // They would last for minutes. Their clients reconnect to another instance and resume there.
  eventStreams.finishAll()
  if (idleSeconds > 0) await withTimeout(idleSeconds, ended, () => {})
  server.closeIdleConnections()
  await withTimeout(QUIET_CONNECTION_SECONDS, ended, () => {})
  // The server forgets a request whose client has disconnected, but the result of its call to X
  // must still be written.
  await app.settled()
  await withTimeout(LAST_RESPONSE_SECONDS, ended, () => {})
}

/**
 * Waits for `work`, but at most `seconds`, and logs a timeout or an error instead of throwing. A
 * database that hangs must not keep the process from exiting, and an error of one part must not
 * keep the others from being closed.
 * @param what names the work in the log.
 */
export async function waitAtMost(log: Log, what: string, seconds: number, work: Promise<unknown>): Promise<void> {
  try {
    await withTimeout(seconds, work, () => log.warn({ what }, 'Timed out during the shutdown'))
  } catch (error) {
    log.error({ error, what }, 'An error during the shutdown')
  }
}
