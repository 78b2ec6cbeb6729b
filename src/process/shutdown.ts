// How a gateway ends. All phases together, with the exit of the process in signals.ts, take STOP_SECONDS at most. New token pairs come
// first: X has ended the old pair when it issues a new one, so that a pair which is not written down is a connection that is lost.
// Everything else survives: another instance repeats a job, and looks in the timeline for a tweet that was being sent.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../telemetry/log.ts'
import type { EventStreams } from './event-streams.ts'
import type { RunningRefreshes } from './running-refreshes.ts'
import { withTimeout } from './with-timeout.ts'

/** What is ended. */
export type Running = {
  app: { drain(): void; settled(): Promise<void> }
  server: { close(callback: () => void): unknown; closeIdleConnections?(): void; closeAllConnections?(): void }
  queue: { pause(): Promise<void>; stop(withinSeconds: number): Promise<void> }
  fanOut: { end(): Promise<void> }
  eventStreams: EventStreams
  refreshes: RunningRefreshes
  /** Closes the database and all connections. */
  close(): Promise<unknown>
}

// Moments after the signal, in seconds.
/** A load balancer needs a moment to see that /readyz says no; until then requests are taken. In production only. */
const LOAD_BALANCER_SECONDS = 5
/** A refresh takes 15.5 s at most: a connection 5, the call 10, and half a second where the process was stalled. */
const LAST_REFRESH_SECONDS = 5
/** Requests are finished. */
const REQUESTS_SECONDS = 19
/** Refreshes and jobs are finished, and their results are written. */
const WRITTEN_SECONDS = 21.5
/** The database is closed. The rest of STOP_SECONDS is for the last lines of the log, and for a busy machine. */
const CLOSED_SECONDS = 23

// Within the above: for a client that has just connected to ask, and for the last response to leave.
const QUIET_CONNECTION_SECONDS = 2
const LAST_RESPONSE_SECONDS = 1

/** Finishes what is under way, then closes everything. Resolves within 23 s, whatever hangs. */
export async function shutDown(running: Running, { log, production }: { log: Log; production: boolean }) {
  const { app, server, queue, fanOut, refreshes } = running
  const startedAt = performance.now()
  const secondsUntil = (moment: number) => Math.max(moment - (performance.now() - startedAt) / 1000, 0)
  const finish = (what: string, moment: number, work: Promise<unknown>) =>
    waitAtMost(log, what, secondsUntil(moment), work)

  app.drain()
  const lastRefresh = setTimeout(refreshes.refuseNew, LAST_REFRESH_SECONDS * 1000)
  // Other instances take the jobs from here on. Requests may still queue some.
  const paused = queue.pause()
  const fannedOut = fanOut.end()
  if (production) await sleep(LOAD_BALANCER_SECONDS * 1000)
  await finish('requests', REQUESTS_SECONDS, finishRequests(running))
  clearTimeout(lastRefresh)
  refreshes.refuseNew()
  await Promise.all([
    // A refresh may have outlived the request that asked for it.
    finish('refreshes', WRITTEN_SECONDS, refreshes.settled()),
    finish('events for webhooks', WRITTEN_SECONDS, fannedOut),
    finish(
      'jobs',
      WRITTEN_SECONDS,
      paused.then(() => queue.stop(secondsUntil(WRITTEN_SECONDS))),
    ),
  ])
  server.closeAllConnections?.()
  await finish('connections', CLOSED_SECONDS, running.close())
}

// Node does not count as idle a connection on which nothing was ever asked, as browsers keep them ready: it would hold up the end.
async function finishRequests({ app, server, eventStreams }: Running): Promise<void> {
  // They would last for many minutes yet. Their clients come back elsewhere, where they were.
  eventStreams.finishAll()
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections?.()
  await withTimeout(QUIET_CONNECTION_SECONDS, closed, () => {})
  // The server forgets a request whose client has hung up; what X was asked for its sake must still be written down.
  await app.settled()
  await withTimeout(LAST_RESPONSE_SECONDS, closed, () => {})
}

/**
 * Waits for `work`, and no longer than this: a database that is frozen must not keep the process from ending, nor one that is gone the
 * rest from being finished.
 * @param what names it in the log.
 */
export async function waitAtMost(log: Log, what: string, seconds: number, work: Promise<unknown>): Promise<void> {
  try {
    await withTimeout(seconds, work, () => log.warn({ what }, 'Not finished in the time there is for it, and given up'))
  } catch (error) {
    log.error({ error, what }, 'Something could not be stopped cleanly')
  }
}
