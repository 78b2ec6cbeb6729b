#!/usr/bin/env node
// xconnect, the operator's command line. It uses the configuration of the gateway.
import { randomBytes } from 'node:crypto'
import { resealAll } from './accounts/reseal.ts'
import { DATABASE_USAGE, parseDatabaseCommand } from './cli/database.ts'
import { DOCTOR_USAGE, examine } from './cli/doctor.ts'
import type { Output } from './cli/output.ts'
import { PROVIDERS_USAGE, parseProvidersCommand } from './cli/providers.ts'
import { parseTokenCommand, TOKEN_USAGE } from './cli/token.ts'
import { UsageError } from './cli/usage-error.ts'
import { parseWebhookCommand, WEBHOOK_USAGE } from './cli/webhook.ts'
import { type Config, loadEnvironment, parseConfig } from './config/config.ts'
import { productionTiming } from './config/timing.ts'
import { type Database, openDatabase, openForLong } from './db/client.ts'
import { systemClock } from './db/clock.ts'
import { migrateDatabase } from './db/migrate.ts'
import { DirectoryInUseError } from './db/pglite-directory.ts'
import { checkEncryptionKeys } from './db/startup-checks.ts'
import { installJobTables } from './jobs/queue.ts'
import { installOutbound } from './outbound/provider-calls.ts'
import { createWebhookEgress } from './outbound/webhook-egress.ts'
import { StartupError } from './process/startup-error.ts'
import { createLog } from './telemetry/log.ts'

const MIGRATE_USAGE = '  xconnect migrate         create or update the tables for this release'
const KEYS_USAGE = `  xconnect keys generate   print a new encryption key
  xconnect keys rotate     encrypt all secrets again with the first configured key; gateways can keep running`

type Command = {
  usage: string
  /**
   * Parses the arguments before anything is opened. Returns the function that runs the command.
   * @throws UsageError
   */
  read(words: readonly string[]): () => Promise<number>
}

const commands: ReadonlyMap<string, Command> = new Map([
  ['doctor', { usage: DOCTOR_USAGE, read: alone(() => withDatabase(doctor)) }],
  ['migrate', { usage: MIGRATE_USAGE, read: alone(() => withDatabase(migrate)) }],
  ['keys', { usage: KEYS_USAGE, read: readKeys }],
  ['token', { usage: TOKEN_USAGE, read: readToken }],
  ['webhook', { usage: WEBHOOK_USAGE, read: readWebhook }],
  ['providers', { usage: PROVIDERS_USAGE, read: readProviders }],
  ['database', { usage: DATABASE_USAGE, read: readDatabase }],
])

const USAGE = `xconnect: commands for the operator of the gateway

${[...commands.values()].map(({ usage }) => usage).join('\n')}

All commands read the environment variables of the gateway and the file .env. With the embedded database, stop the gateway first.`

const HELP = ['--help', '-h']

// Standard output carries the result alone, such as a secret, so that a script can read it.
const terminal: Output = { result: (line) => console.log(line), message: (line) => console.error(line) }

const onTerminal = { report: (_fields: unknown, sentence: string) => terminal.message(`${sentence}.`) }

