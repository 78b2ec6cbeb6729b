// A backup of a gateway's database is restored after tweets and refreshes that it lacks: what the gateway
// then sends to X. The backup is made by pg_dump where its programs are there, and otherwise by a copy.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { startSandbox } from '../../src/sandbox/server.ts'
import { openBrowser } from '../support/browser.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { type PostgresServer, startPostgresServer } from '../support/postgres.ts'
import { execute } from '../support/postgres-databases.ts'
import { xconnect } from '../support/xconnect.ts'

const run = promisify(execFile)
const DEBIAN = process.env.POSTGRES_BINARIES ?? '/usr/lib/postgresql/15/bin'
const CONNECTED = 4

type Backup = (server: PostgresServer, url: string) => Promise<string>

/** Copies the database, and returns the URL of the copy. */
const copyDatabase: Backup = async ({ adminUrl }, url) => {
  const name = new URL(url).pathname.slice(1)
  await execute(adminUrl, `CREATE DATABASE ${name}_restored TEMPLATE ${name}`)
  return urlOf(url, `${name}_restored`)
}

/** Dumps the database, and returns the URL of the one that the dump is restored to. */
const dumpDatabase: Backup = async ({ adminUrl, directory }, url) => {
  const name = `${new URL(url).pathname.slice(1)}_restored`
  const file = join(directory, 'dump')
  await run(join(DEBIAN, 'pg_dump'), ['--format=custom', `--file=${file}`, url])
  await execute(adminUrl, `CREATE DATABASE ${name}`)
  const restored = urlOf(url, name)
  await run(join(DEBIAN, 'pg_restore'), [`--dbname=${restored}`, file])
  return restored
}

function urlOf(url: string, database: string): string {
  const restored = new URL(url)
  restored.pathname = `/${database}`
  return restored.href
}

/** The state two hours later: the access tokens have expired. */
const EXPIRED = `update oauth_tokens set access_expires_at = now() - interval '1 minute'`

function hasDebian(): boolean {
  try {
    accessSync(join(DEBIAN, 'pg_restore'), constants.X_OK)
    return true
  } catch {
    return false
  }
}

