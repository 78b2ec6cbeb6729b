import { isDatabaseOutage, isDatabaseQueueFull } from '../db/outage.ts'
import { isEncryptionKeyMissing } from '../db/sealed-values.ts'
import type { Deps } from '../deps.ts'
import type { UnavailableCode } from './error-response.ts'

/**
 * Logs the error of a request that failed for a reason of ours. A full database queue, which one
 * caller can cause as often as it sends requests, has a line every ten seconds. A missing key is logged
 * where the value is opened.
 */
export function logFailure(deps: Pick<Deps, 'log' | 'logFullQueue'>, error: unknown, requestId: string | null): void {
  if (isEncryptionKeyMissing(error)) return
  if (isDatabaseQueueFull(error)) deps.logFullQueue('', { error, requestId })
  else deps.log.error({ error, requestId }, 'A request failed with an internal error')
}

/** Returns the code of an error that another request soon may not get; null for any other error. */
export function findUnavailable(error: unknown): UnavailableCode | null {
  if (isDatabaseOutage(error)) return 'DATABASE_UNAVAILABLE'
  return isEncryptionKeyMissing(error) ? 'ENCRYPTION_KEY_MISSING' : null
}
