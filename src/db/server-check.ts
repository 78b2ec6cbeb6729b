// Checks that the PostgreSQL server can be used, before the first table is created.
import { sql } from 'drizzle-orm'
import { StartupError } from '../process/startup-error.ts'
import { type Db, queryRows } from './client.ts'

/** The server, or the database in it, cannot hold the tables. The message says what to change. */
export class UnusableServerError extends StartupError {
  constructor(problem: ServerProblem) {
    super(`${problem.sentence} Nothing was changed.`, problem.exitCode)
    this.name = 'UnusableServerError'
  }
}

/** Properties of a server and of this session. */
export type ServerFacts = {
  /** server_version_num: 180003 is 18.3. */
  versionNumber: number
  version: string
  encoding: string
  database: string
  role: string
  searchPath: string
  /** The schema in which a table would be created; null when there is none on the search path. */
  schema: string | null
  hasPublicSchema: boolean
  mayUsePublicSchema: boolean
  isStandby: boolean
  isReadOnly: boolean
}

/**
 * `exitCode` is 1 for a problem that may end without a change of the configuration, and 78
 * otherwise.
 */
export type ServerProblem = { sentence: string; exitCode: StartupError['exitCode'] }

// The oldest release that the tests run on. docs/operate.md names it.
const OLDEST_VERSION = 15

/** Reads the properties that `judgeServer` needs. */
export async function readServerFacts(db: Pick<Db, 'execute'>): Promise<ServerFacts> {
  const [row] = await queryRows(
    db,
    sql`select current_setting('server_version_num')::int as version_number, current_setting('server_version') as version,
      current_setting('server_encoding') as encoding, current_database() as database, current_user as role,
      current_setting('search_path') as search_path, current_schema() as schema, pg_is_in_recovery() as is_standby,
      current_setting('transaction_read_only')::bool as is_read_only, to_regnamespace('public') is not null as has_public,
      coalesce(has_schema_privilege(to_regnamespace('public'), 'usage'), false) as may_use_public`,
  )
  return {
    versionNumber: Number(row?.version_number),
    version: String(row?.version),
    encoding: String(row?.encoding),
    database: String(row?.database),
    role: String(row?.role),
    searchPath: String(row?.search_path),
    schema: typeof row?.schema === 'string' ? row.schema : null,
    hasPublicSchema: row?.has_public === true,
    mayUsePublicSchema: row?.may_use_public === true,
    isStandby: row?.is_standby === true,
    isReadOnly: row?.is_read_only === true,
  }
}

/**
 * Returns the problem that keeps the gateway from using the server, and its remedy; null without
 * one.
 */
export function judgeServer(facts: ServerFacts): ServerProblem | null {
  const database = quoteName(facts.database)
  const role = quoteName(facts.role)
  if (Math.floor(facts.versionNumber / 10_000) < OLDEST_VERSION)
    return {
      sentence: `The server of DATABASE_URL is PostgreSQL ${facts.version}. The gateway needs PostgreSQL ${OLDEST_VERSION} or newer: upgrade it, or name another server.`,
      exitCode: 78,
    }
  if (facts.encoding !== 'UTF8')
    return {
      sentence: `The database ${database} has the encoding ${facts.encoding}, which cannot store every text. Create another with CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8', and name it in DATABASE_URL.`,
      exitCode: 78,
    }
  if (facts.isStandby)
    return {
      sentence: 'The server of DATABASE_URL is a standby, which is read-only. Name the primary in DATABASE_URL.',
      exitCode: 1,
    }
  if (facts.isReadOnly)
    return {
      sentence: `The server of DATABASE_URL opens read-only transactions: default_transaction_read_only is on for the server, the database ${database} or the role ${role}. Managed servers set it when their disk is full. Free space, or run ALTER ROLE ${role} SET default_transaction_read_only = off.`,
      exitCode: 1,
    }
  if (!facts.hasPublicSchema)
    return {
      sentence: `The database ${database} has no schema "public", in which the tables are kept. Run CREATE SCHEMA public AUTHORIZATION ${role}.`,
      exitCode: 78,
    }
  if (facts.mayUsePublicSchema && facts.schema !== 'public')
    return {
      sentence: `The search_path of the role ${role} in the database ${database} is ${facts.searchPath === '' ? 'empty' : facts.searchPath}, and leads to ${facts.schema === null ? 'no schema' : `the schema ${quoteName(facts.schema)}`}. The tables are kept in the schema "public". Run ALTER ROLE ${role} IN DATABASE ${database} SET search_path = public, or give the gateway a database of its own.`,
      exitCode: 78,
    }
  return null
}

/** @throws UnusableServerError */
export async function assertUsableServer(db: Pick<Db, 'execute'>): Promise<void> {
  const problem = judgeServer(await readServerFacts(db))
  if (problem !== null) throw new UnusableServerError(problem)
}

/** Quotes an identifier for a statement or a message. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
