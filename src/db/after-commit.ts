/**
 * Runs `work` once the transaction that it is called in has committed, and never if that rolls
 * back; at once outside of a transaction.
 */
export type AfterCommit = (work: () => void) => void

/** `AfterCommit` outside of a transaction. */
export const atOnce: AfterCommit = (work) => work()

/**
 * Collects work until the commit. `release` hands it to the surrounding `AfterCommit`, which is
 * that of an outer transaction when this one is a savepoint.
 */
export function createAfterCommit(): { afterCommit: AfterCommit; release(outer: AfterCommit): void } {
  const waiting: (() => void)[] = []
  return {
    afterCommit: (work) => void waiting.push(work),
    release: (outer) => {
      for (const work of waiting.splice(0)) outer(work)
    },
  }
}
