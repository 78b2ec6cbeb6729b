// Events and webhook deliveries have one partition for each month, so that the indexes that are
// written stay small and the space of a past month is freed at once. A default partition takes the
// rows of a month without one, so that no write fails. Both functions run with the rights of the
// owner of the tables. One session at a time does the work of each.
import { sql } from 'drizzle-orm'
import { type Db, queryRows } from './client.ts'

type Handle = { db: Pick<Db, 'execute'> }

/**
 * Creates the partitions of this month and the next two.
 * @returns false at once while another session is creating them: then they may be missing until it
 *   has committed.
 * @throws Error when a request keeps a table locked; nothing was changed then.
 */
export async function createMonthsAhead({ db }: Handle): Promise<boolean> {
  const [row] = await queryRows(db, sql`select xconnect_create_months_ahead() as done`)
  return row?.done === true
}

/** Creates the partitions ahead, and drops those of past months of which nothing is kept. */
export async function maintainPartitions(deps: Handle): Promise<void> {
  try {
    await createMonthsAhead(deps)
  } finally {
    await deps.db.execute(sql`select xconnect_drop_past_months()`)
  }
}
