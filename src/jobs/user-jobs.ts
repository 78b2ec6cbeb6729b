// The jobs of one user, wherever they are in the queue.
import { sql } from 'drizzle-orm'
import { type Db, queryRows } from '../db/client.ts'
import type { JobName } from '../db/jobs.ts'

// As many rows of an index as a millisecond or two read.
const PAGE = 5_000

/**
 * Deletes the jobs of a user that wait or have failed, in all queues but `kept`. The queue has no
 * index by user, and one would be written by each job; so all jobs are read by their primary key,
 * one page in each statement.
 */
export async function deleteJobsOfUser({ db }: { db: Db }, userId: string, kept: readonly JobName[]): Promise<void> {
  const queues = await queryRows(db, sql`select name from pgboss.queue order by name`)
  for (const { name } of queues) {
    if (kept.some((queue) => queue === name)) continue
    let after: string | null = null
    do after = await deletePage(db, String(name), userId, after)
    while (after !== null)
  }
}

// Returns the id of the last job of the page; null for the last page.
async function deletePage(db: Db, queue: string, userId: string, after: string | null): Promise<string | null> {
  const isLater = after === null ? sql`true` : sql`id > ${after}`
  const [last] = await queryRows(
    db,
    sql`select id from pgboss.job where name = ${queue} and ${isLater} order by id offset ${PAGE - 1} limit 1`,
  )
  const isInPage = last === undefined ? isLater : sql`${isLater} and id <= ${last.id}`
  await db.execute(
    sql`delete from pgboss.job where name = ${queue} and ${isInPage} and group_id = ${userId} and state <> 'active'`,
  )
  return last === undefined ? null : String(last.id)
}
