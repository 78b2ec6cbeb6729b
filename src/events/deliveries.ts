// The jobs of webhook deliveries.
import type { JobData } from '../db/jobs.ts'
import type { Deps } from '../deps.ts'

/**
 * Queues an attempt at a delivery, `afterSeconds` from now. Jobs are grouped by user, so that slow
 * receivers delay only their owner's deliveries.
 */
export async function enqueueDelivery(
  deps: Pick<Deps, 'db' | 'jobs'>,
  { userId, id }: JobData,
  afterSeconds = 0,
): Promise<void> {
  await deps.jobs.enqueue(deps, 'deliver-webhook', { userId, id }, afterSeconds)
}
