#!/usr/bin/env node
// xconnect: what an operator does from a shell. The same configuration as the gateway's.
import { randomBytes } from 'node:crypto'
import { DATABASE_USAGE, runDatabaseCommand } from './commands/database.ts'
import { examine } from './commands/doctor.ts'
import type { Output } from './commands/output.ts'
import { runTokenCommand, TOKEN_USAGE } from './commands/token.ts'
import { runWebhookCommand, WEBHOOK_USAGE } from './commands/webhook.ts'
import { type Config, loadEnvironment, readConfig } from './config.ts'
import { checkEncryptionKeys } from './db/canary.ts'
import { type Database, openDatabase, openForLong } from './db/client.ts'
import { DirectoryInUseError } from './db/directory.ts'
import { migrateDatabase } from './db/migrate.ts'
import { systemClock } from './deps.ts'
import { StartError } from './errors.ts'
import { createLog } from './log.ts'
import { installOutbound } from './outbound.ts'
import { createTargets } from './targets.ts'
import { productionTiming } from './timing.ts'
import { resealAll } from './x/resealing.ts'

const USAGE = `xconnect: commands for whoever runs the gateway

  xconnect doctor          look at the configuration, the database, the keys and both providers
  xconnect migrate         bring the database's tables up to this release
  xconnect keys generate   print a fresh encryption key
  xconnect keys rotate     seal everything anew under the first configured key; gateways may go on serving
${TOKEN_USAGE}
${WEBHOOK_USAGE}
${DATABASE_USAGE}

They read the same variables as the gateway, and .env. With the embedded database, stop the gateway first.`

// A secret alone on standard output, so that a script can take it from there.
const terminal: Output = { answer: (line) => console.log(line), remark: (line) => console.error(line) }

async function run(words: string[]): Promise<number> {
  if (words[0] === 'token') return withDatabase((_config, database) => runToken(database, words.slice(1)))
  if (words[0] === 'webhook') return withDatabase((config, database) => runWebhook(config, database, words.slice(1)))
  if (words[0] === 'database')
    return withDatabase(
      (config, database) => runDatabaseCommand(config, database, words.slice(1), terminal.remark),
      openForLong,
    )
  switch (words.join(' ')) {
    case 'doctor':
      return withDatabase(doctor)
    case 'migrate':
      return withDatabase(async (_config, database) => {
        await migrateDatabase(database)
        console.log('The tables are up to date.')
        return 0
      })
    case 'keys generate':
      console.log(`k${new Date().toISOString().slice(0, 10).replaceAll('-', '')}:${randomBytes(32).toString('base64')}`)
      return 0
    case 'keys rotate':
      return withDatabase(rotateKeys)
    case '':
    case 'help':
    case '--help':
      console.log(USAGE)
      return 0
    default:
      console.error(`There is no command "${words.join(' ')}".\n\n${USAGE}`)
      return 2
  }
}

async function doctor(config: Config, database: Database): Promise<number> {
  const findings = await examine(config, database)
  for (const { name, ok, detail } of findings) console.log(`${ok ? 'ok  ' : 'FAIL'}  ${name}: ${detail}`)
  return findings.every(({ ok }) => ok) ? 0 : 1
}

async function rotateKeys(config: Config, database: Database): Promise<number> {
  await migrateDatabase(database)
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

async function runToken(database: Database, words: string[]): Promise<number> {
  await migrateDatabase(database)
  return runTokenCommand({ db: database.db, clock: systemClock }, words, terminal)
}

async function runWebhook(config: Config, database: Database, words: string[]): Promise<number> {
  await migrateDatabase(database)
  await checkEncryptionKeys(database.db, config.encryptionKeys)
  const targets = createTargets({ policy: config.webhookTargets, deadlineSeconds: productionTiming.callDeadline })
  try {
    return await runWebhookCommand({ db: database.db, clock: systemClock, config, targets }, words, terminal)
  } finally {
    await targets.close()
  }
}

async function withDatabase(
  work: (config: Config, database: Database) => Promise<number>,
  open: typeof openDatabase = openDatabase,
): Promise<number> {
  const config = readConfig(loadEnvironment())
  const outbound = installOutbound(productionTiming.callDeadline)
  const database = await open(config.database).catch((error) => {
    if (!(error instanceof DirectoryInUseError)) throw error
    throw new StartError(
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
    if (error instanceof StartError) console.error(error.message)
    else createLog('error').fatal({ error }, 'The command failed')
    process.exit(error instanceof StartError ? error.exitCode : 1)
  },
)
