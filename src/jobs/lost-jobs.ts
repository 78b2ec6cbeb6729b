// Queues a job for each row that needs one and has none: after a database was copied without its
// queue, after the queue gave up on a job, or when a disconnected account was connected again.
import { and, eq, gt, isNotNull, lt, lte, ne, not, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { REFRESH_TOKEN_LIFETIME_SECONDS } from '../accounts/revocation.ts'
import { runBatches } from '../db/batches.ts'
import { queryRows } from '../db/client.ts'
import { sqlIn } from '../db/clock.ts'
import type { JobName } from '../db/jobs.ts'
import {
  connectAttempts,
  connectedAccounts,
  grantRevocations,
  tweets,
  webhookDeliveries,
  webhookEndpoints,
} from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { MAX_READS } from '../tweets/reconcile.ts'
import { enqueueDelivery } from '../webhooks/fan-out.ts'

const BATCH = 500

/**
 * Queues all missing jobs. Rows and their jobs are written in one transaction, so a row without a
 * job has lost it.
 */
export async function replaceLostJobs(deps: Deps): Promise<void> {
  await runBatches(BATCH, () => transaction(deps, replaceBatch))
}

async function replaceBatch(deps: Deps): Promise<number> {
  // One instance at a time: two jobs of one tweet would read the timeline at once instead of a
  // minute apart.
  const [lock] = await queryRows(
    deps.db,
    sql`select pg_try_advisory_xact_lock(hashtextextended('xconnect-lost-jobs', 0)) as mine`,
  )
  if (lock?.mine !== true) return 0
  const found = [
    await replaceRevocations(deps),
    await replaceConnects(deps),
    await replaceReconciliations(deps),
    await replaceDeliveries(deps),
  ]
  return Math.max(...found)
}

async function replaceRevocations(deps: Deps): Promise<number> {
  const lost = await deps.db
    .select({ userId: grantRevocations.userId, id: grantRevocations.id })
    .from(grantRevocations)
    .where(
      and(
        gt(grantRevocations.createdAt, sqlIn(deps.clock, -REFRESH_TOKEN_LIFETIME_SECONDS)),
        not(hasJob('revoke-grant', grantRevocations.id)),
      ),
    )
    .limit(BATCH)
  for (const row of lost) await deps.jobs.enqueue(deps, 'revoke-grant', row)
  return lost.length
}

// Also attempts that wait for X: they have no job until they are due.
async function replaceConnects(deps: Deps): Promise<number> {
  const due = await deps.db
    .select({ userId: sql<string>`${connectAttempts.userId}`, id: connectAttempts.id })
    .from(connectAttempts)
    .where(
      and(
        isNotNull(connectAttempts.tokensSealed),
        lte(connectAttempts.nextTryAt, deps.clock.sqlNow()),
        not(hasJob('finish-connect', connectAttempts.id)),
      ),
    )
    .limit(BATCH)
  for (const row of due) await deps.jobs.enqueue(deps, 'finish-connect', row)
  return due.length
}

async function replaceReconciliations(deps: Deps): Promise<number> {
  const lost = await deps.db
    .select({ userId: tweets.userId, id: tweets.id })
    .from(tweets)
    .innerJoin(
      connectedAccounts,
      and(eq(connectedAccounts.userId, tweets.userId), eq(connectedAccounts.id, tweets.accountId)),
    )
    .where(
      and(
        sql`${tweets.status} = 'UNKNOWN'`,
        lt(tweets.timelineReads, MAX_READS),
        ne(connectedAccounts.status, 'DISCONNECTED'),
        not(hasJob('reconcile-tweet', tweets.id)),
      ),
    )
    .limit(BATCH)
  // The lost job may have read the timeline just now.
  for (const row of lost) await deps.jobs.enqueue(deps, 'reconcile-tweet', row, deps.timing.reconcileAgainAfterSeconds)
  return lost.length
}

async function replaceDeliveries(deps: Deps): Promise<number> {
  const lost = await deps.db
    .select({ id: webhookDeliveries.id, userId: webhookEndpoints.userId })
    .from(webhookDeliveries)
    .innerJoin(webhookEndpoints, eq(webhookEndpoints.id, webhookDeliveries.endpointId))
    .where(and(sql`${webhookDeliveries.status} = 'PENDING'`, not(hasJob('deliver-webhook', webhookDeliveries.id))))
    .limit(BATCH)
  // The job waits until the delivery is due.
  for (const delivery of lost) await enqueueDelivery(deps, delivery)
  return lost.length
}

function hasJob(name: JobName, id: PgColumn): SQL {
  return sql`exists (select from pgboss.job
    where name = ${name} and state in ('created', 'retry', 'active') and data->>'id' = ${id}::text)`
}
