// A database as the last release left it, to be migrated to this one.
import { sql } from 'drizzle-orm'
import { inject } from 'vitest'
import { postgresAt } from '../../src/config/database-config.ts'
import { type Database, openForLong, openPglite } from '../../src/db/client.ts'
import { databaseKind } from './database.ts'
import { createEarlierTables } from './earlier-tables.ts'
import { createDatabase } from './postgres-databases.ts'

const LAST_MIGRATION_OF_RELEASE = 20

/** An open database, which is removed when it is disposed of. */
export type ReleaseDatabase = Database & AsyncDisposable

/** Creates a database with the tables of the last release, and without rows. */
export async function createReleaseDatabase(): Promise<ReleaseDatabase> {
  const opened = databaseKind() === 'postgres' ? await openEmptyPostgres() : await openEmptyPglite()
  await opened.db.transaction(async (db) => {
    await db.execute(sql`create schema pgboss`)
    await createEarlierTables(db, LAST_MIGRATION_OF_RELEASE)
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
