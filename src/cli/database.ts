// xconnect database: copies the embedded database to PostgreSQL, or back; declares that it was
// restored.
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { endAllSessions } from '../auth/session-rows.ts'
import type { Config } from '../config/config.ts'
import { type DatabaseConfig, DEFAULT_POOL_SIZE, pgliteDirectory } from '../config/database-config.ts'
import { isPostgresUrl, parsePostgresUrl } from '../config/database-url.ts'
import { type Database, openForLong } from '../db/client.ts'
import { systemClock } from '../db/clock.ts'
import { copyDatabase, refuseRunningGateway } from '../db/copy.ts'
import { beginGeneration, declareNothingLost } from '../db/generations.ts'
import { migrateDatabase } from '../db/migrate.ts'
import { checkEncryptionKeys } from '../db/startup-checks.ts'
import { StartupError } from '../process/startup-error.ts'
import { requireUsableKeys } from './keys.ts'
import { parseOptions } from './subcommand.ts'
import { UsageError } from './usage-error.ts'

export const DATABASE_USAGE = `  xconnect database copy TARGET
                           copy everything to an empty database: postgres://… or a directory, the next DATA_DIR.
                           Stop all gateways first. PGPASSWORD can contain the password
  xconnect database restored [--lost-since TIME] [--end-sessions]
                           declare that the database is a restored backup, before the gateways start: spent tokens
                           are then tried one at a time, and tweets looked for before they are posted. TIME, as
                           2026-11-27T10:00:00Z, is when the backup was made; by default when its newest event was
  xconnect database restored --nothing-lost
                           declare that the last restore or failover has lost nothing`

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
  if (verb === 'restored') {
    const restored = parseRestored(words.slice(1))
    return (config, database, message) => declareRestored(config, database, restored, message)
  }
  if (verb !== 'copy' || rest.length > 0) throw new UsageError()
  const target = parseTarget(text)
  return (config, source, message) => copy(config, source, target, message)
}

type Restored = { lostSince: Date | null; endSessions: boolean; nothingLost: boolean }

function parseRestored(words: readonly string[]): Restored {
  const options = parseOptions(words, {
    'lost-since': { type: 'string' },
    'end-sessions': { type: 'boolean' },
    'nothing-lost': { type: 'boolean' },
  })
  const text = options['lost-since']
  const lostSince = text === undefined ? null : new Date(text)
  if (text !== undefined && !TIME.test(text))
    throw new UsageError('--lost-since takes a date, a time and a zone, such as 2026-11-27T10:00:00Z.')
  if (lostSince !== null && !(lostSince.getTime() <= Date.now()))
    throw new UsageError('--lost-since takes a time of the past.')
  const { 'end-sessions': endSessions = false, 'nothing-lost': nothingLost = false } = options
  if (nothingLost && (endSessions || lostSince !== null)) throw new UsageError()
  return { lostSince, endSessions, nothingLost }
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/

async function declareRestored(
  config: Config,
  database: Database,
  { lostSince, endSessions, nothingLost }: Restored,
  message: Message,
): Promise<void> {
  await migrateDatabase(database, { report: (_fields, sentence) => message(`${sentence}.`) })
  await requireUsableKeys(database, config)
  const { db } = database
  if (nothingLost) {
    const isDeclared = await declareNothingLost({ db })
    return message(
      isDeclared
        ? 'Refresh tokens and idempotency keys of before the restore are used as usual again.'
        : 'The database was not restored: there is nothing to declare.',
    )
  }
  const restore = await beginGeneration({ db, clock: systemClock }, lostSince)
  message(
    `This is generation ${restore.generation} of the database. What was written from ${restore.lostSince.toISOString()} to ${restore.restoredAt.toISOString()} counts as lost.`,
  )
  if (endSessions) message(`Sessions ended: ${await endAllSessions({ db })}. Everybody has to sign in again.`)
  // A gateway that runs reads the generation every two seconds.
  await setTimeout(NOTICED_MILLISECONDS)
  for (const line of AFTER_RESTORE) message(line)
}

const NOTICED_MILLISECONDS = 2_500

const AFTER_RESTORE = [
  'Next steps:',
  '- stop every gateway that still runs on the original database, and never start one on it again;',
  '- what was revoked, disconnected or deleted in the lost interval is back: sessions, API tokens, accounts, users, tweets. Repeat what has to stay so;',
  '- start the gateways. Accounts whose tokens were lost become NEEDS_REAUTH with DATABASE_RESTORED when they are used.',
]

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
