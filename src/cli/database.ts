// xconnect database: copies the embedded database to PostgreSQL, or back.
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
                           copy everything to an empty database: postgres://… or a directory, the next DATA_DIR.
                           Stop all gateways first. PGPASSWORD can contain the password`

type Message = (line: string) => void
type Target = DatabaseConfig

/**
 * Parses the arguments of `xconnect database`.
 * @returns the function that runs it.
 * @throws UsageError
 */
export function parseDatabaseCommand(
  words: readonly string[],
): (config: Config, source: Database, message: Message) => Promise<void> {
  const [verb, text = '', ...rest] = words
  if (verb !== 'copy' || rest.length > 0) throw new UsageError()
  const target = parseTarget(text)
  return (config, source, message) => copy(config, source, target, message)
}

function parseTarget(text: string): Target {
  if (text === '') throw new UsageError('The target is missing.')
  if (isPostgresUrl(text)) {
    const { address, problems } = parsePostgresUrl(text, 'The target')
    if (problems.length > 0) throw new UsageError(problems.join(' '))
    return { kind: 'postgres', address, pooler: 'session', direct: null, poolSize: DEFAULT_POOL_SIZE }
  }
  // The text is not quoted: it may contain a password.
  if (text.includes('://') || text.startsWith('-'))
    throw new UsageError(
      'The target is neither an address that begins with postgres:// or postgresql:// nor a directory.',
    )
  return { kind: 'pglite', directory: pgliteDirectory(path.resolve(text)) }
}

// The pool size does not identify a database.
function withoutSize(target: Target): Target {
  return target.kind === 'postgres' ? { ...target, poolSize: DEFAULT_POOL_SIZE } : target
}

async function copy(config: Config, source: Database, target: Target, message: Message): Promise<void> {
  const waiting = { report: (_fields: unknown, sentence: string) => message(`${sentence}.`) }
  if (JSON.stringify(withoutSize(target)) === JSON.stringify(withoutSize(config.database)))
    throw new StartupError('The target is the configured database. Name a different one.', 1)
  await refuseRunningGateway(source, 'the configured database')
  await migrateDatabase(source, waiting)
  // Before the target is changed: without the right keys the copy would be useless.
  await checkEncryptionKeys(source.db, config.encryptionKeys)
  const opened = await openForLong(target)
  try {
    await migrateDatabase(opened, waiting)
    await refuseRunningGateway(opened, 'the target')
    const copied = await copyDatabase(source.db, opened.db)
    for (const { name, rows } of copied) if (rows > 0) message(`${String(rows).padStart(10)}  ${name}`)
  } finally {
    await opened.close()
  }
  for (const line of nextSteps(config, target)) message(line)
}

function nextSteps(config: Config, target: Target): string[] {
  const dataDir = target.kind === 'pglite' ? path.dirname(target.directory) : null
  const isKeyFile = config.encryptionKeysSource !== 'ENCRYPTION_KEYS'
  const keys = isKeyFile
    ? `set ENCRYPTION_KEYS_FILE to ${config.encryptionKeysSource}, or to a copy of it`
    : 'keep the same ENCRYPTION_KEYS'
  return [
    'Everything is copied. Next steps:',
    dataDir === null
      ? '- start the gateway with DATABASE_URL set to the target;'
      : `- start the gateway with DATA_DIR=${dataDir}, and without DATABASE_URL;`,
    `- ${keys}: without these keys no token can be decrypted;`,
    ...(config.sandbox === null || dataDir === null
      ? []
      : [`- copy the state of the sandbox, ${path.join(config.dataDir, 'sandbox.json')}, to ${dataDir};`]),
    "- never start a gateway on the old database again: two gateways would invalidate each other's refresh tokens. Delete the old database once the new gateway runs.",
  ]
}
