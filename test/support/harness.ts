// A whole world for a story: a sandbox, a database of its own, a gateway in front of both, a clock in our hands, and browsers.
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

export type World = {
  url: string
  config: Config
  sandbox: Sandbox
  /** The tables, for looking at rows and for seeding a state directly. */
  db(): Db
  /** What the tables are in. */
  database(): Database
  /** The gateway's time. */
  clock: Clock
  /** All that the gateway has logged. */
  logs(): string
  /** Moves the gateway's time and the sandbox's together. */
  advance(seconds: number): void
  /** Sets the gateway's process wrong by so much, against its database and the sandbox. */
  skewProcess(seconds: number): void
  /** A browser that nobody is signed in with. @param userAgent what it says that it is. */
  browser(userAgent?: string): Browser
  /** A browser that this GitHub person has signed in with. */
  signedIn(login?: string): Promise<Browser>
  /** The same person, with this X account linked. */
  connected(username: string, login?: string): Promise<Browser>
  /** Ends the gateway, does what is to be done meanwhile, and starts another with these changes to its configuration. */
  restart(changes?: Partial<Config>, meanwhile?: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** For stories in which somebody never answers: nobody waits for him for long. */
export const impatient: Partial<Timing> = {
  interactiveRetrySeconds: 0.5,
  callDeadlineSeconds: 2,
  waitForRefreshSeconds: 8,
  waitForTweetSeconds: 15,
}

// All others wait longer than any machine takes, so that what they see does not depend on how fast it is.
const patient: Timing = {
  ...productionTiming,
  callDeadlineSeconds: 20,
  waitForRefreshSeconds: 45,
  waitForTweetSeconds: 45,
  reconcileAfterSeconds: 1,
  reconcileAgainAfterSeconds: 1,
}

/**
 * Starts a world.
 * @param environment overrides of the gateway's environment.
 * @param timing overrides of its waits.
 * @param parts what else is replaced.
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
    sqlNow: () => sql<Date>`(clock_timestamp() + make_interval(secs => ${offsetSeconds}))`,
  }
  let opened: Database
  let gateway: Gateway
  const start = async () => {
    opened = await open(config)
    gateway = await startGateway(config, log, {
      clock,
      database: opened,
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
      if (outcome !== 'connected') throw new Error(`Could not link @${username}: ${code}`)
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
