// The database's part of the configuration. `config.ts` calls it; nothing here reads the environment by itself.
import path from 'node:path'
import { type PostgresAddress, parsePostgresUrl } from './database-url.ts'

export type { PostgresAddress, PostgresHost } from './database-url.ts'

/** A PostgreSQL server as it is configured. */
export type PostgresConfig = Readonly<{
  kind: 'postgres'
  address: PostgresAddress
  /**
   * `transaction`: the address leads to a pooler that gives a server connection for one transaction at a time. `session`: there is
   * none, or one that keeps a server connection for each client.
   */
  pooler: 'session' | 'transaction'
  /** The same database past that pooler; null where `address` will do for everything. */
  direct: PostgresAddress | null
  /** How many connections the pool for requests has at most. What finds all of them taken waits for one. */
  poolSize: number
}>

/** The database as it is configured. */
export type DatabaseConfig = PostgresConfig | Readonly<{ kind: 'pglite'; directory: string }>

/** Sentences about the configuration: `problems` keep the process from starting, `warnings` are for the log. */
export type Remarks = { problems: string[]; warnings: string[] }

/**
 * Parses DATABASE_URL and what belongs to it, and chooses the embedded database in `dataDir` where it is not set.
 * @param get reads a variable; null when it is not set.
 */
export function parseDatabaseConfig(
  get: (name: string) => string | null,
  { production, dataDir }: { production: boolean; dataDir: string },
  { problems, warnings }: Remarks,
): DatabaseConfig {
  const parse = (name: string): PostgresAddress | null => {
    const url = get(name)
    if (url === null) return null
    const parsed = parsePostgresUrl(url, name)
    problems.push(...parsed.problems)
    warnings.push(...parsed.warnings)
    return parsed.address
  }
  const address = parse('DATABASE_URL')
  const direct = parse('DATABASE_DIRECT_URL')
  const pooler = get('DATABASE_POOLER') ?? 'session'
  if (pooler !== 'session' && pooler !== 'transaction') problems.push('DATABASE_POOLER must be session or transaction.')
  if (pooler === 'transaction' && address !== null && direct === null)
    problems.push(
      'DATABASE_DIRECT_URL is missing: with DATABASE_POOLER=transaction it is the address of the same database past the pooler, for migrations and for LISTEN.',
    )
  if (direct !== null && (address === null || pooler !== 'transaction'))
    problems.push(
      'DATABASE_DIRECT_URL is used beside DATABASE_URL and DATABASE_POOLER=transaction only: set all three, or DATABASE_URL alone.',
    )
  const poolSize = readPoolSize(get('DATABASE_POOL_SIZE'), problems)
  if (production && address === null && get('DATA_DIR') === null) {
    problems.push(
      'DATABASE_URL is missing: PostgreSQL 15 or newer. (To run production on the embedded database, set DATA_DIR instead.)',
    )
  }
  if (address === null) return { kind: 'pglite', directory: pgliteDirectory(dataDir) }
  return { kind: 'postgres', address, pooler: pooler === 'transaction' ? pooler : 'session', direct, poolSize }
}

/** A server without a pooler in transaction mode, at an address as DATABASE_URL has it. @throws Error when the address is wrong. */
export function postgresAt(url: string, name = 'The address'): PostgresConfig {
  const { address, problems } = parsePostgresUrl(url, name)
  if (problems.length > 0) throw new Error(problems.join(' '))
  return { kind: 'postgres', address, pooler: 'session', direct: null, poolSize: DEFAULT_POOL_SIZE }
}

/** Connections of the pool for requests where DATABASE_POOL_SIZE is not set. */
export const DEFAULT_POOL_SIZE = 10
// More than any one server lets in by default many times over: a slip of the pen.
const LARGEST_POOL_SIZE = 1_000

function readPoolSize(text: string | null, problems: string[]): number {
  if (text === null) return DEFAULT_POOL_SIZE
  const size = Number(text)
  if (/^\d{1,4}$/.test(text) && size >= 1 && size <= LARGEST_POOL_SIZE) return size
  problems.push(`DATABASE_POOL_SIZE must be a number of connections from 1 to ${LARGEST_POOL_SIZE}.`)
  return DEFAULT_POOL_SIZE
}

/** Where the embedded database is, in its DATA_DIR. */
export function pgliteDirectory(dataDir: string): string {
  return path.join(dataDir, 'pglite')
}
