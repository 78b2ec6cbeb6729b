// The rows that each statement has written, as triggers on all tables count them: also those of the
// statements with which PostgreSQL enforces foreign keys.
import { sql } from 'drizzle-orm'
import { queryRows } from './connected-account.ts'
import type { World } from './harness.ts'

/** What one statement has written to one table. */
export type Written = { transaction: string; verb: 'INSERT' | 'UPDATE' | 'DELETE'; table: string; rows: number }

/** Counts from now on. Returns a function that returns the counts so far, in their order. */
export async function countWrittenRows(world: World): Promise<() => Promise<Written[]>> {
  const run = (text: string) => world.db().execute(sql.raw(text))
  await run(`create table written_rows (id bigserial, transaction text, verb text, name text, rows int)`)
  for (const [verb, rows] of [
    ['insert', 'new'],
    ['update', 'new'],
    ['delete', 'old'],
  ] as const) {
    await run(`create function count_${verb}() returns trigger language plpgsql as $$ begin
      insert into written_rows (transaction, verb, name, rows)
      select pg_current_xact_id()::text, tg_op, tg_table_name, count(*) from ${rows}_rows; return null; end $$`)
    for (const { name } of await listTables(world))
      await run(`create trigger count_${verb} after ${verb} on ${name} referencing ${rows} table as ${rows}_rows
        for each statement execute function count_${verb}()`)
  }
  return async () => {
    const rows = await queryRows(
      world,
      sql`select transaction, verb, name, rows from written_rows where rows > 0 order by id`,
    )
    return rows.map(({ transaction, verb, name, rows }) => ({
      transaction: String(transaction),
      verb: verb as Written['verb'],
      table: String(name),
      rows: Number(rows),
    }))
  }
}

function listTables(world: World) {
  return queryRows(
    world,
    sql`select quote_ident(relname) as name from pg_class where relnamespace = 'public'::regnamespace
      and relkind in ('r', 'p') and not relispartition and relname <> 'written_rows'`,
  )
}
