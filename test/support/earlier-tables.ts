// The tables as an earlier release left them, for stories about its rows after the migration.
import path from 'node:path'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { type Database, type Db, openDatabase, queryRows } from '../../src/db/client.ts'
import type { World } from './harness.ts'

const migrationsFolder = path.join(import.meta.dirname, '../../drizzle')

/**
 * Restarts the gateway on a database as it was before this release: emptied, with the tables up to a
 * migration, and the rows that `fill` inserts. The gateway migrates it at its start.
 * @param lastMigration the number of the last migration, as in its file's name.
 */
export async function restartAfterMigration(
  world: World,
  lastMigration: number,
  fill: (db: Db) => Promise<void>,
): Promise<void> {
  await world.restart({}, async () => {
    await using resources = new AsyncDisposableStack()
    const database: Database = await openDatabase(world.config.database)
    resources.defer(() => database.close())
    for (const schema of ['drizzle', 'pgboss', 'public'])
      await database.db.execute(sql.raw(`drop schema if exists ${schema} cascade`))
    await database.db.execute(sql`create schema public`)
    await createEarlierTables(database.db, lastMigration)
    await fill(database.db)
  })
}

/**
 * Creates the tables as they were after a migration, and Drizzle's table of migrations.
 * @param lastMigration the number of the last migration, as in its file's name.
 */
export async function createEarlierTables(db: Pick<Db, 'execute'>, lastMigration: number): Promise<void> {
  await db.execute(sql`create schema drizzle`)
  await db.execute(
    sql`create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
  )
  for (const { sql: statements, hash, folderMillis } of readMigrationFiles({ migrationsFolder }).slice(
    0,
    lastMigration + 1,
  )) {
    for (const statement of statements) await db.execute(sql.raw(statement))
    await db.execute(sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis})`)
  }
}

/** A row as PostgreSQL writes it as JSON: column → value. */
export type JsonRow = Record<string, unknown>

/** Reads the rows of a table as JSON. */
export async function readJsonRows(db: Db, table: string): Promise<JsonRow[]> {
  const rows = await queryRows(db, sql`select to_json(t)::text as json from ${sql.identifier(table)} t`)
  return rows.map(({ json }) => JSON.parse(String(json)))
}

/**
 * Inserts a row into a table, which may have other columns by now: values without a column are left
 * out, and columns without a value become null.
 */
export async function insertJsonRow(db: Db, table: string, row: JsonRow): Promise<void> {
  const name = sql.identifier(table)
  await db.execute(
    sql`insert into ${name} select * from json_populate_record(null::${name}, ${JSON.stringify(row)}::json)`,
  )
}
