#!/usr/bin/env node
// xconnect: what an operator does from a shell. The same configuration as the gateway's.
import { randomBytes } from 'node:crypto'
import { resealAll } from './accounts/reseal.ts'
import { DATABASE_USAGE, readDatabaseCommand } from './cli/database.ts'
import { DOCTOR_USAGE, examine } from './cli/doctor.ts'
import type { Output } from './cli/output.ts'
import { PROVIDERS_USAGE, readProvidersCommand } from './cli/providers.ts'
import { readTokenCommand, TOKEN_USAGE } from './cli/token.ts'
import { UsageError } from './cli/usage-error.ts'
import { readWebhookCommand, WEBHOOK_USAGE } from './cli/webhook.ts'
import { type Config, loadEnvironment, parseConfig } from './config/config.ts'
import { productionTiming } from './config/timing.ts'
import { type Database, openDatabase, openForLong } from './db/client.ts'
import { systemClock } from './db/clock.ts'
import { migrateDatabase } from './db/migrate.ts'
import { DirectoryInUseError } from './db/pglite.ts'
import { checkEncryptionKeys } from './db/startup-checks.ts'
import { installJobTables } from './jobs/queue.ts'
import { installOutbound } from './outbound/provider-calls.ts'
import { createWebhookEgress } from './outbound/webhook-egress.ts'
import { StartupError } from './process/startup-error.ts'
import { createLog } from './telemetry/log.ts'

const MIGRATE_USAGE = "  xconnect migrate         bring the database's tables up to this release"
const KEYS_USAGE = `  xconnect keys generate   print a fresh encryption key
  xconnect keys rotate     seal everything anew under the first configured key; gateways may go on serving`

type Command = {
  usage: string
  /** Understands the words behind the command's name, before anything is opened. @throws UsageError */
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

const USAGE = `xconnect: commands for whoever runs the gateway

${[...commands.values()].map(({ usage }) => usage).join('\n')}

They read the same variables as the gateway, and .env. With the embedded database, stop the gateway first.`

const HELP = ['--help', '-h']

// A secret alone on standard output, so that a script can take it from there.
const terminal: Output = { answer: (line) => console.log(line), remark: (line) => console.error(line) }

const onTerminal = { report: (_fields: unknown, sentence: string) => terminal.remark(`${sentence}.`) }

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
  const use = `Use:\n\n${command.usage}`
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
  const work = readTokenCommand(words)
  return () =>
    withDatabase(async (_config, database) => {
      await migrateDatabase(database, onTerminal)
      return work({ db: database.db, clock: systemClock }, terminal)
    })
}

function readWebhook(words: readonly string[]): () => Promise<number> {
  const work = readWebhookCommand(words)
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
  const work = readProvidersCommand(words)
  return () =>
    withDatabase(async (config, database) => {
      await migrateDatabase(database)
      return work(database.db, config, terminal)
    })
}

function readDatabase(words: readonly string[]): () => Promise<number> {
  const work = readDatabaseCommand(words)
  return () =>
    withDatabase(async (config, database) => {
      await work(config, database, terminal.remark)
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
  console.log(`Sealed anew under "${config.encryptionKeys[0].id}": ${resealed}.`)
  if (unreadable > 0)
    console.log(
      `${unreadable} open under no key, since they were altered: their accounts have to be linked again, or their webhook secrets rotated.`,
    )
  if (waiting > 0)
    console.log(
      `${waiting} are in use just now: by link attempts under way ${waitingAttempts}, by what is being refreshed or replaced ${waiting - waitingAttempts}. Run this again in ten minutes; keep all keys configured until then.`,
    )
  else if (spare.length > 0)
    // Said as long as it is true: at a second run too, when nothing was left to do.
    console.log(
      `No longer needed, and to be taken out of the configuration: ${spare.map(({ id }) => `"${id}"`).join(', ')}.`,
    )
  return 0
}

async function withDatabase(
  work: (config: Config, database: Database) => Promise<number>,
  open: typeof openDatabase = openDatabase,
): Promise<number> {
  const config = parseConfig(loadEnvironment())
  for (const warning of config.warnings) terminal.remark(warning)
  const outbound = installOutbound(productionTiming.callDeadlineSeconds, config.outboundProxy)
  const database = await open(config.database).catch((error) => {
    if (!(error instanceof DirectoryInUseError)) throw error
    throw new StartupError(
      `A gateway is running (process ${error.holder}), and has the embedded database to itself. Stop it, run this again, then start it: everything is kept. With PostgreSQL (DATABASE_URL) there is no need to stop it.`,
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
