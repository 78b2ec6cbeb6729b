/**
 * Returns a function that shares the result of `find` among its callers: one call at a time, whose
 * result is kept for `keptSeconds` after its start. An error is shared, too.
 */
export function shareResult<T>(keptSeconds: number, find: () => Promise<T>): () => Promise<T> {
  let shared: { result: Promise<T>; askedAt: number; isPending: boolean } | null = null
  return () => {
    const now = performance.now()
    if (shared !== null && (shared.isPending || now - shared.askedAt < keptSeconds * 1000)) return shared.result
    const asked = { result: find(), askedAt: now, isPending: true }
    const settle = () => {
      asked.isPending = false
    }
    asked.result.then(settle, settle)
    shared = asked
    return asked.result
  }
}
