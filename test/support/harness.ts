// The world of a story: a sandbox, a database, a gateway, a clock that the test moves, and
// browsers.
import { sql } from 'drizzle-orm'
import { type Config, parseConfig, withSandboxUrl } from '../../src/config/config.ts'
import { productionTiming, type Timing } from '../../src/config/timing.ts'
import { randomToken } from '../../src/crypto.ts'
import { type Database, type Db, openPglite, openPostgres } from '../../src/db/client.ts'
import type { Clock } from '../../src/db/clock.ts'
import { type Gateway, type GatewayParts, startGateway } from '../../src/gateway.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/server.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { type Browser, openBrowser } from './browser.ts'
import { createTestDatabase } from './database.ts'
import { findFreePort } from './free-port.ts'
import { generousLimits } from './generous-limits.ts'
import { withStatementLog } from './statements/logged-database.ts'

export type World = {
  url: string
  config: Config
  sandbox: Sandbox
  /** The database, for reading rows and seeding states. */
  db(): Db
  /** The test database that holds the tables. */
  database(): Database
  /** The gateway's clock. */
  clock: Clock
  /** The gateway's log so far. */
  logs(): string
  /** Moves the clocks of the gateway and the sandbox forward. */
  advance(seconds: number): void
  /** Sets the gateway's clock off by this much against the database and the sandbox. */
  skewProcess(seconds: number): void
  /** Opens a browser without a session. @param userAgent its User-Agent header. */
  browser(userAgent?: string): Browser
  /** Opens a browser, and signs in with this GitHub login. */
  signedIn(login?: string): Promise<Browser>
  /** Like `signedIn`, and connects this X account. */
  connected(username: string, login?: string): Promise<Browser>
  /** Closes the gateway, runs `meanwhile`, and starts another with these configuration changes. */
  restart(changes?: Partial<Config>, meanwhile?: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** Short deadlines, for stories in which a provider or a database never responds. */
export const impatient: Partial<Timing> = {
  interactiveRetrySeconds: 0.5,
  callDeadlineSeconds: 2,
  waitForRefreshSeconds: 8,
  waitForTweetSeconds: 15,
}

// The other stories have long deadlines, so that their outcome does not depend on the machine.
const patient: Timing = {
  ...productionTiming,
  callDeadlineSeconds: 20,
  waitForRefreshSeconds: 45,
  waitForTweetSeconds: 45,
  reconcileAfterSeconds: 1,
  reconcileAgainAfterSeconds: 1,
  webhookPromptSeconds: 45,
  // A story reads what it has just changed.
  readinessKeptSeconds: 0,
  // A story moves its clock by days, and no task has run since then.
  taskBehindSeconds: 10 * 365 * 86_400,
}

/**
 * Starts a world. Several that are open at once call their providers through the dispatcher of the
 * one that started last, since a process has one. After that one is closed, none can.
 * @param environment overrides of the gateway's environment variables.
 * @param timing overrides of its waits and deadlines.
 * @param parts overrides of other dependencies.
 */
export async function startWorld(
  environment: Record<string, string> = {},
  timing: Partial<Timing> = {},
  parts: Pick<GatewayParts, 'webhookEgress'> = {},
): Promise<World> {
  const database = await createTestDatabase()
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const asked = parseConfig({
    PORT: String(port),
    SANDBOX: 'on',
    RATE_LIMITS: generousLimits,
    ENCRYPTION_KEYS: `test:${Buffer.from(randomToken(32), 'base64url').toString('base64')}`,
    ...database.environment,
    ...environment,
  })
  const sandbox = await startSandbox({
    hostname: 'localhost',
    control: true,
    githubClient: {
      id: asked.github.clientId,
      secret: asked.github.clientSecret,
      redirectUris: [`${asked.publicUrl}/auth/github/callback`],
    },
    xClient: {
      id: asked.x.clientId,
      secret: asked.x.clientSecret,
      redirectUris: [`${asked.publicUrl}/auth/x/callback`],
    },
  })
  let config = withSandboxUrl(asked, sandbox.url)
  const lines: string[] = []
  const log = createLog('debug', { write: (line) => lines.push(line) })
  let offsetSeconds = 0
  let skewSeconds = 0
  const clock: Clock = {
    now: () => new Date(Date.now() + (offsetSeconds + skewSeconds) * 1000),
    // The offset is read when a statement is sent: the texts of prepared queries are kept.
    sqlNow: () => sql<Date>`(xconnect_now() + make_interval(secs => ${{ toString: () => String(offsetSeconds) }}))`,
  }
  let opened: Database
  let gateway: Gateway
  const start = async () => {
    opened = await open(config)
    gateway = await startGateway(config, log, {
      clock,
      database: withStatementLog(opened),
      timing: { ...patient, ...timing },
      ...parts,
    })
  }
  await start()
  const browsers: Browser[] = []
  const browser = (userAgent?: string) => {
    const opened = openBrowser(url, userAgent)
    browsers.push(opened)
    return opened
  }
  const signedIn = async (login = 'mara-holt') => {
    const person = browser()
    await person.signIn(login)
    return person
  }
  return {
    url,
    get config() {
      return config
    },
    sandbox,
    db: () => opened.db,
    database: () => opened,
    clock,
    logs: () => lines.join(''),
    skewProcess: (seconds) => {
      skewSeconds = seconds
    },
    advance: (seconds) => {
      offsetSeconds += seconds
      sandbox.control.advance(seconds)
    },
    browser,
    signedIn,
    connected: async (username, login) => {
      const person = await signedIn(login)
      const { outcome, code } = await person.connect(username)
      if (outcome !== 'connected') throw new Error(`Could not connect @${username}: ${code}`)
      return person
    },
    restart: async (changes, meanwhile) => {
      await gateway.stop()
      await meanwhile?.()
      config = { ...config, ...changes }
      await start()
    },
    close: async () => {
      for (const person of browsers) await person.close()
      await gateway.stop()
      await sandbox.close()
      await database.remove()
    },
  }
}

function open({ database }: Config): Database | Promise<Database> {
  return database.kind === 'postgres' ? openPostgres(database) : openPglite(database.directory)
}
