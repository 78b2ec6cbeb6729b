// The background jobs, as the operator sees them. Read from pg-boss's table by its primary key, (name, id).
import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { type Db, queryRows } from '../db/client.ts'
import { JOBS_CHANNEL, type JobName } from '../db/jobs.ts'
import type { IdPage } from '../db/keyset.ts'
import { isRowId } from '../db/row-id.ts'
import { type Deps, transaction } from '../deps.ts'
import { AppError } from '../errors.ts'
import { type Actor, recordAct } from '../events/operator-acts.ts'

/** A job, as the operator sees it. */
export type AdminJob = {
  id: string
  queue: JobName
  /** WAITING for its first run, RETRYING after one that failed, FAILED when it runs no more. */
  status: 'WAITING' | 'RETRYING' | 'RUNNING' | 'FAILED'
  /** The user and the row that it works on; null in a job of another release. */
  userId: string | null
  objectId: string | null
  /** The runs that have failed. */
  retries: number
  createdAt: Date
  /** When it runs, at the earliest. */
  dueAt: Date
}

// Finished jobs are deleted at once, and none are cancelled.
const statuses = { created: 'WAITING', retry: 'RETRYING', active: 'RUNNING', failed: 'FAILED' } as const
const moment = z.coerce.date()
const jobShape = z.object({
  id: z.string(),
  state: z.enum(['created', 'retry', 'active', 'failed']),
  // A job of another release may lack these.
  user_id: z.string().nullable(),
  object_id: z.string().nullable(),
  retry_count: z.coerce.number(),
  created_on: moment,
  start_after: moment,
})

const columns = sql`id::text as id, state::text as state, data->>'userId' as user_id, data->>'id' as object_id, retry_count,
  created_on, start_after`

/** Returns a page of the jobs of a queue, in the arbitrary order of their ids. */
export async function listJobs({ db }: { db: Db }, queue: JobName, page: IdPage): Promise<AdminJob[]> {
  const isLater = page.after === null ? sql`true` : sql`id > ${page.after}::uuid`
  const isEarlier = page.before === null ? sql`true` : sql`id < ${page.before}::uuid`
  const rows = await queryRows(
    db,
    sql`select ${columns} from pgboss.job where name = ${queue} and ${isLater} and ${isEarlier}
      order by id ${page.backward ? sql`desc` : sql`asc`} limit ${page.limit}`,
  )
  return rows.map((row) => toJob(queue, row))
}

/**
 * Has a job that waits, or has failed for good, run now.
 * @throws AppError JOB_NOT_FOUND
 */
export async function retryJob(deps: Deps, actor: Actor, queue: JobName, jobId: string): Promise<AdminJob> {
  const job = await transaction(deps, async (deps) => {
    const retried = isRowId(jobId) ? await makeDue(deps, queue, jobId) : null
    if (retried === null) return null
    const reason = queue.replaceAll('-', '_').toUpperCase()
    await recordAct(deps, actor, {
      type: 'operator.job_retried',
      reason,
      ...(retried.userId !== null && { userId: retried.userId }),
    })
    return retried
  })
  if (job === null) throw new AppError('JOB_NOT_FOUND', { field: ['input', 'jobId'] })
  return job
}

// A job that has failed for good may run once more than its queue allows.
async function makeDue({ db }: { db: Db }, queue: JobName, jobId: string): Promise<AdminJob | null> {
  const [row] = await queryRows(
    db,
    sql`update pgboss.job set
        state = case when state = 'failed' then 'retry'::pgboss.job_state else state end,
        retry_limit = greatest(retry_limit, retry_count + 1), completed_on = null, start_after = now()
      where name = ${queue} and id = ${jobId}::uuid and state in ('created', 'retry', 'failed')
      returning ${columns}`,
  )
  if (row === undefined) return null
  await db.execute(sql`select pg_notify(${JOBS_CHANNEL}, '')`)
  return toJob(queue, row)
}

function toJob(queue: JobName, row: unknown): AdminJob {
  const { id, state, user_id, object_id, retry_count, created_on, start_after } = jobShape.parse(row)
  return {
    id,
    queue,
    status: statuses[state],
    userId: user_id,
    objectId: object_id,
    retries: retry_count,
    createdAt: created_on,
    dueAt: start_after,
  }
}
