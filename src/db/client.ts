import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { PGlite } from '@electric-sql/pglite'
import { dataDir as freshCluster } from '@electric-sql/pglite-prepopulatedfs'
import type { SQL } from 'drizzle-orm'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite'
import type { Sql } from 'postgres'
import { z } from 'zod'
import type { DatabaseConfig, PostgresConfig } from '../database-config.ts'
import { judgeCommits } from './commit.ts'
import { withDeadlines } from './deadline.ts'
import { holdDirectory } from './directory.ts'
import { drizzlePostgres, postgres } from './driver.ts'
import { sessionSettings } from './session-settings.ts'
import * as tables from './tables.ts'

/** Drizzle's handle: the pool, or the transaction that shadows it. */
export type Db = PgDatabase<PgQueryResultHKT, typeof tables>

/** What the process opened, to be closed when it ends. */
export type Database = {
  db: Db
  /** What lies under `db`, for the few who need it: migrations and the job queue. */
  source: PostgresConfig | { kind: 'pglite'; client: PGlite }
  close(): Promise<void>
}

// A statement that waits longer than this waits for something that is broken; nothing of ours holds a lock across the network.
const SESSION_SETTINGS = {
  ...sessionSettings,
  application_name: 'xconnect-gateway',
  statement_timeout: 5_000,
  lock_timeout: 2_000,
  idle_in_transaction_session_timeout: 5_000,
} as const

const POOL_SIZE = 10
const RECONNECT_SECONDS = 0.2

/** Opens the database that is configured. @throws DirectoryInUseError */
export async function openDatabase(database: DatabaseConfig): Promise<Database> {
  return database.kind === 'postgres' ? openPostgres(database.url) : openPglite(database.directory)
}

/** Opens a database for one long piece of work: on PostgreSQL one connection, and no deadlines. @throws DirectoryInUseError */
export async function openForLong(database: DatabaseConfig): Promise<Database> {
  if (database.kind === 'pglite') return openPglite(database.directory)
  const client = openSingleConnection(database.url)
  return {
    db: drizzlePostgres(client, { schema: tables, casing: 'snake_case' }),
    source: { kind: 'postgres', url: database.url },
    close: () => client.end({ timeout: 5 }),
  }
}

/** Opens PostgreSQL through a pool. Nothing is connected before the first query. */
export function openPostgres(url: string): Database {
  const client = postgres(url, {
    max: POOL_SIZE,
    connect_timeout: 5,
    idle_timeout: 60,
    // The driver's own counts the tries of all connections together, so that ten that are lost at once wait up to 20 s.
    backoff: () => RECONNECT_SECONDS * (0.5 + Math.random()),
    connection: SESSION_SETTINGS,
    onnotice: () => {},
  })
  return {
    db: drizzlePostgres(withDeadlines(client), { schema: tables, casing: 'snake_case' }),
    source: { kind: 'postgres', url },
    close: () => client.end({ timeout: 5 }),
  }
}

/**
 * Opens the embedded database, in a directory that this process then holds exclusively, or in memory when `directory` is null.
 * @throws DirectoryInUseError when another process has it open: two on one directory lose data without a word.
 */
export async function openPglite(directory: string | null): Promise<Database> {
  const release = directory === null ? () => {} : holdDirectory(directory)
  const client = judgeCommits(await createPglite(directory))
  return {
    db: drizzlePglite(client, { schema: tables, casing: 'snake_case' }),
    source: { kind: 'pglite', client },
    close: async () => {
      await client.close()
      release()
    },
  }
}

/** The rows of a query that Drizzle has no words for: postgres.js gives a list of them, PGlite an object with one. */
export async function queryRows(db: Pick<Db, 'execute'>, query: SQL): Promise<Record<string, unknown>[]> {
  return rowsShape.parse(await db.execute(query))
}

const rowsShape = z.preprocess(
  (answer) => (typeof answer === 'object' && answer !== null && 'rows' in answer ? answer.rows : answer),
  z.array(z.record(z.string(), z.unknown())),
)

/** A connection of its own for what must hold one for long, as migrations under an advisory lock do. */
export function openSingleConnection(url: string): Sql {
  return postgres(url, {
    max: 1,
    connect_timeout: 5,
    onnotice: () => {},
    connection: { ...sessionSettings, application_name: SESSION_SETTINGS.application_name },
  })
}

// Unpacking an empty cluster is several times faster than making one. A first start that is killed half-way leaves part of a
// cluster, which PostgreSQL would take for a damaged one: only a directory with the mark beside it counts as made.
async function createPglite(directory: string | null): Promise<PGlite> {
  if (directory === null) return PGlite.create({ loadDataDir: await freshCluster() })
  const mark = `${directory}.made`
  if (existsSync(mark)) return PGlite.create({ dataDir: directory })
  if (existsSync(directory)) renameSync(directory, `${directory}.incomplete-${Date.now()}`)
  const client = await PGlite.create({ dataDir: directory, loadDataDir: await freshCluster() })
  writeFileSync(mark, '')
  return client
}
