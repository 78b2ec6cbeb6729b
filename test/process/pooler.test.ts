// PgBouncer between the gateway and PostgreSQL: in session mode without a setting, in transaction
// mode with DATABASE_POOLER.
import type { Sql } from 'postgres'
import { expect, test } from 'vitest'
import { postgres } from '../../src/db/postgres.ts'
import { openBrowser } from '../support/browser.ts'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { describeWithProgram } from '../support/installed-program.ts'
import { startPgBouncer } from '../support/pgbouncer.ts'
import { startProgram } from '../support/program.ts'

const POSTS = 12

/** A database behind a pooler, and a direct connection to it. */
async function openPooled(resources: AsyncDisposableStack, settings: Record<string, string>) {
  const database = resources.use(await createTestDatabase('postgres'))
  const directUrl = database.environment.DATABASE_URL ?? ''
  const pooler = resources.use(await startPgBouncer(directUrl, settings))
  const direct = postgres(directUrl, { max: 1, onnotice: () => {} })
  resources.defer(() => direct.end())
  return { dataDir: database.dataDir, directUrl, pooledUrl: pooler.url, pooler, direct }
}

async function startGateway(resources: AsyncDisposableStack, environment: Record<string, string>) {
  const port = await findFreePort()
  const gateway = startGatewayProcess({
    PORT: String(port),
    SANDBOX_PORT: String(await findFreePort()),
    RATE_LIMITS: 'off',
    ...environment,
  })
  resources.defer(async () => void (await gateway.stop()))
  const url = `http://127.0.0.1:${port}`
  return { ...gateway, url, ready: () => gateway.ready(url) }
}

const listPosted = async (direct: Sql) =>
  (await direct`select id from tweets where status = 'POSTED' order by id`).map(({ id }) => id)

/**
 * Connects an account and posts, several times at once.
 * @returns the ids of the acknowledged tweets.
 */
async function connectAndPost(resources: AsyncDisposableStack, url: string): Promise<string[]> {
  const person = openBrowser(url)
  resources.defer(() => person.close())
  await person.signIn('mara-holt')
  const { outcome } = await person.connect('maraholt')
  expect(outcome).toBe('connected')
  const posts = Array.from({ length: POSTS }, (_, number) =>
    person.api('post-tweet', {
      input: { text: `Post ${number}`, idempotencyKey: `post-${number}` },
    }),
  )
  const responses = await Promise.all(posts)
  return responses.flatMap(({ postTweet: { tweet } }) => (tweet?.status === 'POSTED' ? [tweet.id] : []))
}

/**
 * Returns PgBouncer's server connections for this database and their age: no session lock may be
 * left on them.
 */
// An instance announces its keys by shared locks of the session that listens, which has no pooler.
const locksLeft = (direct: Sql) => direct`select pid from pg_locks where locktype = 'advisory' and granted
  and mode = 'ExclusiveLock'
  and database = (select oid from pg_database where datname = current_database())`

