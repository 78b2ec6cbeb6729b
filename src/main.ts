// The process: read the configuration, start the sandbox if it is wanted, start the gateway, say so, and end cleanly.
import { type Config, ConfigError, loadEnvironment, readConfig, withSandboxUrl } from './config.ts'
import { WrongKeysError } from './db/canary.ts'
import { DirectoryInUseError } from './db/client.ts'
import { DatabaseTooNewError } from './db/migrate.ts'
import { startGateway } from './gateway.ts'
import { createLog } from './log.ts'

// sysexits.h: EX_CONFIG. A supervisor need not try again.
const EXIT_CONFIG = 78

async function main(): Promise<void> {
  const asked = readConfig(loadEnvironment())
  const log = createLog(asked.logLevel)
  const sandbox = asked.sandbox === null ? null : await startSandboxFor(asked)
  const config = sandbox === null ? asked : withSandboxUrl(asked, sandbox.url)
  const gateway = await startGateway(config, log)
  announce(config, sandbox?.url ?? null)

  let signals = 0
  const end = (reason: string, exitCode: number) => {
    signals += 1
    if (signals > 1) process.exit(1)
    log.info({ reason }, 'Stopping: finishing what is under way')
    Promise.all([gateway.stop(), sandbox?.close()]).then(
      () => process.exit(exitCode),
      (error) => {
        log.error({ error }, 'Could not stop cleanly')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', () => end('SIGTERM', 0))
  process.on('SIGINT', () => end('SIGINT', 0))
  const crash = (error: unknown) => {
    log.fatal({ error }, 'A bug: nothing was there to handle this error')
    end('error', 1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
}

// Imported only when wanted: in production none of it is loaded.
async function startSandboxFor(config: Config) {
  const { startSandbox } = await import('./sandbox/server.ts')
  return startSandbox({
    hostname: 'localhost',
    port: config.sandbox?.port ?? 0,
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

function explain(error: unknown): string | null {
  if (
    error instanceof ConfigError ||
    error instanceof WrongKeysError ||
    error instanceof DirectoryInUseError ||
    error instanceof DatabaseTooNewError
  ) {
    return error.message
  }
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE' && 'port' in error) {
    return `Port ${error.port} is in use by another program. Set PORT (and SANDBOX_PORT) to free ones.`
  }
  return null
}

main().catch((error) => {
  const explanation = explain(error)
  if (explanation === null) createLog('error').fatal({ error }, 'The gateway could not start')
  else console.error(explanation)
  process.exit(explanation === null ? 1 : EXIT_CONFIG)
})
