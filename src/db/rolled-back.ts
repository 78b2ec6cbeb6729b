import { setTimeout as sleep } from 'node:timers/promises'
import { isStaleStatement } from './stale-statement.ts'
import { isDeadlock } from './violations.ts'

// Each try ends one transaction of a deadlock, so that further ones need further transactions.
const MAX_TRIES = 4
const MAX_PAUSE_MILLISECONDS = 100

/**
 * Runs a transaction, or a statement that is one, again when PostgreSQL has rolled it back for a
 * reason that is gone then: to end a deadlock (a sweep over the rows of many users may lock rows of
 * one user in another order than the deletion of that user), or because a migration made a named
 * statement invalid. Nothing of an earlier run was kept.
 * @param run must do nothing outside of the database that cannot be done twice.
 */
export async function runAgainIfRolledBack<T>(run: () => PromiseLike<T>): Promise<T> {
  let isRenewed = false
  for (let tries = 1; ; tries++) {
    try {
      return await run()
    } catch (error) {
      const isStale = isStaleStatement(error)
      if (tries === MAX_TRIES || !(isStale ? !isRenewed : isDeadlock(error))) throw error
      isRenewed ||= isStale
      // The other transaction may need the same locks to end.
      if (!isStale) await sleep(Math.random() * MAX_PAUSE_MILLISECONDS)
    }
  }
}
