// A database as the last release left it, to be migrated to this one.
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { inject } from 'vitest'
import { postgresAt } from '../../src/config/database-config.ts'
import { type Database, openForLong, openPglite } from '../../src/db/client.ts'
import { databaseKind } from './database.ts'
import { createDatabase } from './postgres-databases.ts'

// 0000 to 0020.
const MIGRATIONS_OF_RELEASE = 21

/** An open database, which is removed when it is disposed of. */
export type ReleaseDatabase = Database & AsyncDisposable

/** Creates a database with the tables of the last release, and without rows. */
export async function createReleaseDatabase(): Promise<ReleaseDatabase> {
  const opened = databaseKind() === 'postgres' ? await openEmptyPostgres() : await openEmptyPglite()
  const released = readMigrationFiles({ migrationsFolder: 'drizzle' }).slice(0, MIGRATIONS_OF_RELEASE)
  await opened.db.transaction(async (db) => {
    await db.execute(sql`create schema pgboss`)
    await db.execute(sql`create schema drizzle`)
    await db.execute(
      sql`create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
    )
    for (const { sql: statements, hash, folderMillis } of released) {
      for (const statement of statements) await db.execute(sql.raw(statement))
      await db.execute(
        sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis})`,
      )
    }
  })
  return opened
}

async function openEmptyPglite(): Promise<ReleaseDatabase> {
  const database = await openPglite(null)
  return { ...database, [Symbol.asyncDispose]: () => database.close() }
}

async function openEmptyPostgres(): Promise<ReleaseDatabase> {
  const { adminUrl } = inject('postgres')
  const created = await createDatabase({ adminUrl, template: null })
  const database = await openForLong(postgresAt(created.url))
  const remove = async () => {
    await database.close()
    await created.drop()
  }
  return { ...database, [Symbol.asyncDispose]: remove }
}