async function run([name = 'help', ...words]: readonly string[]): Promise<number> {
  const command = commands.get(name)
  if (command === undefined) {
    if (name !== 'help' && !HELP.includes(name)) {
      console.error(`There is no command "${name}".\n\n${USAGE}`)
      return 2
    }
    console.log(USAGE)
    return 0
  }
  const use = `Usage:\n\n${command.usage}`
  if (words.some((word) => HELP.includes(word))) {
    console.log(use)
    return 0
  }
  try {
    return await command.read(words)()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message} ${use}`.trimStart())
    return 2
  }
}

function alone(work: () => Promise<number>): Command['read'] {
  return (words) => {
    if (words.length > 0) throw new UsageError()
    return work
  }
}

function readKeys([verb, ...rest]: readonly string[]): () => Promise<number> {
  if (verb === 'generate') return alone(generateKey)(rest)
  if (verb === 'rotate') return alone(() => withDatabase(rotateKeys))(rest)
  throw new UsageError()
}

function readToken(words: readonly string[]): () => Promise<number> {
  const work = parseTokenCommand(words)
  return () =>
    withDatabase(async (_config, database) => {
      await migrateDatabase(database, onTerminal)
      return work({ db: database.db, clock: systemClock }, terminal)
    })
}

function readWebhook(words: readonly string[]): () => Promise<number> {
  const work = parseWebhookCommand(words)
  return () =>
    withDatabase(async (config, database) => {
      await migrateDatabase(database, onTerminal)
      await checkEncryptionKeys(database.db, config.encryptionKeys)
      const webhookEgress = createWebhookEgress({
        policy: config.webhookEgressPolicy,
        deadlineSeconds: productionTiming.callDeadlineSeconds,
      })
      try {
        return await work({ db: database.db, clock: systemClock, config, webhookEgress }, terminal)
      } finally {
        await webhookEgress.close()
      }
    })
}

function readProviders(words: readonly string[]): () => Promise<number> {
  const work = parseProvidersCommand(words)
  return () =>
    withDatabase(async (config, database) => {
      await migrateDatabase(database)
      return work(database.db, config, terminal)
    })
}

function readDatabase(words: readonly string[]): () => Promise<number> {
  const work = parseDatabaseCommand(words)
  return () =>
    withDatabase(async (config, database) => {
      await work(config, database, terminal.message)
      return 0
    }, openForLong)
}

async function migrate(_config: Config, database: Database): Promise<number> {
  await migrateDatabase(database, { ...onTerminal, underLock: () => installJobTables(database) })
  console.log('The tables are up to date.')
  return 0
}

async function generateKey(): Promise<number> {
  console.log(`k${new Date().toISOString().slice(0, 10).replaceAll('-', '')}:${randomBytes(32).toString('base64')}`)
  return 0
}

async function doctor(config: Config, database: Database): Promise<number> {
  const findings = await examine(config, database)
  for (const { name, state, detail } of findings) console.log(`${state.padEnd(11)}  ${name}: ${detail}`)
  return findings.every(({ state }) => state === 'ok') ? 0 : 1
}

async function rotateKeys(config: Config, database: Database): Promise<number> {
  await migrateDatabase(database, onTerminal)
  await checkEncryptionKeys(database.db, config.encryptionKeys)
  const { resealed, waiting, waitingAttempts, unreadable } = await resealAll(database.db, config.encryptionKeys)
  const [, ...spare] = config.encryptionKeys
  console.log(`Encrypted again with the key "${config.encryptionKeys[0].id}": ${resealed}.`)
  if (unreadable > 0)
    console.log(
      `${unreadable} cannot be decrypted with any key, because they were altered: the accounts have to be connected again, or the webhook secrets rotated.`,
    )
  if (waiting > 0)
    console.log(
      `${waiting} are in use: ${waitingAttempts} by connect attempts in progress, ${waiting - waitingAttempts} by refreshes and replacements in progress. Run this command again in ten minutes; keep all keys configured until then.`,
    )
  else if (spare.length > 0)
    // Printed at every run while it is true, also when nothing was left to encrypt.
    console.log(`No longer needed; remove from the configuration: ${spare.map(({ id }) => `"${id}"`).join(', ')}.`)
  return 0
}

async function withDatabase(
  work: (config: Config, database: Database) => Promise<number>,
  open: typeof openDatabase = openDatabase,
): Promise<number> {
  const config = parseConfig(loadEnvironment())
  for (const warning of config.warnings) terminal.message(warning)
  const outbound = installOutbound(productionTiming.callDeadlineSeconds, config.outboundProxy)
  const database = await open(config.database).catch((error) => {
    if (!(error instanceof DirectoryInUseError)) throw error
    throw new StartupError(
      `A gateway is running (process ${error.holder}) and has locked the embedded database. Stop it, run this again, then start it: no data is lost. With PostgreSQL (DATABASE_URL) the gateway can keep running.`,
      1,
    )
  })
  try {
    return await work(config, database)
  } finally {
    await database.close()
    await outbound.close()
  }
}

run(process.argv.slice(2)).then(
  (exitCode) => process.exit(exitCode),
  (error) => {
    if (error instanceof StartupError) console.error(error.message)
    else createLog('error').fatal({ error }, 'The command failed')
    process.exit(error instanceof StartupError ? error.exitCode : 1)
  },
)