describeWithProgram('pgbouncer', 'PgBouncer', () => {
  test('works in session mode without a setting: acknowledged rows are stored, streams and jobs work', async () => {
    await using resources = new AsyncDisposableStack()
    const { dataDir, pooledUrl, direct } = await openPooled(resources, { pool_mode: 'session' })
    const gateway = await startGateway(resources, { DATA_DIR: dataDir, DATABASE_URL: pooledUrl })
    await gateway.ready()
    const acknowledged = await connectAndPost(resources, gateway.url)
    expect(acknowledged).toHaveLength(POSTS)
    expect(await listPosted(direct)).toEqual(acknowledged.toSorted())
    await gateway.stop()
    expect(gateway.output()).not.toMatch(/"level":"(warn|error|fatal)"/)
  })

  test('works in transaction mode with the setting: acknowledged rows are stored, and no lock is left', async () => {
    await using resources = new AsyncDisposableStack()
    const { dataDir, pooledUrl, directUrl, direct } = await openPooled(resources, { pool_mode: 'transaction' })
    const environment = {
      DATA_DIR: dataDir,
      DATABASE_URL: pooledUrl,
      DATABASE_POOLER: 'transaction',
      DATABASE_DIRECT_URL: directUrl,
    }
    const gateway = await startGateway(resources, environment)
    await gateway.ready()
    const acknowledged = await connectAndPost(resources, gateway.url)
    expect(acknowledged).toHaveLength(POSTS)
    expect(await listPosted(direct)).toEqual(acknowledged.toSorted())
    expect(await locksLeft(direct)).toEqual([])
    // The next session waits for no lock.
    const second = await startGateway(resources, environment)
    await second.ready()
    await Promise.all([gateway.stop(), second.stop()])
    expect(gateway.output() + second.output()).not.toMatch(/"level":"(warn|error|fatal)"/)
  })

  test('in transaction mode with the setting no statement is named, where each would belong to another client', async () => {
    await using resources = new AsyncDisposableStack()
    // Every client gets the same server connection in turn.
    const { dataDir, pooledUrl, directUrl } = await openPooled(resources, {
      pool_mode: 'transaction',
      default_pool_size: '1',
    })
    const gateway = await startGateway(resources, {
      DATA_DIR: dataDir,
      DATABASE_URL: pooledUrl,
      DATABASE_POOLER: 'transaction',
      DATABASE_DIRECT_URL: directUrl,
    })
    await gateway.ready()
    expect(await connectAndPost(resources, gateway.url)).toHaveLength(POSTS)
    const pooled = postgres(pooledUrl, { max: 1, prepare: false, onnotice: () => {} })
    resources.defer(() => pooled.end())
    expect(await pooled`select name, statement from pg_prepared_statements`.simple()).toEqual([])
    await gateway.stop()
    expect(gateway.output()).not.toMatch(/"level":"(warn|error|fatal)"/)
  })

  test.each([
    ['with its defaults', {}],
    ['with one server connection', { default_pool_size: '1' }],
    ['with server connections in turn', { server_round_robin: '1' }],
    [
      'told to ignore parameters that it does not know',
      { ignore_startup_parameters: 'statement_timeout,lock_timeout,idle_in_transaction_session_timeout' },
    ],
  ])('refuses transaction mode without the setting, %s, before it takes a lock', async (_, settings) => {
    await using resources = new AsyncDisposableStack()
    const { dataDir, pooledUrl, direct } = await openPooled(resources, { pool_mode: 'transaction', ...settings })
    // On a slow machine the log also says what the start waits for, at level "info".
    const gateway = await startGateway(resources, { DATA_DIR: dataDir, DATABASE_URL: pooledUrl, LOG_LEVEL: 'warn' })
    expect(await gateway.ended).toBe(78)
    expect(gateway.output()).toBe(
      'DATABASE_URL leads to a pooler in transaction mode: one session was given two server connections. Set DATABASE_POOLER=transaction, and DATABASE_DIRECT_URL to the address of the same database past the pooler; or let DATABASE_URL lead to a pooler in session mode, or to PostgreSQL itself. Nothing was changed.\n',
    )
    expect(await locksLeft(direct)).toEqual([])
  })

  test('refuses statement mode, with the setting and without', async () => {
    await using resources = new AsyncDisposableStack()
    const { dataDir, pooledUrl, directUrl } = await openPooled(resources, { pool_mode: 'statement' })
    const switched: Record<string, string> = { DATABASE_POOLER: 'transaction', DATABASE_DIRECT_URL: directUrl }
    for (const more of [{}, switched]) {
      const gateway = await startGateway(resources, { DATA_DIR: dataDir, DATABASE_URL: pooledUrl, ...more })
      expect(await gateway.ended).toBe(78)
      expect(gateway.output()).toContain('a pooler in statement mode, which allows no transactions')
    }
  })

  test('a start in session mode without a second server connection does not hang', async () => {
    await using resources = new AsyncDisposableStack()
    const { dataDir, pooledUrl } = await openPooled(resources, { pool_mode: 'session', default_pool_size: '1' })
    const gateway = await startGateway(resources, { DATA_DIR: dataDir, DATABASE_URL: pooledUrl })
    expect(await gateway.ended).toBe(1)
    expect(gateway.output()).toMatch(/no (second )?connection|cannot be used/)
  })

  test('refuses a direct URL that leads to a pooler or to another database', async () => {
    await using resources = new AsyncDisposableStack()
    const { dataDir, pooledUrl } = await openPooled(resources, { pool_mode: 'transaction' })
    const other = resources.use(await createTestDatabase('postgres')).environment.DATABASE_URL ?? ''
    for (const [direct, sentence] of [
      [pooledUrl, /^DATABASE_DIRECT_URL leads to a pooler in transaction mode/m],
      [other, /^DATABASE_URL and DATABASE_DIRECT_URL lead to two databases\. They must name one\./m],
    ] as const) {
      const gateway = await startGateway(resources, {
        DATA_DIR: dataDir,
        DATABASE_URL: pooledUrl,
        DATABASE_POOLER: 'transaction',
        DATABASE_DIRECT_URL: direct,
      })
      expect(await gateway.ended).toBe(78)
      expect(gateway.output()).toMatch(sentence)
    }
  })

  test('in transaction mode refuses role settings that change the text format of values, with the remedy', async () => {
    await using resources = new AsyncDisposableStack()
    const { dataDir, pooledUrl, directUrl, direct } = await openPooled(resources, { pool_mode: 'transaction' })
    const name = new URL(directUrl).pathname.slice(1)
    await direct.unsafe(`alter database ${name} set bytea_output = 'escape'`)
    const gateway = await startGateway(resources, {
      DATA_DIR: dataDir,
      DATABASE_URL: pooledUrl,
      DATABASE_POOLER: 'transaction',
      DATABASE_DIRECT_URL: directUrl,
    })
    expect(await gateway.ended).toBe(78)
    expect(gateway.output()).toContain(`ALTER ROLE "postgres" SET bytea_output = 'hex'; then let the pooler reconnect`)
  })

  test('doctor checks every connection to the database', async () => {
    await using resources = new AsyncDisposableStack()
    const { dataDir, pooledUrl, directUrl } = await openPooled(resources, { pool_mode: 'transaction' })
    const doctor = async (environment: Record<string, string>) => {
      const program = startProgram('src/cli.ts', { DATA_DIR: dataDir, DATABASE_URL: pooledUrl, ...environment }, [
        'doctor',
      ])
      await program.ended
      return program.output()
    }
    const right = await doctor({ DATABASE_POOLER: 'transaction', DATABASE_DIRECT_URL: directUrl })
    for (const line of [
      /^ok +Database: PostgreSQL responds/m,
      /^ok +Connection for migrations: DATABASE_DIRECT_URL keeps its session$/m,
      /^ok +Pooler: transaction mode; both addresses lead to one database$/m,
      /^ok +Connection for LISTEN: receives notifications$/m,
      /^ok +Connection for jobs: responds$/m,
    ])
      expect(right).toMatch(line)
    expect(await doctor({})).toMatch(/^FAIL +Connection for migrations: DATABASE_URL leads to a pooler in transaction/m)
  })
})
