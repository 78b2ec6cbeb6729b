// What every scenario needs: a PostgreSQL server, a gateway on it with one signed-in user who has
// two accounts, and a stub in the place of GitHub and X.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { postgresAt } from '../../src/config/database-config.ts'
import { postgres } from '../../src/db/postgres.ts'
import { type Browser, cookieOf, openBrowser } from '../support/browser.ts'
import { generousLimits } from '../support/generous-limits.ts'
import { type PostgresServer, startPostgresServer } from '../support/postgres.ts'
import { fillTemplate } from '../support/template.ts'
import { type ServerProcess, startGateway, startServer } from './server-process.ts'

export type Stage = {
  server: PostgresServer
  /** The process id of PostgreSQL's parent process. */
  postmasterPid: number
  databaseUrl: string
  /** The variables of a gateway on this database. */
  environment: Record<string, string>
  gateway: ServerProcess
  stub: ServerProcess
  sql: ReturnType<typeof postgres>
  /** The signed-in user. */
  person: Browser
  userId: string
  accountId: string
  /** The headers of a signed-in browser. */
  cookieHeaders: Record<string, string>
  /** The headers of a program with an API token of the same user. */
  tokenHeaders: Record<string, string>
  [Symbol.asyncDispose](): Promise<void>
}

// Unlike in the tests a commit waits for the disk.
const SETTINGS = { fsync: 'on', full_page_writes: 'on', autovacuum: 'on' }

export async function openStage(): Promise<Stage> {
  await using resources = new AsyncDisposableStack()
  const server = resources.use(
    await startPostgresServer({
      settings: SETTINGS,
      prepareTemplate: (url) => fillTemplate({ source: postgresAt(url) }),
    }),
  )
  const { url: databaseUrl } = await server.createDatabase()
  const stub = resources.use(await startServer('provider-stub.ts', {}))
  const environment = gatewayEnvironment(databaseUrl, stub.url)
  const gateway = resources.use(await startGateway(environment))
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  resources.defer(() => sql.end())
  const person = openBrowser(gateway.url)
  resources.defer(() => person.close())
  await signIn(person, 1)
  for (const number of [101, 102]) await connect(person, number)
  const { viewer, connectedAccounts } = await person.query<{
    viewer: { id: string }
    connectedAccounts: { id: string }[]
  }>('{ viewer { id } connectedAccounts { id } }')
  const [account] = connectedAccounts
  if (account === undefined || connectedAccounts.length !== 2) throw new Error('Bug: the accounts were not connected')
  const { createApiToken } = await person.api('create-api-token', {
    input: { name: 'bench', scopes: ['accounts:read', 'tweets:read', 'tweets:write', 'events:read'] },
  })
  const kept = resources.move()
  return {
    server,
    postmasterPid: readPostmasterPid(server),
    databaseUrl,
    environment,
    gateway,
    stub,
    sql,
    person,
    userId: viewer.id,
    accountId: account.id,
    cookieHeaders: { ...cookieOf(person), 'sec-fetch-site': 'same-origin' },
    tokenHeaders: { authorization: `Bearer ${createApiToken.secret}` },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

/** Returns the environment of a gateway that has all protections on and limits that nobody reaches. */
export function gatewayEnvironment(databaseUrl: string | null, providerUrl: string): Record<string, string> {
  const providers = ['GITHUB_URL', 'GITHUB_API_URL', 'X_URL', 'X_API_URL'].map((name) => [name, providerUrl])
  return {
    ...(databaseUrl !== null && { DATABASE_URL: databaseUrl }),
    SANDBOX: 'off',
    RATE_LIMITS: generousLimits,
    ENCRYPTION_KEYS: `bench:${randomBytes(32).toString('base64')}`,
    GITHUB_CLIENT_ID: 'github-client',
    GITHUB_CLIENT_SECRET: 'github-secret',
    X_CLIENT_ID: 'x-client',
    X_CLIENT_SECRET: 'x-secret',
    ...Object.fromEntries(providers),
  }
}

/** Signs in as the GitHub user of this number. */
export async function signIn(person: Browser, number: number): Promise<void> {
  const start = await person.request('/auth/github')
  const state = new URL(start.headers.get('location') ?? '').searchParams.get('state') ?? ''
  const { code } = await person.finish(callback('/auth/github/callback', number, state))
  if (code !== null) throw new Error(`The sign-in failed: ${code}`)
}

/** Connects the X account of this number, and returns the milliseconds of the callback. */
export async function connect(person: Browser, number: number): Promise<number> {
  const { authorizationUrl, userErrors } = await person.startXConnect()
  if (authorizationUrl === null) throw new Error(`startXConnect refused: ${userErrors[0]?.code}`)
  const state = new URL(authorizationUrl).searchParams.get('state') ?? ''
  const startedAt = performance.now()
  const { outcome, code } = await person.finish(callback('/auth/x/callback', number, state))
  if (outcome !== 'connected') throw new Error(`The account was not connected: ${code}`)
  return performance.now() - startedAt
}

/** Returns the address to which a provider sends the browser back. */
function callback(path: string, number: number, state: string): string {
  return `${path}?${new URLSearchParams({ code: String(number), state })}`
}

/** Returns the id of the process of which PostgreSQL's other processes are children. */
export function readPostmasterPid(server: PostgresServer): number {
  return Number(readFileSync(join(server.directory, 'data/postmaster.pid'), 'utf8').split('\n')[0])
}
