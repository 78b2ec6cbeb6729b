// xconnect database: from the embedded database to PostgreSQL, and back.
import path from 'node:path'
import type { Config } from '../config/config.ts'
import { type DatabaseConfig, DEFAULT_POOL_SIZE, pgliteDirectory } from '../config/database-config.ts'
import { isPostgresUrl, parsePostgresUrl } from '../config/database-url.ts'
import { type Database, openForLong } from '../db/client.ts'
import { copyDatabase, refuseRunningGateway } from '../db/copy.ts'
import { migrateDatabase } from '../db/migrate.ts'
import { checkEncryptionKeys } from '../db/startup-checks.ts'
import { StartupError } from '../process/startup-error.ts'
import { UsageError } from './usage-error.ts'

export const DATABASE_USAGE = `  xconnect database copy TARGET
                           copy everything to an empty database, to go on there: postgres://… or a directory, the next
                           DATA_DIR. Stop all gateways first. A password can be given as PGPASSWORD`

type Remark = (line: string) => void
type Place = DatabaseConfig

/** Understands what follows `xconnect database`. @returns what carries it out. @throws UsageError */
export function readDatabaseCommand(
  words: readonly string[],
): (config: Config, source: Database, remark: Remark) => Promise<void> {
  const [verb, target = '', ...rest] = words
  if (verb !== 'copy' || rest.length > 0) throw new UsageError()
  const place = readTarget(target)
  return (config, source, remark) => copy(config, source, place, remark)
}

function readTarget(text: string): Place {
  if (text === '') throw new UsageError('The target is missing.')
  if (isPostgresUrl(text)) {
    const { address, problems } = parsePostgresUrl(text, 'The target')
    if (problems.length > 0) throw new UsageError(problems.join(' '))
    return { kind: 'postgres', address, pooler: 'session', direct: null, poolSize: DEFAULT_POOL_SIZE }
  }
  // What it was is not repeated: there may be a password in it.
  if (text.includes('://') || text.startsWith('-'))
    throw new UsageError(
      'The target is of no known kind: neither an address that begins with postgres:// or postgresql://, nor a directory.',
    )
  return { kind: 'pglite', directory: pgliteDirectory(path.resolve(text)) }
}

// How many connections lead to a database does not make it another.
function withoutSize(place: Place): Place {
  return place.kind === 'postgres' ? { ...place, poolSize: DEFAULT_POOL_SIZE } : place
}

async function copy(config: Config, source: Database, place: Place, remark: Remark): Promise<void> {
  const waiting = { report: (_fields: unknown, sentence: string) => remark(`${sentence}.`) }
  if (JSON.stringify(withoutSize(place)) === JSON.stringify(withoutSize(config.database)))
    throw new StartupError('The target is the configured database itself. Give another one.', 1)
  await refuseRunningGateway(source, 'the configured database')
  await migrateDatabase(source, waiting)
  // Before the target is touched: what these keys do not open would be worth nothing there either.
  await checkEncryptionKeys(source.db, config.encryptionKeys)
  const opened = await openForLong(place)
  try {
    await migrateDatabase(opened, waiting)
    await refuseRunningGateway(opened, 'the target')
    const copied = await copyDatabase(source.db, opened.db)
    for (const { name, rows } of copied) if (rows > 0) remark(`${String(rows).padStart(10)}  ${name}`)
  } finally {
    await opened.close()
  }
  for (const line of whatIsLeftToDo(config, place)) remark(line)
}

function whatIsLeftToDo(config: Config, target: Place): string[] {
  const dataDir = target.kind === 'pglite' ? path.dirname(target.directory) : null
  const isKeyFile = config.encryptionKeysSource !== 'ENCRYPTION_KEYS'
  const keys = isKeyFile
    ? `its ENCRYPTION_KEYS_FILE must be ${config.encryptionKeysSource}, or a copy of it`
    : 'its ENCRYPTION_KEYS must be those of now'
  return [
    'Everything is copied. To go on there:',
    dataDir === null
      ? '- start the gateway with DATABASE_URL set to the target;'
      : `- start the gateway with DATA_DIR=${dataDir}, and without DATABASE_URL;`,
    `- ${keys}: without them no token can be opened;`,
    ...(config.sandbox === null || dataDir === null
      ? []
      : [`- the sandbox's memory is ${path.join(config.dataDir, 'sandbox.json')}: copy it to ${dataDir} too;`]),
    "- never start a gateway on the old database again: the two would spend each other's refresh tokens. Delete it once the new one runs.",
  ]
}
