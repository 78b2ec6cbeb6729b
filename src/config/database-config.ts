// The database part of the configuration.
import path from 'node:path'
import { type PostgresAddress, parsePostgresUrl } from './database-url.ts'
import type { Remarks } from './remarks.ts'
import { parseCount } from './variables.ts'

export type { PostgresAddress, PostgresHost } from './database-url.ts'

/** The configuration of a PostgreSQL server. */
export type PostgresConfig = Readonly<{
  kind: 'postgres'
  address: PostgresAddress
  /**
   * `transaction`: the address is that of a pooler in transaction mode, which assigns a server
   * connection for one transaction. `session`: there is no pooler, or one in session mode.
   */
  pooler: 'session' | 'transaction'
  /**
   * The address of the same database that bypasses the pooler; null without a pooler in transaction
   * mode.
   */
  direct: PostgresAddress | null
  /**
   * The maximum number of connections in the pool for requests. A request waits when all are in
   * use.
   */
  poolSize: number
}>

/** The configuration of the database: PostgreSQL, or PGlite in a directory. */
export type DatabaseConfig = PostgresConfig | Readonly<{ kind: 'pglite'; directory: string }>

/**
 * Parses DATABASE_URL and the other DATABASE_ variables. Without DATABASE_URL the database is
 * PGlite in `dataDir`.
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
    warnings.push(...parsed.warnings, ...warnOfPlainText(parsed.address, name))
    return parsed.address
  }
  const address = parse('DATABASE_URL')
  const direct = parse('DATABASE_DIRECT_URL')
  const pooler = get('DATABASE_POOLER') ?? 'session'
  if (pooler !== 'session' && pooler !== 'transaction') problems.push('DATABASE_POOLER must be session or transaction.')
  if (pooler === 'transaction' && address !== null && direct === null)
    problems.push(
      'DATABASE_DIRECT_URL is missing: with DATABASE_POOLER=transaction it is the address of the same database that bypasses the pooler, for migrations and for LISTEN.',
    )
  if (direct !== null && (address === null || pooler !== 'transaction'))
    problems.push(
      'DATABASE_DIRECT_URL is used only together with DATABASE_URL and DATABASE_POOLER=transaction: set all three, or DATABASE_URL alone.',
    )
  const poolSize = parseCount(
    get('DATABASE_POOL_SIZE'),
    { name: 'DATABASE_POOL_SIZE', things: 'connections', most: LARGEST_POOL_SIZE },
    DEFAULT_POOL_SIZE,
    problems,
  )
  if (production && address === null && get('DATA_DIR') === null) {
    problems.push(
      'DATABASE_URL is missing: PostgreSQL 15 or newer. (To run production on the embedded database, set DATA_DIR instead.)',
    )
  }
  if (address === null) return { kind: 'pglite', directory: pgliteDirectory(dataDir) }
  return { kind: 'postgres', address, pooler: pooler === 'transaction' ? pooler : 'session', direct, poolSize }
}

// sslmode=prefer, the default, continues in plain text if the server, or somebody in between, says
// that it has no TLS.
function warnOfPlainText({ hosts, tls }: PostgresAddress, name: string): string[] {
  const remote = hosts.filter(({ address }) => !isOnThisMachine(address)).map(({ host }) => host)
  if (remote.length === 0 || !['disable', 'allow', 'prefer'].includes(tls.mode)) return []
  return [
    `${name}: the connection to ${remote.join(', ')} can be plain text (sslmode=${tls.mode}): the network in between can read the password and all data. Set sslmode=verify-full, or require.`,
  ]
}

// A Unix socket, or a loopback address.
function isOnThisMachine(host: string): boolean {
  return host === '' || /^[/@]/.test(host) || /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(host)
}

/**
 * The configuration of a server without a pooler, from an address like DATABASE_URL.
 * @throws Error when the address is invalid.
 */
export function postgresAt(url: string, name = 'The address'): PostgresConfig {
  const { address, problems } = parsePostgresUrl(url, name)
  if (problems.length > 0) throw new Error(problems.join(' '))
  return { kind: 'postgres', address, pooler: 'session', direct: null, poolSize: DEFAULT_POOL_SIZE }
}

/** The size of the pool for requests when DATABASE_POOL_SIZE is not set. */
export const DEFAULT_POOL_SIZE = 10
// PostgreSQL accepts 100 connections by default: a larger number than this is a typing error.
const LARGEST_POOL_SIZE = 1_000

/** The directory of the embedded database in `dataDir`. */
export function pgliteDirectory(dataDir: string): string {
  return path.join(dataDir, 'pglite')
}
