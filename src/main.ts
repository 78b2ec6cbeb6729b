// The process: read the configuration, start the sandbox if it is wanted, start the gateway, say so, and end cleanly.
import { type Config, loadEnvironment, parseConfig, withSandboxUrl } from './config/config.ts'
import { explainUnusableDirectory, makeDataDirectory } from './config/data-directory.ts'
import { holdDirectory } from './db/pglite.ts'
import { findExposingOptions, keepEnvironmentOutOfReports } from './process/node-flags.ts'
import { endOnSignals } from './process/signals.ts'
import { explainListenError, StartupError } from './process/startup-error.ts'
import { createLog } from './telemetry/log.ts'
import { openLogOutput } from './telemetry/log-output.ts'

async function main(): Promise<void> {
  keepEnvironmentOutOfReports()
  const environment = loadEnvironment()
  const asked = parseConfig(environment)
  const output = openLogOutput()
  const log = createLog(asked.logLevel, output)
  for (const warning of asked.warnings) log.warn(warning)
  const exposing = findExposingOptions(process.execArgv, environment)
  if (asked.production && exposing.length > 0)
    log.warn(
      { options: exposing },
      'Node was started with options that show the memory of this process: take them away',
    )
  // Taken for a moment only; what opens the database takes it for good. Loading all the rest takes longer than being refused should.
  if (asked.database.kind === 'pglite') holdDirectory(asked.database.directory)()
  const { startGateway } = await import('./gateway.ts')
  const sandbox = asked.sandbox === null ? null : await startSandboxFor(asked, asked.sandbox)
  const config = sandbox === null ? asked : withSandboxUrl(asked, sandbox.url)
  const gateway = await startGateway(config, log, { droppedLogLines: output.droppedLines })
  // Whoever collects the log of a production expects one JSON object a line.
  if (config.production) log.info({ publicUrl: config.publicUrl, port: gateway.port }, 'Ready')
  else announce(config, sandbox?.url ?? null)
  endOnSignals(log, output, () => Promise.all([gateway.stop(), sandbox?.close()]))
}

// Imported only when wanted: in production none of it is loaded.
async function startSandboxFor(config: Config, wanted: NonNullable<Config['sandbox']>) {
  // The sandbox keeps its memory there, on PostgreSQL too.
  try {
    makeDataDirectory(config.dataDir)
  } catch (error) {
    throw new StartupError(explainUnusableDirectory(config.dataDir, error), 78)
  }
  const { startSandbox } = await import('./sandbox/server.ts')
  const { port, followsPort } = wanted
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
    // To set SANDBOX_PORT alone would only lead to the next refusal where a whole second gateway runs.
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
      `  Console      ${config.publicUrl}/`,
      `  GraphQL API  ${config.publicUrl}/graphql${config.graphiql ? '   (open it in a browser for GraphiQL)' : ''}`,
      `  Providers    ${providers}`,
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
