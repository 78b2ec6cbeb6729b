import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../telemetry/log.ts'
import type { LogOutput } from '../telemetry/log-output.ts'

/**
 * How long everything that follows a signal may take, in seconds, until the process has ended. Kubernetes sends SIGKILL 30 s after
 * SIGTERM unless it is told otherwise.
 */
export const STOP_SECONDS = 25

// The last lines of the log, and calls that Node's threads are at.
const LOG_MILLISECONDS = 500
const THREADS_MILLISECONDS = 500
const LOOK_MILLISECONDS = 20
// What Node calls work that is done in one of its threads: files, and the system's look-up of names.
const THREAD_WORK = /^(?:FSReq|GetAddrInfo|GetNameInfo)/

/**
 * Ends the process when it is told to: what is under way is finished, then it exits. A second signal ends it at once. An error that
 * nothing was there to handle takes the same path, because a process in an unknown state must not go on.
 * @param stop resolves when nothing is under way any more. It is not waited for beyond `STOP_SECONDS`.
 */
export function endOnSignals(log: Log, output: LogOutput, stop: () => Promise<unknown>): void {
  let signals = 0
  const exit = async (exitCode: number) => {
    await output.settle(LOG_MILLISECONDS)
    await waitForThreads()
    exitAtOnce(exitCode)
  }
  const end = (reason: string, exitCode: number) => {
    signals += 1
    if (signals > 1) exitAtOnce(1)
    setTimeout(() => {
      log.error(`Could not stop within ${STOP_SECONDS} s: what is under way is given up`)
      exitAtOnce(1)
    }, STOP_SECONDS * 1000)
    log.info({ reason }, 'Stopping: finishing what is under way')
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
    log.fatal({ error }, 'A bug: nothing was there to handle this error')
    end('error', 1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
}

async function waitForThreads(): Promise<void> {
  const until = performance.now() + THREADS_MILLISECONDS
  while (isThreadBusy() && performance.now() < until) await sleep(LOOK_MILLISECONDS)
}

// process.exit waits until Node's threads are idle, which one that waits for a dead name server or file server may never be.
function exitAtOnce(exitCode: number): void {
  if (isThreadBusy()) process.kill(process.pid, 'SIGKILL')
  process.exit(exitCode)
}

function isThreadBusy(): boolean {
  return process.getActiveResourcesInfo().some((name) => THREAD_WORK.test(name))
}
