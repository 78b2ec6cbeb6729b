// xconnect database: from the embedded database to PostgreSQL, and back.
import path from 'node:path'
import { type Config, isPostgresUrl, pgliteDirectory } from '../config.ts'
import { checkEncryptionKeys } from '../db/canary.ts'
import { type Database, openForLong } from '../db/client.ts'
import { copyDatabase, refuseRunningGateway } from '../db/copy.ts'
import { migrateDatabase } from '../db/migrate.ts'
import { StartError } from '../errors.ts'

export const DATABASE_USAGE = `  xconnect database copy TARGET
                           copy everything to an empty database, to go on there: postgres://… or a directory, the next
                           DATA_DIR. Stop all gateways first. A password can be given as PGPASSWORD`

/** Carries out what follows `xconnect database`. @returns the exit code: 2 where the words make no command. */
export async function runDatabaseCommand(
  config: Config,
  source: Database,
  words: readonly string[],
  remark: (line: string) => void,
): Promise<number> {
  const [verb, target = '', ...rest] = words
  if (verb !== 'copy' || target === '' || rest.length > 0 || (!isPostgresUrl(target) && target.includes('://'))) {
    remark(`That is no command. There is:\n\n${DATABASE_USAGE}`)
    return 2
  }
  const place = isPostgresUrl(target)
    ? { kind: 'postgres' as const, url: target }
    : { kind: 'pglite' as const, directory: pgliteDirectory(path.resolve(target)) }
  if (JSON.stringify(place) === JSON.stringify(config.database))
    throw new StartError('The target is the configured database itself. Give another one.', 1)
  await refuseRunningGateway(source, 'the configured database')
  await migrateDatabase(source)
  // Before the target is touched: what these keys do not open would be worth nothing there either.
  await checkEncryptionKeys(source.db, config.encryptionKeys)
  const opened = await openForLong(place)
  try {
    await migrateDatabase(opened)
    await refuseRunningGateway(opened, 'the target')
    const copied = await copyDatabase(source.db, opened.db)
    for (const { name, rows } of copied) if (rows > 0) remark(`${String(rows).padStart(10)}  ${name}`)
  } finally {
    await opened.close()
  }
  for (const line of whatIsLeftToDo(config, place)) remark(line)
  return 0
}

function whatIsLeftToDo(config: Config, target: Config['database']): string[] {
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
