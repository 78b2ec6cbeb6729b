// Queues a job for each row that needs one and has none: after a database was copied without its
// queue, after the queue gave up on a job, or when a disconnected account was connected again.
import { and, asc, eq, gt, isNotNull, isNull, lt, lte, ne, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { REFRESH_TOKEN_LIFETIME_SECONDS } from '../accounts/revocation.ts'
import { isActiveUser } from '../db/active-user.ts'
import { runBatches } from '../db/batches.ts'
import { queryRows } from '../db/client.ts'
import { sqlIn } from '../db/clock.ts'
import type { JobName } from '../db/jobs.ts'
import { connectAttempts, connectedAccounts, grantRevocations, tweets, userDeletions } from '../db/tables.ts'
import { type Deps, transaction } from '../deps.ts'
import { MAX_READS } from '../tweets/reconcile.ts'

const BATCH = 500

type Row = { userId: string; id: string }

/**
 * Queues all missing jobs. Rows and their jobs are written in one transaction, or the job right
 * after it, so a row without a job has lost it.
 * @returns the number of queued jobs.
 */
export async function replaceLostJobs(deps: Deps, signal: AbortSignal): Promise<number> {
  let queued = 0
  queued += await replaceLost(deps, 'revoke-grant', readRevocations, 0, signal)
  queued += await replaceLost(deps, 'delete-user', readDeletions, 0, signal)
  // Also attempts that wait for X: they have no job until they are due.
  queued += await replaceLost(deps, 'finish-connect', readDueAttempts, 0, signal)
  // The lost job may have read the timeline just now.
  const { reconcileAgainAfterSeconds } = deps.timing
  queued += await replaceLost(deps, 'reconcile-tweet', readUnknownTweets, reconcileAgainAfterSeconds, signal)
  return queued
}

// Reads the rows that need a job page by page, in the order of their keys, and queues a job for
// each that has none. Returns how many it has queued. Rows and jobs are read by two statements: on
// a distributed database they are on different nodes.
async function replaceLost(
  deps: Deps,
  name: JobName,
  readPage: (deps: Deps, after: Row | null) => Promise<Row[]>,
  afterSeconds: number,
  signal: AbortSignal,
): Promise<number> {
  let after: Row | null = null
  let replaced = 0
  const replacePage = async () => {
    const from = after
    const { page, lost } = await transaction(deps, async (deps): Promise<{ page: Row[]; lost: Row[] }> => {
      // One instance at a time: two jobs of one tweet would read the timeline at once instead of a
      // minute apart.
      const [lock] = await queryRows(
        deps.db,
        sql`select pg_try_advisory_xact_lock(hashtextextended('xconnect-lost-jobs', 0)) as mine`,
      )
      if (lock?.mine !== true) return { page: [], lost: [] }
      const page = await readPage(deps, from)
      const queued = await findQueued(deps, name, page)
      const lost = page.filter(({ id }) => !queued.has(id))
      for (const row of lost) await deps.jobs.enqueue(deps, name, row, afterSeconds)
      return { page, lost }
    })
    after = page.at(-1) ?? null
    replaced += lost.length
    return page.length
  }
  await runBatches(BATCH, replacePage, signal)
  return replaced
}

// Returns the ids of the rows that have a job. Read by pg-boss's indexes: on (name, singleton_key)
// of the jobs that wait, and on (name, state) of those that run, which are few.
async function findQueued(deps: Deps, name: JobName, page: readonly Row[]): Promise<Set<string>> {
  if (page.length === 0) return new Set()
  const ids = sql.join(
    page.map(({ id }) => sql`${id}`),
    sql`, `,
  )
  const jobs = await queryRows(
    deps.db,
    sql`select singleton_key as id from pgboss.job where name = ${name} and state < 'active' and singleton_key in (${ids})
      union all select singleton_key from pgboss.job where name = ${name} and state = 'active' and singleton_key in (${ids})`,
  )
  return new Set(jobs.map(({ id }) => String(id)))
}

async function readRevocations(deps: Deps, after: Row | null): Promise<Row[]> {
  const { userId, id, createdAt } = grantRevocations
  return deps.db
    .select({ userId, id })
    .from(grantRevocations)
    .where(and(gt(createdAt, sqlIn(deps.clock, -REFRESH_TOKEN_LIFETIME_SECONDS)), afterRow(userId, id, after)))
    .orderBy(asc(userId), asc(id))
    .limit(BATCH)
}

async function readDeletions(deps: Deps, after: Row | null): Promise<Row[]> {
  const { userId, id, finishedAt } = userDeletions
  return deps.db
    .select({ userId: sql<string>`${userId}`, id })
    .from(userDeletions)
    .where(and(isNull(finishedAt), afterRow(userId, id, after)))
    .orderBy(asc(userId), asc(id))
    .limit(BATCH)
}

async function readDueAttempts(deps: Deps, after: Row | null): Promise<Row[]> {
  const { userId, id, tokensSealed, nextTryAt } = connectAttempts
  return deps.db
    .select({ userId, id })
    .from(connectAttempts)
    .where(and(isNotNull(tokensSealed), lte(nextTryAt, deps.clock.sqlNow()), afterRow(userId, id, after)))
    .orderBy(asc(userId), asc(id))
    .limit(BATCH)
}

async function readUnknownTweets(deps: Deps, after: Row | null): Promise<Row[]> {
  const { userId, id } = tweets
  return deps.db
    .select({ userId, id })
    .from(tweets)
    .innerJoin(connectedAccounts, and(eq(connectedAccounts.userId, userId), eq(connectedAccounts.id, tweets.accountId)))
    .where(
      and(
        sql`${tweets.status} = 'UNKNOWN'`,
        lt(tweets.timelineReads, MAX_READS),
        ne(connectedAccounts.status, 'DISCONNECTED'),
        isActiveUser(userId),
        afterRow(userId, id, after),
      ),
    )
    .orderBy(asc(userId), asc(id))
    .limit(BATCH)
}

function afterRow(userId: PgColumn, id: PgColumn, after: Row | null): SQL | undefined {
  return after === null ? undefined : sql`(${userId}, ${id}) > (${after.userId}, ${after.id})`
}
