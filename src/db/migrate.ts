import { sql } from 'drizzle-orm'
import type { PostgresConfig } from '../config/database-config.ts'
import { StartupError } from '../process/startup-error.ts'
import { type Database, type Db, openSingleConnection, queryRows } from './client.ts'
import { assertMayMigrate, assertMayServe, JOBS_SCHEMA, MIGRATIONS_SCHEMA } from './grants.ts'
import { lockMigrations, type ReportWaiting } from './migration-lock.ts'
import {
  applyMigrations,
  FIRST_BY_RULES,
  type MigrationOptions,
  readMigrations,
  recordMigration,
  worksWithRelease,
} from './migrations.ts'
import { assertKeepsSession, assertPooledDatabase } from './pooler.ts'
import { drizzlePostgres } from './postgres.ts'
import { assertUsableServer } from './server-check.ts'
import { describeHost } from './socket.ts'
import { isLockTimeout } from './violations.ts'

/** A newer release has removed from the tables what this one uses. */
export class DatabaseTooNewError extends StartupError {
  constructor() {
    super(
      'The database was migrated by a newer release, which has removed what this one uses. Start that release, or restore a back-up made before it.',
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
 * @throws DatabaseTooNewError when a newer release has removed what this one uses.
 * @param options of tests.
 */
export async function migrateDatabase(
  { source }: Pick<Database, 'source'>,
  waiting: Waiting = {},
  options: MigrationOptions = {},
): Promise<void> {
  if (source.kind === 'pglite') {
    // Imported here, so that a gateway on PostgreSQL loads none of PGlite.
    const { drizzle } = await import('drizzle-orm/pglite')
    const db = drizzle(source.client)
    await makePending(db, true, options)
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
    await makePending(db, false, options).catch(explainLockedTable)
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
async function makePending(
  db: Pick<Db, 'execute'> & { transaction: Transact },
  isEmbedded: boolean,
  options: MigrationOptions,
): Promise<void> {
  const [present] = await queryRows(
    db,
    sql`select to_regnamespace(${MIGRATIONS_SCHEMA}) is not null as has_schema, to_regnamespace(${JOBS_SCHEMA}) is not null as has_jobs,
      to_regclass(${`${MIGRATIONS_SCHEMA}.__drizzle_migrations`}) is not null as has_table`,
  )
  const [latest] = present?.has_table === true ? await queryRows(db, sql.raw(LATEST_MIGRATION)) : []
  const all = readMigrations(options.folder)
  if (latest !== undefined && !(await worksWithRelease(db, all.at(-1)?.createdAt ?? 0))) throw new DatabaseTooNewError()
  const pending = all.filter(({ createdAt }) => latest === undefined || Number(latest.created_at) < createdAt)
  if (pending.length === 0 && present?.has_jobs === true) return
  await assertMayMigrate(db, pending.length)
  const history = pending.filter(({ number }) => number < FIRST_BY_RULES)
  const later = pending.filter(({ number }) => number >= FIRST_BY_RULES)
  await db.transaction(async (db) => {
    if (present?.has_jobs !== true) await db.execute(sql.raw(`create schema ${JOBS_SCHEMA}`))
    if (present?.has_schema !== true) await db.execute(sql.raw(`create schema ${MIGRATIONS_SCHEMA}`))
    if (present?.has_table !== true)
      await db.execute(
        sql.raw(
          `create table ${MIGRATIONS_SCHEMA}.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`,
        ),
      )
    for (const migration of history) {
      for (const statement of migration.statements) await db.execute(sql.raw(statement))
      await recordMigration(db, migration)
    }
  })
  await applyMigrations(db, later, isEmbedded, options)
}

type Transact = (work: (db: Pick<Db, 'execute'>) => Promise<void>) => Promise<void>

// A statement that changes a table waits for all transactions that use it, and later transactions
// wait for the statement.
const TABLE_LOCK_SECONDS = 10

function explainLockedTable(error: unknown): never {
  if (!isLockTimeout(error)) throw error
  throw new StartupError(
    `A migration could not lock a table within ${TABLE_LOCK_SECONDS} s, since another session is using it. Find the sessions with select pid, state, xact_start, query from pg_stat_activity where xact_start is not null; let them finish or end them, and start again. Nothing was changed.`,
    1,
  )
}

/** Returns the number of migrations of this release that are not applied. */
export async function countPendingMigrations(db: Db): Promise<number> {
  const known = readMigrations().length
  const [present] = await queryRows(db, sql`select to_regclass('drizzle.__drizzle_migrations') is not null as yes`)
  if (present?.yes !== true) return known
  const [done] = await queryRows(db, sql`select count(*)::int as count from drizzle.__drizzle_migrations`)
  return Math.max(known - Number(done?.count), 0)
}

const LATEST_MIGRATION = 'select created_at from drizzle.__drizzle_migrations order by created_at desc limit 1'
