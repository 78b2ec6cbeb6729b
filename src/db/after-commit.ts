/**
 * Runs `work` once the transaction that it is called in has committed, and never if that rolls
 * back; at once outside of a transaction. `transaction()` waits for a promise that `work` returns.
 */
export type AfterCommit = (work: () => unknown) => unknown

/** `AfterCommit` outside of a transaction. */
export const atOnce: AfterCommit = (work) => work()

/**
 * Collects work until the commit. `release` hands it to the surrounding `AfterCommit`, which is
 * that of an outer transaction when this one is a savepoint.
 */
export function createAfterCommit(): { afterCommit: AfterCommit; release(outer: AfterCommit): Promise<void> } {
  const waiting: (() => unknown)[] = []
  return {
    afterCommit: (work) => void waiting.push(work),
    release: async (outer) => void (await Promise.all(waiting.splice(0).map((work) => outer(work)))),
  }
}
