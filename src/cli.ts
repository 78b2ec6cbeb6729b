// xconnect, the operator's command line. It uses the configuration of the gateway.
import { ACCOUNT_USAGE, parseAccountCommand } from './cli/account.ts'
import { type AdminWork, withAdministration } from './cli/administration.ts'
import { DATABASE_USAGE, parseDatabaseCommand } from './cli/database.ts'
import { DOCTOR_USAGE, examine } from './cli/doctor.ts'
import { EVENT_USAGE, parseEventCommand } from './cli/event.ts'
import { INVITE_USAGE, parseInviteCommand } from './cli/invite.ts'
import { JOB_USAGE, parseJobCommand } from './cli/job.ts'
import { generateKey, KEYS_USAGE, requireUsableKeys, rotateKeys } from './cli/keys.ts'
import type { Output } from './cli/output.ts'
import { PROVIDERS_USAGE, parseProvidersCommand } from './cli/providers.ts'
import { parseSandboxCommand, SANDBOX_USAGE } from './cli/sandbox.ts'
import { parseStatsCommand, STATS_USAGE } from './cli/stats.ts'
import { parseTokenCommand, TOKEN_USAGE } from './cli/token.ts'
import { parseTweetCommand, TWEET_USAGE } from './cli/tweet.ts'
import { UsageError } from './cli/usage-error.ts'
import { parseUserCommand, USER_USAGE } from './cli/user.ts'
import { parseWebhookCommand, WEBHOOK_USAGE } from './cli/webhook.ts'
import { withDatabase } from './cli/with-database.ts'
import { productionTiming } from './config/timing.ts'
import { openForLong } from './db/client.ts'
import { systemClock } from './db/clock.ts'
import { migrateDatabase } from './db/migrate.ts'
import { installJobTables } from './jobs/queue.ts'
import { createWebhookEgress } from './outbound/webhook-egress.ts'
import { toPrintableLines } from './printable.ts'
import { StartupError } from './process/startup-error.ts'
import { VERSION } from './process/version.ts'
import { createLog } from './telemetry/log.ts'

const VERSION_USAGE = '  xconnect version         print the version of this release'

const MIGRATE_USAGE = '  xconnect migrate         create or update the tables for this release'

type Command = {
  usage: string
  /**
   * Parses the arguments before anything is opened. Returns the function that runs the command and
   * returns the exit code.
   * @throws UsageError
   */
  parse(words: readonly string[]): () => Promise<number>
}

const commands: ReadonlyMap<string, Command> = new Map([
  ['doctor', { usage: DOCTOR_USAGE, parse: withoutArguments(doctor) }],
  ['migrate', { usage: MIGRATE_USAGE, parse: withoutArguments(migrate) }],
  ['keys', { usage: KEYS_USAGE, parse: parseKeys }],
  ['token', { usage: TOKEN_USAGE, parse: parseToken }],
  ['user', { usage: USER_USAGE, parse: parseAdministration(parseUserCommand) }],
  ['account', { usage: ACCOUNT_USAGE, parse: parseAdministration(parseAccountCommand) }],
  ['tweet', { usage: TWEET_USAGE, parse: parseAdministration(parseTweetCommand) }],
  ['job', { usage: JOB_USAGE, parse: parseAdministration(parseJobCommand) }],
  ['event', { usage: EVENT_USAGE, parse: parseAdministration(parseEventCommand) }],
  ['stats', { usage: STATS_USAGE, parse: parseAdministration(parseStatsCommand) }],
  ['invite', { usage: INVITE_USAGE, parse: parseInvite }],
  ['webhook', { usage: WEBHOOK_USAGE, parse: parseWebhook }],
  ['providers', { usage: PROVIDERS_USAGE, parse: parseProviders }],
  ['database', { usage: DATABASE_USAGE, parse: parseDatabase }],
  ['sandbox', { usage: SANDBOX_USAGE, parse: parseSandbox }],
  ['version', { usage: VERSION_USAGE, parse: withoutArguments(version) }],
])

const USAGE = `xconnect: commands for the operator of the gateway

${[...commands.values()].map(({ usage }) => usage).join('\n')}

All commands read the environment variables of the gateway and the file .env. With the embedded database, stop the gateway first.`

const HELP = ['--help', '-h']
const OPTION_FOR_VERSION = '--version'

