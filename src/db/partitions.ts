// Events and webhook deliveries have one partition for each month, so that the indexes that are
// written stay small and the space of a past month is freed at once. A default partition takes the
// rows of a month without one, so that no write fails.
import { sql } from 'drizzle-orm'
import type { Db } from './client.ts'

/**
 * Creates the partitions of this month and the next two, and drops those of past months of which
 * nothing is kept. It runs with the rights of the owner of the tables.
 * @throws Error when a request keeps a table locked; nothing was changed then.
 */
export async function maintainPartitions({ db }: { db: Pick<Db, 'execute'> }): Promise<void> {
  await db.execute(sql`select xconnect_maintain_partitions()`)
}
