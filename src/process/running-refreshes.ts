// The token refreshes under way in this process. All callers of an account share one refresh, and a
// shutdown waits for all of them: X ends the old token pair when it issues a new one, so a pair
// that is not written to the database is a lost connection. This registry is part of `Deps`, so it
// is below the features; accounts/refresh.ts performs the refreshes.
import { AppError } from '../errors.ts'

/** The outcome of a token refresh for its callers. */
export type RefreshOutcome =
  /**
   * There is a newer token pair, or the account's state has changed: the row has to be read again.
   */
  | { kind: 'changed' }
  /** Another process or instance holds the lease. */
  | { kind: 'leased' }
  /** There is no new token pair, for a reason that is not the account's. */
  | { kind: 'failed'; error: AppError }

/** The registry of the refreshes under way. */
export type RunningRefreshes = {
  /**
   * Returns the outcome of the account's refresh that is under way, or of a new one. While the
   * process is shutting down no new one starts, and the outcome is REFRESH_IN_PROGRESS.
   */
  share(accountId: string, refresh: () => Promise<RefreshOutcome>): Promise<RefreshOutcome>
  /**
   * Makes `settled` wait for a write of new tokens too. Its rejection is the caller's to handle.
   */
  addWrite(write: Promise<unknown>): void
  /** From now on no refresh starts. */
  close(): void
  /** Resolves when all refreshes and writes that are now under way have ended. */
  settled(): Promise<void>
}

/** Creates the registry. */
export function createRunningRefreshes(): RunningRefreshes {
  const refreshes = new Map<string, Promise<RefreshOutcome>>()
  const writes = new Set<Promise<unknown>>()
  let isClosed = false
  return {
    share: (accountId, refresh) => {
      const running = refreshes.get(accountId)
      if (running !== undefined) return running
      // The refresh token stays usable for the next process, or for another instance.
      if (isClosed) return Promise.resolve({ kind: 'failed', error: new AppError('REFRESH_IN_PROGRESS') })
      const started = refresh().finally(() => refreshes.delete(accountId))
      refreshes.set(accountId, started)
      return started
    },
    addWrite: (write) => {
      writes.add(write)
      const remove = () => writes.delete(write)
      write.then(remove, remove)
    },
    close: () => {
      isClosed = true
    },
    settled: async () => {
      await Promise.allSettled([...refreshes.values(), ...writes])
    },
  }
}
