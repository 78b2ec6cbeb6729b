// Copies a database to another one, PGlite or PostgreSQL in either direction. PostgreSQL writes and
// parses the rows as JSON, so that no value is converted here; they are read in batches, so that
// the size of the database does not matter.

import { getTableName, is, type SQL, sql } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import { StartupError } from '../process/startup-error.ts'
import { runBatches } from './batches.ts'
import { type Database, type Db, queryRows } from './client.ts'
import { adoptLineage } from './generations.ts'
import { createMonthsOf } from './partitions.ts'
import * as tables from './tables.ts'

/** The number of rows that were copied to a table. */
export type CopiedTable = { name: string; rows: number }

const PAGE_ROWS = 500
// Buckets of the last 15 minutes: a missing bucket is full.
const leftBehind: readonly PgTable[] = [tables.rateLimits]
// The migrations insert a row into these, which the row of the source replaces.
const filledByMigrations = new Map<PgTable, SQL>([[tables.users, sql`${tables.users.id} = ${tables.OPERATOR_ID}`]])

/**
 * Copies all tables, in one transaction on each side: after an error the target is empty. Both must
 * be migrated to this release.
 * @throws StartupError when the target already has rows.
 */
export async function copyDatabase(source: Db, target: Db): Promise<CopiedTable[]> {
  const order = tablesToCopy()
  return target.transaction(async (target) => {
    await waitAsLongAsItTakes(target)
    // A gateway that starts on the target meanwhile waits for the lock, and finds it complete or
    // empty.
    await target.execute(sql`lock table ${sql.join(order, sql`, `)} in access exclusive mode`)
    await refuseRows(target, order)
    return source.transaction(
      async (source) => {
        await waitAsLongAsItTakes(source)
        // Otherwise all months but these would be in the default partition.
        await createMonthsOf(source, target)
        const done: CopiedTable[] = []
        for (const table of order)
          done.push({ name: getTableName(table), rows: await copyTable(source, target, table) })
        // Nothing is lost: the copy is not restored.
        await adoptLineage(target)
        return done
      },
      { isolationLevel: 'repeatable read', accessMode: 'read only' },
    )
  })
}

/**
 * @throws StartupError when a gateway is connected to this database. On PGlite the lock of the
 *   directory excludes it.
 */
export async function refuseRunningGateway({ db, source }: Database, which: string): Promise<void> {
  if (source.kind === 'pglite') return
  const [running] = await queryRows(
    db,
    sql`select count(*)::int as connections from pg_stat_activity
      where datname = current_database() and application_name in ('xconnect-gateway-jobs', 'xconnect-gateway-events')`,
  )
  if (running?.connections !== 0)
    throw new StartupError(
      `A gateway is running on ${which}. Stop all of them, then run this again. Nothing was changed.`,
      1,
    )
}

/** All tables but those left behind, each after the tables that it references. */
function tablesToCopy(): PgTable[] {
  const ours: unknown[] = Object.values(tables)
  const waiting = new Set(ours.filter((table) => is(table, PgTable)).filter((table) => !leftBehind.includes(table)))
  const order: PgTable[] = []
  while (waiting.size > 0) {
    const free = [...waiting].filter((table) => !referredTo(table).some((other) => waiting.has(other)))
    if (free.length === 0) throw new Error('Bug: tables refer to each other in a circle')
    for (const table of free) waiting.delete(table)
    order.push(...free)
  }
  return order
}

function referredTo(table: PgTable): PgTable[] {
  return getTableConfig(table).foreignKeys.map((key) => key.reference().foreignTable)
}

async function refuseRows(target: Db, order: readonly PgTable[]): Promise<void> {
  const notEmpty: string[] = []
  for (const table of order) {
    const filled = filledByMigrations.get(table)
    if (filled !== undefined) await target.delete(table).where(filled)
    if ((await target.$count(table)) > 0) notEmpty.push(getTableName(table))
  }
  if (notEmpty.length > 0)
    throw new StartupError(
      `The target is not empty: it has rows in ${notEmpty.join(', ')}. Give a database that no gateway was started on. Nothing was changed.`,
      1,
    )
}

async function copyTable(source: Db, target: Db, table: PgTable): Promise<number> {
  await source.execute(sql`declare copied no scroll cursor for select row_to_json(${table})::text as row from ${table}`)
  let rows = 0
  await runBatches(PAGE_ROWS, async () => {
    const page = await queryRows(source, sql`fetch ${sql.raw(String(PAGE_ROWS))} from copied`)
    if (page.length === 0) return 0
    const json = `[${page.map(({ row }) => row).join(',')}]`
    await target.execute(
      sql`insert into ${table} select * from json_populate_recordset(null::${table}, ${json}::text::json)`,
    )
    rows += page.length
    return page.length
  })
  await source.execute(sql`close copied`)
  return rows
}

// The timeouts of a session are for requests.
async function waitAsLongAsItTakes(db: Db): Promise<void> {
  await db.execute(sql`set local statement_timeout = 0`)
  await db.execute(sql`set local idle_in_transaction_session_timeout = 0`)
  // PostgreSQL 17 and newer have it.
  await db.execute(sql`select set_config(name, '0', true) from pg_settings where name = 'transaction_timeout'`)
}
