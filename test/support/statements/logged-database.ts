// A handle of a database whose statements are logged, for the gateways that run inside a test. The
// tests' own statements go through the handle beneath it.
import type { PGlite } from '@electric-sql/pglite'
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite'
import type { Sql } from 'postgres'
import type { Database } from '../../../src/db/client.ts'
import { drizzlePostgres } from '../../../src/db/postgres.ts'
import * as tables from '../../../src/db/tables.ts'
import { logStatement } from './statement-log.ts'

/**
 * Returns the same database with a handle that logs.
 * @param logQuery receives the text of each statement; by default it is logged to be judged.
 */
export function withStatementLog(database: Database, logQuery: (text: string) => void = logStatement): Database {
  const { source, db } = database
  // As in src/db/client.ts, which creates it on this client.
  const options = { schema: tables, casing: 'snake_case', logger: { logQuery } } as const
  const client: unknown = Reflect.get(db, '$client')
  return {
    ...database,
    db: source.kind === 'pglite' ? drizzlePglite(client as PGlite, options) : drizzlePostgres(client as Sql, options),
  }
}
