import { isDatabaseQueueFull } from '../db/outage.ts'
import type { Deps } from '../deps.ts'

/**
 * Logs the error of a request that failed for a reason of ours. A full database queue, which one
 * caller can cause as often as it sends requests, has a line every ten seconds.
 */
export function logFailure(deps: Pick<Deps, 'log' | 'logFullQueue'>, error: unknown, requestId: string | null): void {
  if (isDatabaseQueueFull(error)) deps.logFullQueue('', { error, requestId })
  else deps.log.error({ error, requestId }, 'A request failed with an internal error')
}
