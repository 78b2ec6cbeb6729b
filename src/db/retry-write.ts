import type { Deps } from '../deps.ts'
import { AppError } from '../errors.ts'

/** How long to go on while a person waits for the answer in a browser. */
export const PERSON_WAITS_SECONDS = 30
// As long as an operator may need to bring a database back. A process that is told to end waits less long (see gateway.ts).
const GIVE_UP_AFTER_SECONDS = 600
const MAX_PAUSE_MILLISECONDS = 1_000

/**
 * Does `write` again and again until the database takes it: what X has done cannot be asked for twice.
 * @throws what `write` throws when trying on is in vain: an AppError, a refusal for what it says (SQLSTATE classes 22, 23 and 42), and
 *   anything after `giveUpAfterSeconds` (ten minutes unless told otherwise).
 */
export async function persistently<T>(
  deps: Deps,
  purpose: string,
  write: () => Promise<T>,
  giveUpAfterSeconds = GIVE_UP_AFTER_SECONDS,
): Promise<T> {
  const startedAt = performance.now()
  for (let tries = 1; ; tries++) {
    try {
      return await write()
    } catch (error) {
      if (isRefusal(error) || (performance.now() - startedAt) / 1000 > giveUpAfterSeconds) throw error
      if (tries === 1) deps.log.error({ error }, `The database did not take it; trying on to ${purpose}`)
      const pause = Math.min(50 * 2 ** tries, MAX_PAUSE_MILLISECONDS)
      await new Promise((resolve) => setTimeout(resolve, pause / 2 + (Math.random() * pause) / 2))
    }
  }
}

function isRefusal(error: unknown): boolean {
  if (error instanceof AppError) return true
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string' && /^(22|23|42)[0-9A-Z]{3}$/.test(cause.code)) return true
  }
  return false
}
