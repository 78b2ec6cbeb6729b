import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import type { Log } from '../telemetry/log.ts'
import { runInBackground } from './caller.ts'

/** The limit for a write whose result a person waits for in a browser. */
export const PERSON_WAITS_SECONDS = 30
// As long as an operator may need to restore a database. A process that shuts down waits less long
// (shutdown.ts).
const GIVE_UP_AFTER_SECONDS = 600
const MAX_PAUSE_MILLISECONDS = 1_000

/**
 * Repeats `write` until the database accepts it. For results of calls to X, which cannot be made a
 * second time.
 * @param purpose completes the log's sentence "Retrying to …".
 * @param giveUpAfterSeconds ten minutes by default.
 * @throws the error of `write` when a retry cannot help (an AppError, or SQLSTATE classes 22, 23
 * and 42), and any error after `giveUpAfterSeconds`.
 */
export async function retryUntilWritten<T>(
  { log }: { log: Log },
  purpose: string,
  write: () => Promise<T>,
  giveUpAfterSeconds = GIVE_UP_AFTER_SECONDS,
): Promise<T> {
  const startedAt = performance.now()
  for (let tries = 1; ; tries++) {
    try {
      return await runInBackground('results', write)
    } catch (error) {
      if (isRejected(error) || (performance.now() - startedAt) / 1000 > giveUpAfterSeconds) throw error
      if (tries === 1) log.error({ error }, `The database did not accept a write. Retrying to ${purpose}`)
      const pause = Math.min(50 * 2 ** tries, MAX_PAUSE_MILLISECONDS)
      await sleep(pause / 2 + (Math.random() * pause) / 2)
    }
  }
}

function isRejected(error: unknown): boolean {
  if (error instanceof AppError) return true
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string' && /^(22|23|42)[0-9A-Z]{3}$/.test(cause.code)) return true
  }
  return false
}
