/**
 * Runs `runBatch` until it handles fewer than `batchSize` rows, so that no statement or transaction
 * grows with the table.
 * @param runBatch handles up to `batchSize` rows, in a transaction of its own if it needs one, and
 *   returns how many.
 * @param signal ends the run between two batches.
 */
export async function runBatches(
  batchSize: number,
  runBatch: () => Promise<number>,
  signal?: AbortSignal,
): Promise<void> {
  let handled: number
  do handled = await runBatch()
  while (handled === batchSize && !signal?.aborted)
}
