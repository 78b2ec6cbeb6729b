import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import type { PGlite } from '@electric-sql/pglite'
import type { SQL } from 'drizzle-orm'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import type { Sql } from 'postgres'
import { z } from 'zod'
import { type DatabaseConfig, type PostgresConfig, postgresAt } from '../config/database-config.ts'
import { StartupError } from '../process/startup-error.ts'
import { checkCommits } from './commit.ts'
import { connectPostgres } from './connection.ts'
import { withDeadlines } from './deadlines.ts'
import { lockDirectory } from './pglite-directory.ts'
import { drizzlePostgres } from './postgres.ts'
import * as tables from './tables.ts'
import { createWaitingRoom, type WaitingRoom } from './waiting-room.ts'

/** Drizzle's handle: the pool, or a transaction. */
export type Db = PgDatabase<PgQueryResultHKT, typeof tables>

/** An open database. */
export type Database = {
  db: Db
  /** The connection under `db`, for migrations, LISTEN and the job queue. */
  source: PostgresConfig | { kind: 'pglite'; client: PGlite }
  /** The connections of `db` that are in use and waited for. */
  usage(): DatabaseUsage
  close(): Promise<void>
}

/**
 * How many connections the queries and transactions of each kind of caller use, and how many of
 * these wait for one.
 */
export type DatabaseUsage = ReturnType<WaitingRoom['usage']>

const APPLICATION = 'xconnect-gateway'
// A statement that takes longer waits for something broken: no lock is held during a call to a
// provider.
const LIMITS = {
  statement_timeout: '5s',
  lock_timeout: '2s',
  idle_in_transaction_session_timeout: '5s',
} as const

const RECONNECT_SECONDS = 0.2
// One after the other they take about a millisecond of a connection.
const MAX_SHORT_IN_TURN = 8

// PGlite reserves and touches all of it at the start; its default is 128 MB. What does not fit is
// in the file cache of the system.
const SHARED_BUFFERS = '16MB'

/** Opens the configured database. @throws DirectoryInUseError */
export async function openDatabase(database: DatabaseConfig): Promise<Database> {
  return database.kind === 'postgres' ? openPostgres(database) : openPglite(database.directory)
}

/**
 * Opens a database for a long task: on PostgreSQL one connection without deadlines.
 * @throws DirectoryInUseError
 */
export async function openForLong(database: DatabaseConfig): Promise<Database> {
  if (database.kind === 'pglite') return openPglite(database.directory)
  const client = openSingleConnection(database)
  return {
    db: drizzlePostgres(client, { schema: tables, casing: 'snake_case' }),
    source: database,
    usage: () => [],
    close: () => client.end({ timeout: 5 }),
  }
}

/**
 * Opens PostgreSQL through a pool, which connects at the first query.
 * @param database the configuration, or a URL.
 */
export function openPostgres(database: PostgresConfig | string): Database {
  const source = typeof database === 'string' ? postgresAt(database) : database
  const client = connectPostgres(source, {
    applicationName: APPLICATION,
    route: 'pooled',
    max: source.poolSize,
    idleSeconds: 60,
    settings: LIMITS,
    // The driver's own backoff counts the tries of all connections: ten that are lost at once would
    // wait up to 20 s.
    backoff: () => RECONNECT_SECONDS * (0.5 + Math.random()),
  })
  // A pooler in transaction mode takes one query after the other.
  const room = createWaitingRoom(source.poolSize, {
    maxShared: source.pooler === 'transaction' ? 1 : MAX_SHORT_IN_TURN,
  })
  return {
    db: drizzlePostgres(withDeadlines(client, undefined, room), { schema: tables, casing: 'snake_case' }),
    source,
    usage: room.usage,
    close: () => client.end({ timeout: 5 }),
  }
}

/**
 * Opens the embedded database, in a directory that this process locks, or in memory when
 * `directory` is null.
 * @throws DirectoryInUseError when another process has locked it: two processes in one directory
 *   lose data silently.
 */
