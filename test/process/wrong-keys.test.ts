import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { type Database, openPglite, openPostgres } from '../../src/db/client.ts'
import { createTestDatabase, type DatabaseKind, type TestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'

const newKey = (id: string) => `${id}:${randomBytes(32).toString('base64')}`

test.each<DatabaseKind>(['pglite', 'postgres'])(
  'E-05 refuses to start with other keys than those of the database, and changes nothing: %s',
  async (kind) => {
    await using database = await createTestDatabase(kind)
    const start = async (keys: string) => {
      const port = String(await findFreePort())
      const environment = { ...database.environment, PORT: port, SANDBOX_PORT: '0', ENCRYPTION_KEYS: keys }
      return { gateway: startGatewayProcess(environment), url: `http://127.0.0.1:${port}` }
    }
    const key = newKey('k1')
    const right = await start(key)
    await right.gateway.ready(right.url)
    expect(await right.gateway.stop()).toBe(0)
    const before = await digest(database)

    const sameName = newKey('k1')
    for (const keys of [sameName, newKey('k2')]) {
      const { gateway } = await start(keys)
      expect(await gateway.ended).toBe(78)
      expect(gateway.output()).toMatch(/encryption key "k1".*Nothing was changed/)
      expect(gateway.output()).not.toContain(keys.slice(3, 20))
    }
    expect(await digest(database)).toEqual(before)

    // As a fallback behind a new key, the old one opens what it sealed.
    const both = await start(`${newKey('k2')},${key}`)
    await both.gateway.ready(both.url)
    expect(await both.gateway.stop()).toBe(0)
  },
)

/** Writes what a start writes: the tables, and a canary for its key. */
async function digest({ environment }: TestDatabase): Promise<unknown> {
  const { DATABASE_URL, DATA_DIR } = environment
  const opened: Database = DATABASE_URL ? openPostgres(DATABASE_URL) : await openPglite(join(DATA_DIR, 'pglite'))
  try {
    return JSON.parse(
      JSON.stringify(
        await opened.db.execute(
          sql`select (select md5(string_agg(c::text, '|' order by c::text)) from encryption_canaries c) canaries,
                     (select string_agg(table_name, ',' order by table_name) from information_schema.tables) tables`,
        ),
      ),
    )
  } finally {
    await opened.close()
  }
}
