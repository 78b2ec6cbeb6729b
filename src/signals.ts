import type { Log } from './log.ts'

/**
 * Ends the process when it is told to: what is under way is finished, then it exits. A second signal ends it at once. An error that
 * nothing was there to handle takes the same path, because a process in an unknown state must not go on.
 * @param stop resolves when nothing is under way any more.
 */
export function endOnSignals(log: Log, stop: () => Promise<unknown>): void {
  let signals = 0
  const end = (reason: string, exitCode: number) => {
    signals += 1
    if (signals > 1) process.exit(1)
    log.info({ reason }, 'Stopping: finishing what is under way')
    stop().then(
      () => {
        log.info('Stopped')
        process.exit(exitCode)
      },
      (error) => {
        log.error({ error }, 'Could not stop cleanly')
        process.exit(1)
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
