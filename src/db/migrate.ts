import path from 'node:path'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import type { PostgresConfig } from '../config/database-config.ts'
import { StartupError } from '../process/startup-error.ts'
import { type Database, type Db, openSingleConnection, queryRows } from './client.ts'
import { assertMayMigrate, assertMayServe, JOBS_SCHEMA, MIGRATIONS_SCHEMA } from './grants.ts'
import { lockMigrations, type ReportWaiting } from './migration-lock.ts'
import { assertKeepsSession, assertPooledDatabase } from './pooler.ts'
import { drizzlePostgres } from './postgres.ts'
import { assertUsableServer } from './server-check.ts'
import { describeHost } from './socket.ts'

/** The database was migrated by a newer release than this one. */
export class DatabaseTooNewError extends StartupError {
  constructor() {
    super(
      'The database was migrated by a newer release. Start that release, or restore a back-up made before it; going back is not supported.',
      78,
    )
    this.name = 'DatabaseTooNewError'
  }
}

/** The first query failed. */
export class DatabaseUnreachableError extends StartupError {
  constructor({ address, direct }: PostgresConfig, error: unknown) {
    const hosts = (direct ?? address).hosts.map(describeHost)
    const [host = ''] = hosts
    // An error of the connection begins with the host, which the sentence names already.
    const reason = (error instanceof Error ? error.message : 'no response').replace(`${host}: `, '').replace(/\.$/, '')
    super(
      `PostgreSQL at ${hosts.join(', ')} cannot be used: ${reason}. Check the URL, and that the server runs and lets this user in.`,
      1,
    )
    this.name = 'DatabaseUnreachableError'
    this.cause = error
  }
}

const migrationsFolder = path.join(import.meta.dirname, '../../drizzle')

/**
 * The options of a migration: how long it waits for another instance, and the work under the lock
 * after the migrations.
 */
export type Waiting = { report?: ReportWaiting; waitSeconds?: number; underLock?: () => Promise<void> }

/**
 * Migrates the tables to this release. On PostgreSQL under an advisory lock, so that any number of
 * instances can start at once.
 * @throws DatabaseUnreachableError
 * @throws PoolerError when a pooler does not keep sessions.
 * @throws UnusableServerError when the server or the database in it cannot hold the tables; nothing
 *   was changed then.
 * @throws MissingGrantError when the role lacks a privilege; the message contains the statements
 *   that grant it.
 * @throws MigrationLockError when another session does not release the lock in time.
 * @throws DatabaseTooNewError when the tables are ahead of the code.
 */
export async function migrateDatabase({ source }: Pick<Database, 'source'>, waiting: Waiting = {}): Promise<void> {
  if (source.kind === 'pglite') {
    // Imported here, so that a gateway on PostgreSQL loads none of PGlite.
    const { drizzle } = await import('drizzle-orm/pglite')
    const db = drizzle(source.client)
    await makePending(db)
    const { rows } = await source.client.query<{ created_at: string }>(LATEST_MIGRATION)
    refuseNewer(rows[0]?.created_at)
    // The lock of the directory excludes other processes.
    await waiting.underLock?.()
    return
  }
  const connection = openSingleConnection(source)
  try {
    await connection`select 1`.catch((error) => {
      throw new DatabaseUnreachableError(source, error)
    })
    await assertUsableServer(drizzlePostgres(connection))
    // Before the lock: a pooler that does not keep sessions would not release it.
    await assertKeepsSession(source)
    if (source.pooler === 'transaction') await assertPooledDatabase(source)
    await lockMigrations(connection, waiting.report ?? (() => {}), waiting.waitSeconds)
    await connection.unsafe(`set lock_timeout = '${TABLE_LOCK_SECONDS}s'`)
    // PostgreSQL 17 and newer have it, and a role can have a default for it.
    await connection`select set_config(name, '0', false) from pg_settings where name = 'transaction_timeout'`
    const db = drizzlePostgres(connection)
    await assertMayServe(db)
    await makePending(db).catch(explainLockedTable)
    const rows = await connection.unsafe<{ created_at: string }[]>(LATEST_MIGRATION)
    refuseNewer(rows[0]?.created_at)
    await waiting.underLock?.()
  } finally {
    await connection.end({ timeout: 5 })
  }
}

/**
 * Does what Drizzle's migrator does, without its CREATE … IF NOT EXISTS: PostgreSQL requires the
 * CREATE privilege for that even when the object exists, and a role that only serves does not have
 * it. Also creates the schema of the job queue.
 */
async function makePending(db: Pick<Db, 'execute'> & { transaction: Transact }): Promise<void> {
  const [present] = await queryRows(
    db,
    sql`select to_regnamespace(${MIGRATIONS_SCHEMA}) is not null as has_schema, to_regnamespace(${JOBS_SCHEMA}) is not null as has_jobs,
      to_regclass(${`${MIGRATIONS_SCHEMA}.__drizzle_migrations`}) is not null as has_table`,
  )
  const [latest] = present?.has_table === true ? await queryRows(db, sql.raw(LATEST_MIGRATION)) : []
  const pending = readMigrationFiles({ migrationsFolder }).filter(
    ({ folderMillis }) => latest === undefined || Number(latest.created_at) < folderMillis,
  )
  if (pending.length === 0 && present?.has_jobs === true) return
  await assertMayMigrate(db, pending.length)
  await db.transaction(async (db) => {
    if (present?.has_jobs !== true) await db.execute(sql.raw(`create schema ${JOBS_SCHEMA}`))
    if (present?.has_schema !== true) await db.execute(sql.raw(`create schema ${MIGRATIONS_SCHEMA}`))
    if (present?.has_table !== true)
      await db.execute(
        sql.raw(
          `create table ${MIGRATIONS_SCHEMA}.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
        ),
      )
    for (const { sql: statements, hash, folderMillis } of pending) {
      for (const statement of statements) await db.execute(sql.raw(statement))
      await db.execute(
        sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis})`,
      )
    }
  })
}

type Transact = (work: (db: Pick<Db, 'execute'>) => Promise<void>) => Promise<void>

// A statement that changes a table waits for all transactions that use it, and later transactions
// wait for the statement.
const TABLE_LOCK_SECONDS = 10

function explainLockedTable(error: unknown): never {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && cause.code === '55P03')
      throw new StartupError(
        `A migration could not lock a table within ${TABLE_LOCK_SECONDS} s, since another session is using it. Find the sessions with select pid, state, xact_start, query from pg_stat_activity where xact_start is not null; let them finish or end them, and start again. Nothing was changed.`,
        1,
      )
  }
  throw error
}

/** Returns the number of migrations of this release that are not applied. */
export async function countPendingMigrations(db: Db): Promise<number> {
  const known = readMigrationFiles({ migrationsFolder }).length
  const [present] = await queryRows(db, sql`select to_regclass('drizzle.__drizzle_migrations') is not null as yes`)
  if (present?.yes !== true) return known
  const [done] = await queryRows(db, sql`select count(*)::int as count from drizzle.__drizzle_migrations`)
  return Math.max(known - Number(done?.count), 0)
}

const LATEST_MIGRATION = 'select created_at from drizzle.__drizzle_migrations order by created_at desc limit 1'

function refuseNewer(latest: string | undefined): void {
  const known = Math.max(...readMigrationFiles({ migrationsFolder }).map((migration) => migration.folderMillis))
  if (latest !== undefined && Number(latest) > known) throw new DatabaseTooNewError()
}