export async function openPglite(directory: string | null): Promise<Database> {
  const release = directory === null ? () => {} : lockDirectory(directory)
  // Imported here, so that a gateway on PostgreSQL loads none of PGlite.
  const [{ drizzle }, { keepUsedParsers }] = await Promise.all([
    import('drizzle-orm/pglite'),
    import('./result-parsers.ts'),
  ]).catch((error) => {
    release()
    throw explainMissingPglite(error)
  })
  const client = keepUsedParsers(checkCommits(await createPglite(directory)))
  const room = createWaitingRoom(1, { isInProcess: true })
  return {
    db: drizzle(withTurns(client, room), {
      schema: tables,
      casing: 'snake_case',
    }),
    source: { kind: 'pglite', client },
    usage: room.usage,
    close: async () => {
      await client.close()
      release()
    },
  }
}

// PGlite is an optional dependency.
function explainMissingPglite(error: unknown): unknown {
  const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
  return isMissing
    ? new StartupError(
        'The embedded database is not installed. Set DATABASE_URL to PostgreSQL, or install without --omit=optional.',
        78,
      )
    : error
}

// PGlite runs one query or transaction at a time, in the order in which they were sent.
function withTurns(client: PGlite, room: WaitingRoom): PGlite {
  const inTurn = <T>(start: () => Promise<T>) =>
    new Promise<T>((resolve, reject) => {
      room.enter(() => {
        const started = start()
        started.then(resolve, reject)
        return started
      }, reject)
    })
  const query = (...args: Parameters<PGlite['query']>) => inTurn(() => client.query(...args))
  const transaction = (...args: Parameters<PGlite['transaction']>) => inTurn(() => client.transaction(...args))
  return new Proxy(client, {
    get: (target, property) => {
      if (property === 'query') return query
      if (property === 'transaction') return transaction
      const value: unknown = Reflect.get(target, property)
      // Its methods use private fields.
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/**
 * Runs raw SQL and returns its rows: postgres.js returns an array of them, PGlite an object with an
 * array.
 */
export async function queryRows(db: Pick<Db, 'execute'>, query: SQL): Promise<Record<string, unknown>[]> {
  return rowsShape.parse(await db.execute(query))
}

const rowsShape = z.preprocess(
  (result) => (typeof result === 'object' && result !== null && 'rows' in result ? result.rows : result),
  z.array(z.record(z.string(), z.unknown())),
)

/** Opens a single connection with a session, for example for migrations under an advisory lock. */
export function openSingleConnection(database: PostgresConfig | string): Sql {
  const config = typeof database === 'string' ? postgresAt(database) : database
  return connectPostgres(config, { applicationName: APPLICATION, route: 'direct', max: 1 })
}

// Unpacking an empty cluster is several times faster than initdb. A first start that is killed
// leaves a partial cluster, which PostgreSQL would report as damaged: only a directory with the
// mark file beside it is complete.
async function createPglite(directory: string | null): Promise<PGlite> {
  const { PGlite } = await import('@electric-sql/pglite')
  const startParams = [...PGlite.defaultStartParams, '-c', `shared_buffers=${SHARED_BUFFERS}`]
  const mark = `${directory}.made`
  if (directory !== null && existsSync(mark)) return PGlite.create({ dataDir: directory, startParams })
  const { dataDir: freshCluster } = await import('@electric-sql/pglite-prepopulatedfs')
  const loadDataDir = await freshCluster()
  if (directory === null) return PGlite.create({ loadDataDir, startParams })
  if (existsSync(directory)) renameSync(directory, `${directory}.incomplete-${Date.now()}`)
  mkdirSync(directory, { mode: 0o700 })
  const client = await PGlite.create({ dataDir: directory, loadDataDir, startParams })
  writeFileSync(mark, '')
  return client
}
