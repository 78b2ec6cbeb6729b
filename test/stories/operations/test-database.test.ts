import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { type Database, openPglite, openPostgres } from '../../../src/db/client.ts'
import { migrateDatabase } from '../../../src/db/migrate.ts'
import { createTestDatabase, databaseKind, type TestDatabase } from '../../support/database.ts'

test('a test gets a migrated database of its own, of the kind its project names', async () => {
  await using database = await createTestDatabase()
  const opened = await open(database)
  expect(opened.source.kind).toBe(databaseKind())
  await migrateDatabase(opened)
  await opened.db.execute(sql`create table only_mine (id integer)`)
  await opened.close()

  await using other = await createTestDatabase()
  const reopened = await open(other)
  await expect(reopened.db.execute(sql`select * from only_mine`)).rejects.toThrow()
  await reopened.close()
})

test('nothing of a removed database is left', async () => {
  const database = await createTestDatabase()
  await database.remove()
  expect(existsSync(database.dataDir)).toBe(false)
})

async function open({ environment }: TestDatabase): Promise<Database> {
  const { DATABASE_URL, DATA_DIR } = environment
  return DATABASE_URL ? openPostgres(DATABASE_URL) : openPglite(join(DATA_DIR, 'pglite'))
}
