// Counts the rows that are inserted and updated, by triggers on every table.
import { sql } from 'drizzle-orm'
import { queryRows } from '../../src/db/client.ts'
import type { World } from './harness.ts'

/** Tables whose rows no mutation writes for itself. */
const UNCOUNTED = ['rate_limits', 'rows_written']
/**
 * The gateway of the world updates rows of these tables meanwhile, as it sends webhooks: updates count
 * only where they set one of these columns.
 */
const UPDATED_BY_OTHERS: Readonly<Record<string, string>> = {
  webhook_deliveries: '',
  webhook_turns: '',
  webhook_endpoints: 'url, description, event_types, secret_sealed, status, deleted_at',
}

/** Creates the triggers, for the rest of the world's life. */
export async function installRowCounter(world: World): Promise<void> {
  const db = world.db()
  await db.execute(sql`create table rows_written (relation text not null)`)
  await db.execute(sql`create function count_row_written() returns trigger language plpgsql as $$
    begin insert into rows_written values (tg_table_name); return null; end $$`)
  const tables = await queryRows(
    db,
    sql`select relname as name from pg_class
      where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
  )
  for (const { name } of tables) {
    if (UNCOUNTED.includes(String(name))) continue
    const columns = UPDATED_BY_OTHERS[String(name)]
    const update = columns === undefined ? ' or update' : columns === '' ? '' : ` or update of ${columns}`
    await db.execute(sql`create trigger count_row_written after insert${sql.raw(update)} on ${sql.identifier(String(name))}
      for each row execute function count_row_written()`)
  }
}

/** Returns the tables of the rows that were written during `work`, one entry for each row. */
export async function rowsWritten(world: World, work: () => Promise<void>): Promise<string[]> {
  await world.db().execute(sql`truncate rows_written`)
  await work()
  const rows = await queryRows(world.db(), sql`select relation from rows_written`)
  return rows.map(({ relation }) => String(relation))
}
