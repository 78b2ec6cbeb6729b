// The gateway's process: reads the configuration, starts the sandbox if it is on, starts the
// gateway, and stops on signals.
import './process/quick-imports.js'
import { type Config, loadEnvironment, parseConfig, withSandboxUrl } from './config/config.ts'
import { explainUnusableDirectory, makeDataDirectory } from './config/data-directory.ts'
import { describeSignIn } from './config/sign-in-config.ts'
import { createOutageFilter } from './db/outage-lines.ts'
import { lockDirectory } from './db/pglite-directory.ts'
import { findExposingOptions, keepEnvironmentOutOfReports } from './process/node-flags.ts'
import { endOnSignals } from './process/signals.ts'
import { explainListenError, StartupError } from './process/startup-error.ts'
import { VERSION } from './process/version.ts'
import { createLog, type Log } from './telemetry/log.ts'
import { openLogOutput } from './telemetry/log-output.ts'

async function main(): Promise<void> {
  keepEnvironmentOutOfReports()
  const environment = loadEnvironment()
  const configured = parseConfig(environment)
  const output = openLogOutput()
  const log = createLog(configured.logLevel, output, createOutageFilter())
  for (const warning of configured.warnings) log.warn(warning)
  if (configured.production) warnOfExposingOptions(log, environment)
  // Locks and releases the directory, so that a second gateway fails before it loads all other
  // modules.
  if (configured.database.kind === 'pglite') lockDirectory(configured.database.directory)()
  const { openDatabase } = await import('./db/client.ts')
  // PGlite is compiled by other threads while the other modules are loaded.
  const database = openDatabase(configured.database)
  // startGateway waits for it, and reports that it could not be opened.
  database.catch(() => {})
  const { startGateway } = await import('./gateway.ts')
  const sandbox = configured.sandbox === null ? null : await startSandboxFor(configured, configured.sandbox)
  const config = sandbox === null ? configured : withSandboxUrl(configured, sandbox.url)
  const gateway = await startGateway(config, log, { database, droppedLogLines: output.droppedLines })
  // Log collectors in production expect one JSON object a line.
  const facts = { version: VERSION, publicUrl: config.publicUrl, port: gateway.port }
  if (config.production) log.info({ ...facts, signIn: describeSignIn(config.signIn) }, 'Ready')
  else announce(config, sandbox?.url ?? null)
  endOnSignals(log, output, () => Promise.all([gateway.stop(), sandbox?.close()]))
}

function warnOfExposingOptions(log: Log, environment: NodeJS.ProcessEnv): void {
  const options = findExposingOptions(process.execArgv, environment)
  if (options.length === 0) return
  log.warn({ options }, 'Node was started with options that expose the memory of this process. Remove them')
}

// The sandbox is imported only when it is on, so that production loads none of it.
async function startSandboxFor(config: Config, { port, followsPort }: NonNullable<Config['sandbox']>) {
  // For the sandbox's state file, with PostgreSQL too.
  try {
    makeDataDirectory(config.dataDir)
  } catch (error) {
    throw new StartupError(explainUnusableDirectory(config.dataDir, error), 78)
  }
  const { startSandbox } = await import('./sandbox/server.ts')
  return startSandbox({
    hostname: 'localhost',
    port,
    stateFile: `${config.dataDir}/sandbox.json`,
    githubClient: {
      id: config.github.clientId,
      secret: config.github.clientSecret,
      redirectUris: [`${config.publicUrl}/auth/github/callback`],
    },
    xClient: {
      id: config.x.clientId,
      secret: config.x.clientSecret,
      redirectUris: [`${config.publicUrl}/auth/x/callback`],
    },
  }).catch((error) => {
    // Where a second gateway runs, both ports are in use: SANDBOX_PORT alone would not help.
    const remedy = followsPort
      ? 'Set PORT, which moves both: the gateway takes that port, the sandbox the next.'
      : 'Set SANDBOX_PORT to a free one.'
    throw explainListenError(error, port, remedy)
  })
}

function announce(config: Config, sandboxUrl: string | null): void {
  const database =
    config.database.kind === 'postgres'
      ? 'PostgreSQL (DATABASE_URL)'
      : `embedded PGlite in ${config.database.directory}`
  const providers =
    sandboxUrl === null
      ? `${config.github.url} and ${config.x.url}`
      : `the sandbox, a simulated GitHub and X at ${sandboxUrl}`
  console.log(
    [
      '',
      '  xconnect-gateway is ready',
      '',
      `  Version      ${VERSION}`,
      `  Console      ${config.publicUrl}/`,
      `  GraphQL API  ${config.publicUrl}/graphql${config.graphiql ? '   (open it in a browser for GraphiQL)' : ''}`,
      `  Providers    ${providers}`,
      `  Sign-in      ${describeSignIn(config.signIn)}`,
      `  Database     ${database}`,
      `  Keys         ${config.encryptionKeysSource}`,
      '',
    ].join('\n'),
  )
}

main().catch((error) => {
  if (error instanceof StartupError) console.error(error.message)
  else createLog('error').fatal({ error }, 'The gateway could not start')
  process.exit(error instanceof StartupError ? error.exitCode : 1)
})
