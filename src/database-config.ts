// The database's part of the configuration. `config.ts` calls it; nothing here reads the environment by itself.
import path from 'node:path'

/** A PostgreSQL server as it is configured. */
export type PostgresConfig = Readonly<{ kind: 'postgres'; url: string }>

/** The database as it is configured. */
export type DatabaseConfig = PostgresConfig | Readonly<{ kind: 'pglite'; directory: string }>

/**
 * Parses DATABASE_URL, and chooses the embedded database in `dataDir` where it is not set.
 * @param get reads a variable; null when it is not set.
 * @param problems receives one sentence for each thing that keeps the process from starting.
 */
export function readDatabaseConfig(
  get: (name: string) => string | null,
  { production, dataDir }: { production: boolean; dataDir: string },
  problems: string[],
): DatabaseConfig {
  const url = get('DATABASE_URL')
  if (url !== null && !isPostgresUrl(url)) problems.push('DATABASE_URL must begin with postgres:// or postgresql://.')
  if (production && url === null && get('DATA_DIR') === null) {
    problems.push(
      'DATABASE_URL is missing: PostgreSQL 15 or newer. (To run production on the embedded database, set DATA_DIR instead.)',
    )
  }
  return url === null ? { kind: 'pglite', directory: pgliteDirectory(dataDir) } : { kind: 'postgres', url }
}

/** Where the embedded database is, in its DATA_DIR. */
export function pgliteDirectory(dataDir: string): string {
  return path.join(dataDir, 'pglite')
}

/** True for an address that DATABASE_URL may be. */
export function isPostgresUrl(text: string): boolean {
  return /^postgres(ql)?:\/\//.test(text)
}
