/**
 * Waits for `work`, but not longer than `seconds`. The work itself goes on after that; its result
 * and its error are dropped.
 * @param onTimeout decides what happens then: its result is returned, or its error thrown.
 * @throws the error of `work` when it fails in time.
 */
export async function withTimeout<T, Late>(
  seconds: number,
  work: PromiseLike<T>,
  onTimeout: () => Late,
): Promise<T | Late> {
  const { promise: late, resolve } = Promise.withResolvers<void>()
  // A plain timer: one of node:timers/promises is cancelled by an AbortSignal, which costs more,
  // and every query is timed here.
  const timer = setTimeout(resolve, seconds * 1000)
  try {
    return await Promise.race([work, late.then(onTimeout)])
  } finally {
    clearTimeout(timer)
  }
}
