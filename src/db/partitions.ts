// Events and webhook deliveries have one partition for each month, so that the indexes that are
// written stay small and the space of a past month is freed at once. A default partition takes the
// rows of a month without one, so that no write fails. Both functions run with the rights of the
// owner of the tables. One session at a time does the work of each.
import { getTableName, sql } from 'drizzle-orm'
import { type Db, queryRows } from './client.ts'
import { events, webhookDeliveries } from './tables.ts'

type Handle = { db: Pick<Db, 'execute'> }

// By the column whose month decides.
const partitioned = [
  [events, events.occurredAt],
  [webhookDeliveries, webhookDeliveries.createdAt],
] as const

/**
 * Creates the partitions of this month and the next two.
 * @returns false at once while another session is creating them: then they may be missing until it
 *   has committed.
 * @throws Error when a request keeps a table locked, and nothing was changed; when a default
 *   partition is too large to be read while requests wait.
 */
export async function createMonthsAhead({ db }: Handle): Promise<boolean> {
  const [row] = await queryRows(
    db,
    sql`select is_elsewhere, array_to_string(too_large, ', ') as too_large from xconnect_create_months_ahead()`,
  )
  if (typeof row?.too_large === 'string' && row.too_large !== '')
    throw new Error(
      `More than 8 MB are in ${row.too_large}, so its table gets no further months. Stop the gateways and run, as the owner of the tables: SELECT xconnect_empty_default_partitions();`,
    )
  return row?.is_elsewhere === false
}

/** Creates the partitions ahead, and drops those of past months of which nothing is kept. */
export async function maintainPartitions(deps: Handle): Promise<void> {
  try {
    await createMonthsAhead(deps)
  } finally {
    await deps.db.execute(sql`select xconnect_drop_past_months()`)
  }
}

/**
 * Creates the partitions of the months of all rows of `source` in `target`, which the owner of its
 * tables has opened.
 */
export async function createMonthsOf(source: Pick<Db, 'execute'>, target: Pick<Db, 'execute'>): Promise<void> {
  for (const [table, moment] of partitioned) {
    const months = await queryRows(
      source,
      sql`select distinct date_trunc('month', ${moment} at time zone 'UTC')::text as month from ${table}`,
    )
    for (const { month } of months)
      await target.execute(sql`select xconnect_create_month(${getTableName(table)}, ${month}::text::timestamp)`)
  }
}
