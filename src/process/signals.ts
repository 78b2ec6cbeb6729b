import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../telemetry/log.ts'
import type { LogOutput } from '../telemetry/log-output.ts'

/**
 * The limit from a signal to the end of the process. Kubernetes sends SIGKILL 30 s after SIGTERM by
 * default (terminationGracePeriodSeconds).
 */
export const STOP_SECONDS = 25

// For the last log lines, and for calls in Node's thread pool.
const LOG_MILLISECONDS = 500
const THREADS_MILLISECONDS = 500
const POLL_MILLISECONDS = 20
// Node's names of resources in the thread pool: file operations and DNS lookups by the system.
const THREAD_POOL_RESOURCE = /^(?:FSReq|GetAddrInfo|GetNameInfo)/

/**
 * Handles SIGTERM and SIGINT: stops, then exits. A second signal exits at once. An uncaught error
 * stops in the same way, because a process in an unknown state must not go on.
 * @param stop resolves when the work in progress has ended. The process exits after `STOP_SECONDS`
 * in any case.
 */
export function endOnSignals(log: Log, output: LogOutput, stop: () => Promise<unknown>): void {
  let signals = 0
  const exit = async (exitCode: number) => {
    await output.settle(LOG_MILLISECONDS)
    await waitForThreadPool()
    exitAtOnce(exitCode)
  }
  const end = (reason: string, exitCode: number) => {
    signals += 1
    if (signals > 1) exitAtOnce(1)
    setTimeout(() => {
      log.error(`Did not stop within ${STOP_SECONDS} s: the work in progress is abandoned`)
      exitAtOnce(1)
    }, STOP_SECONDS * 1000)
    log.info({ reason }, 'Stopping: finishing the work in progress')
    stop().then(
      () => {
        log.info('Stopped')
        return exit(exitCode)
      },
      (error) => {
        log.error({ error }, 'Could not stop cleanly')
        return exit(1)
      },
    )
  }
  process.on('SIGTERM', () => end('SIGTERM', 0))
  process.on('SIGINT', () => end('SIGINT', 0))
  const crash = (error: unknown) => {
    log.fatal({ error }, 'Uncaught error: the process stops')
    end('error', 1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
}

async function waitForThreadPool(): Promise<void> {
  const until = performance.now() + THREADS_MILLISECONDS
  while (isThreadPoolBusy() && performance.now() < until) await sleep(POLL_MILLISECONDS)
}

// process.exit waits for Node's thread pool, where a call to an unreachable name server or file
// server may hang.
function exitAtOnce(exitCode: number): void {
  if (isThreadPoolBusy()) process.kill(process.pid, 'SIGKILL')
  process.exit(exitCode)
}

function isThreadPoolBusy(): boolean {
  return process.getActiveResourcesInfo().some((name) => THREAD_POOL_RESOURCE.test(name))
}
