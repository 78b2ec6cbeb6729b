/**
 * Handles rows of many users, found in batches, by one statement for each user of a batch: the rows
 * of a user may be on a node of their own.
 * @param find returns up to `batchSize` rows.
 * @param handle handles rows of one user, and returns how many.
 * @param signal ends the run between two users.
 * @returns the number of handled rows.
 */
export async function runBatchesByUser(
  batchSize: number,
  find: () => PromiseLike<{ userId: string; id: string }[]>,
  handle: (userId: string, ids: string[]) => Promise<number>,
  signal?: AbortSignal,
): Promise<number> {
  const runBatch = async () => {
    let handled = 0
    for (const [userId, own] of Map.groupBy(await find(), (row) => row.userId)) {
      if (signal?.aborted) break
      handled += await handle(
        userId,
        own.map(({ id }) => id),
      )
    }
    return handled
  }
  return runBatches(batchSize, runBatch, signal)
}

/**
 * Runs `runBatch` until it handles fewer than `batchSize` rows, so that no statement or transaction
 * grows with the table.
 * @param runBatch handles up to `batchSize` rows, in a transaction of its own if it needs one, and
 *   returns how many.
 * @param signal ends the run between two batches.
 * @returns the number of handled rows.
 */
export async function runBatches(
  batchSize: number,
  runBatch: () => Promise<number>,
  signal?: AbortSignal,
): Promise<number> {
  let total = 0
  let handled: number
  do {
    handled = await runBatch()
    total += handled
  } while (handled === batchSize && !signal?.aborted)
  return total
}