// Standard output carries the result alone, such as a secret, so that a script can read it.
const terminal: Output = {
  result: (line) => console.log(toPrintableLines(line)),
  message: (line) => console.error(toPrintableLines(line)),
}

const onTerminal = { report: (_fields: unknown, sentence: string) => terminal.message(`${sentence}.`) }

async function run([name = 'help', ...words]: readonly string[]): Promise<number> {
  const command = commands.get(name === OPTION_FOR_VERSION ? 'version' : name)
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
    return await command.parse(words)()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message} ${use}`.trimStart())
    return 2
  }
}

function withoutArguments(work: () => Promise<number>): Command['parse'] {
  return (words) => {
    if (words.length > 0) throw new UsageError('This command takes no arguments.')
    return work
  }
}

function doctor(): Promise<number> {
  return withDatabase(terminal, async (config, database) => {
    const findings = await examine(config, database)
    for (const { name, state, detail } of findings) terminal.result(`${state.padEnd(11)}  ${name}: ${detail}`)
    return findings.every(({ state }) => state === 'ok') ? 0 : 1
  })
}

function migrate(): Promise<number> {
  return withDatabase(terminal, async (_config, database) => {
    await migrateDatabase(database, { ...onTerminal, underLock: () => installJobTables(database) })
    terminal.result('The tables are up to date.')
    return 0
  })
}

async function version(): Promise<number> {
  terminal.result(VERSION)
  return 0
}

function parseKeys([verb, ...rest]: readonly string[]): () => Promise<number> {
  if (verb === 'generate')
    return withoutArguments(async () => {
      generateKey(terminal)
      return 0
    })(rest)
  if (verb !== 'rotate') throw new UsageError()
  return withoutArguments(() =>
    withDatabase(terminal, async (config, database) => {
      await migrateDatabase(database, onTerminal)
      await rotateKeys(database, config, terminal)
      return 0
    }),
  )(rest)
}

function parseToken(words: readonly string[]): () => Promise<number> {
  const work = parseTokenCommand(words)
  return () =>
    withDatabase(terminal, async (_config, database) => {
      await migrateDatabase(database, onTerminal)
      return work({ db: database.db, clock: systemClock }, terminal)
    })
}

function parseAdministration(parse: (words: readonly string[]) => AdminWork): Command['parse'] {
  return (words) => {
    const work = parse(words)
    return () => withAdministration(terminal, work)
  }
}

function parseInvite(words: readonly string[]): () => Promise<number> {
  const work = parseInviteCommand(words)
  return () =>
    withDatabase(terminal, async (config, database) => {
      await migrateDatabase(database, onTerminal)
      return work({ db: database.db, clock: systemClock, config }, terminal)
    })
}

function parseWebhook(words: readonly string[]): () => Promise<number> {
  const work = parseWebhookCommand(words)
  return () =>
    withDatabase(terminal, async (config, database) => {
      await migrateDatabase(database, onTerminal)
      await requireUsableKeys(database, config)
      const deadlineSeconds = productionTiming.callDeadlineSeconds
      const webhookEgress = createWebhookEgress({ policy: config.webhookEgressPolicy, deadlineSeconds })
      try {
        return await work({ db: database.db, clock: systemClock, config, webhookEgress }, terminal)
      } finally {
        await webhookEgress.close()
      }
    })
}

function parseSandbox(words: readonly string[]): () => Promise<number> {
  const work = parseSandboxCommand(words)
  return () => work(terminal)
}

function parseProviders(words: readonly string[]): () => Promise<number> {
  const work = parseProvidersCommand(words)
  return () =>
    withDatabase(terminal, async (config, database) => {
      await migrateDatabase(database)
      return work(database.db, config, terminal)
    })
}

function parseDatabase(words: readonly string[]): () => Promise<number> {
  const work = parseDatabaseCommand(words)
  return () =>
    withDatabase(
      terminal,
      async (config, database) => {
        await work(config, database, terminal.message)
        return 0
      },
      openForLong,
    )
}

// A reader that has enough, such as `head`, closes the pipe.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

run(process.argv.slice(2)).then(
  (exitCode) => process.exit(exitCode),
  (error) => {
    if (error instanceof StartupError) console.error(error.message)
    else createLog('error').fatal({ error }, 'The command failed')
    process.exit(error instanceof StartupError ? error.exitCode : 1)
  },
)