test('a restored database replays no refresh token but as a probe, and posts nothing twice', async () => {
  const isDumped = hasDebian()
  await using resources = new AsyncDisposableStack()
  const server = resources.use(await startPostgresServer(isDumped ? { binaries: DEBIAN } : {}))
  const { url: original } = await server.createDatabase()
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const client = (service: string) => ({
    id: `${service}-client`,
    secret: `${service}-secret`,
    redirectUris: [`${url}/auth/${service}/callback`],
  })
  const sandbox = await startSandbox({
    hostname: '127.0.0.1',
    control: true,
    githubClient: client('github'),
    xClient: client('x'),
  })
  resources.defer(() => sandbox.close())
  // Otherwise X itself would refuse a tweet that is sent twice.
  sandbox.control.setRefusesDuplicates(false)
  const environment = {
    PORT: String(port),
    ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    GITHUB_URL: sandbox.url,
    GITHUB_API_URL: sandbox.url,
    GITHUB_CLIENT_ID: 'github-client',
    GITHUB_CLIENT_SECRET: 'github-secret',
    X_URL: sandbox.url,
    X_API_URL: sandbox.url,
    X_CLIENT_ID: 'x-client',
    X_CLIENT_SECRET: 'x-secret',
    SANDBOX: 'off',
    DATA_DIR: server.directory,
  }
  const start = async (DATABASE_URL: string) => {
    const gateway = startGatewayProcess({ ...environment, DATABASE_URL })
    onTestFinished(async () => void (await gateway.kill()))
    await gateway.ready(url)
    return gateway
  }
  const first = await start(original)
  const person = openBrowser(url)
  resources.defer(() => person.close())
  await person.signIn('mara-holt')
  for (let number = 0; number < CONNECTED; number++) {
    sandbox.control.addAccount(`account_${number}`)
    expect(await person.connect(`account_${number}`)).toMatchObject({ outcome: 'connected' })
  }
  const { connectedAccounts } = await person.api('connected-accounts')
  const accountIds = connectedAccounts.map(({ id }) => id)
  const post = async (number: number, key: string) => {
    const input = { accountId: accountIds[number] ?? '', text: `The tweet ${key}`, idempotencyKey: key }
    return (await person.api('post-tweet', { input })).postTweet
  }
  expect(await post(0, 'kept')).toMatchObject({ tweet: { status: 'POSTED' } })
  await first.stop()
  const madeAt = new Date()
  const restored = await (isDumped ? dumpDatabase : copyDatabase)(server, original)

  // What the backup lacks: a tweet of each account but the last, and a refresh of its tokens.
  await execute(original, EXPIRED)
  const second = await start(original)
  const lost = new Map<number, string | null | undefined>()
  for (let number = 0; number < CONNECTED - 1; number++) {
    const { tweet } = await post(number, `lost-${number}`)
    expect(tweet).toMatchObject({ status: 'POSTED' })
    lost.set(number, tweet?.xTweetId)
  }
  await second.stop()
  expect(sandbox.control.countTokenCalls('refresh_token')).toBe(CONNECTED - 1)

  const declared = await xconnect(
    { ...environment, DATABASE_URL: restored },
    ...['database', 'restored', '--lost-since', madeAt.toISOString()],
  )
  expect(declared).toMatchObject({ code: 0, stderr: expect.stringContaining('This is generation 2 of the database.') })
  const gateway = await start(restored)
  // The access tokens of the backup are valid, and are used.
  const [early] = await Promise.all([post(0, 'lost-0'), post(3, 'new')])
  expect(early).toMatchObject({
    tweet: { status: 'FAILED' },
    userErrors: [{ code: 'POSSIBLY_POSTED', retry: 'LATER' }],
  })
  await sleep(Math.max(0, Date.parse(String(early.userErrors[0]?.retryAt)) - Date.now()) + 1_000)
  for (const [number, xTweetId] of lost)
    expect(await post(number, `lost-${number}`)).toMatchObject({ tweet: { status: 'POSTED', xTweetId } })
  expect(await post(3, 'new')).toMatchObject({ tweet: { status: 'POSTED' } })
  expect(await post(0, 'kept')).toMatchObject({ tweet: { status: 'POSTED' } })
  expect(sandbox.control.countTokenCalls('refresh_token')).toBe(CONNECTED - 1)

  // They expire: each refresh token is tried once.
  await execute(restored, EXPIRED)
  const later = await Promise.all(accountIds.map((_, number) => post(number, `later-${number}`)))
  const codes = later.map(({ userErrors }) => userErrors[0]?.code ?? 'POSTED')
  expect(codes).toEqual(['ACCOUNT_NEEDS_REAUTH', 'ACCOUNT_NEEDS_REAUTH', 'ACCOUNT_NEEDS_REAUTH', 'POSTED'])
  expect(sandbox.control.countTokenCalls('refresh_token')).toBe(2 * CONNECTED - 1)
  expect([sandbox.control.replays(), sandbox.control.concurrentSends()]).toEqual([CONNECTED - 1, 1])
  const { connectedAccounts: now } = await person.api('connected-accounts')
  const reasons = accountIds.map((id) => now.find((account) => account.id === id)?.statusReason ?? null)
  expect(reasons).toEqual(['DATABASE_RESTORED', 'DATABASE_RESTORED', 'DATABASE_RESTORED', null])
  const texts = sandbox.control.tweets().map(({ text }) => text)
  expect(texts.toSorted()).toEqual([...new Set(texts)].toSorted())
  expect(texts).toHaveLength(1 + (CONNECTED - 1) + 2)
  expect(await gateway.stop()).toBe(0)
})
