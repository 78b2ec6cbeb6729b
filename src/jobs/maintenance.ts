// The periodic maintenance. Every task is idempotent, and a later run does what an earlier one
// missed.

import { endAbandonedAttempts } from '../accounts/finish-connect.ts'
import { recoverOrphanedTokens, refreshIdleAccounts } from '../accounts/refresh-sweep.ts'
import { sweepRefusedConnections } from '../accounts/refused-connections.ts'
import { sweepApiTokens } from '../auth/api-token.ts'
import { sweepConnectAttempts } from '../auth/connect-attempt.ts'
import { sweepSessions } from '../auth/session.ts'
import { sweepSignInAttempts } from '../auth/sign-in-attempt.ts'
import { sweepSecretOwners } from '../auth/user-secret.ts'
import type { Deps } from '../deps.ts'
import { sweepEvents } from '../events/events.ts'
import { sweepRateLimits } from '../rate-limit/limiter.ts'
import { sweepTweets } from '../tweets/outcome.ts'
import { sweepWebhookDeliveries } from '../webhooks/deliveries.ts'
import { fanOutEvents } from '../webhooks/fan-out.ts'
import { replaceLostJobs } from './lost-jobs.ts'

/** Every minute. Each due minute is run by one instance. */
export const MAINTENANCE_SCHEDULE = '* * * * *'

const tasks: readonly ((deps: Deps) => Promise<unknown>)[] = [
  sweepTweets,
  endAbandonedAttempts,
  sweepConnectAttempts,
  sweepRefusedConnections,
  sweepSignInAttempts,
  sweepSecretOwners,
  sweepSessions,
  sweepRateLimits,
  sweepEvents,
  sweepApiTokens,
  sweepWebhookDeliveries,
  fanOutEvents,
  replaceLostJobs,
  recoverOrphanedTokens,
  refreshIdleAccounts,
]

/**
 * Runs all tasks in order. A task that fails does not keep the later ones from running.
 * @throws AggregateError afterwards
 */
export async function runMaintenance(deps: Deps): Promise<void> {
  const errors: unknown[] = []
  for (const task of tasks) {
    try {
      await task(deps)
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, 'Maintenance tasks failed')
}
