// A whole deployment moves from the embedded database to PostgreSQL and back, with sessions, tokens
// and cursors intact.
import { randomBytes, randomUUID } from 'node:crypto'
import path from 'node:path'
import { eq, getTableName, is, type SQL, sql } from 'drizzle-orm'
import { getTableConfig, type PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { expect, onTestFinished, test, vi } from 'vitest'
import { pgliteDirectory, postgresAt } from '../../src/config/database-config.ts'
import { type Database, type Db, openForLong, queryRows } from '../../src/db/client.ts'
import * as tables from '../../src/db/tables.ts'
import {
  eventHorizons,
  events,
  grantRevocations,
  maintenanceRuns,
  OPERATOR_ID,
  orphanedTokens,
  restoredTimelines,
  tweets,
  userDeletions,
  users,
  xBlocks,
} from '../../src/db/tables.ts'
import { connectAccount, postFault, UNTIL_ENDED_SECONDS, watchX } from '../support/connected-account.ts'
import { createTestDatabase } from '../support/database.ts'
import { readPage } from '../support/event-reader.ts'
import { startWorld, type World } from '../support/harness.ts'
import { sweepNow } from '../support/sweep.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'
import { failsForTenMinutes, startReceiver, tryDue, webhooksOf } from '../support/webhook-receiver.ts'
import { xconnect } from '../support/xconnect.ts'

type Place = Parameters<typeof openForLong>[0]

const newKey = () => `k1:${randomBytes(32).toString('base64')}`

async function withDatabase<T>(place: Place, work: (db: Db, database: Database) => Promise<T>): Promise<T> {
  const database = await openForLong(place)
  try {
    return await work(database.db, database)
  } finally {
    await database.close()
  }
}

/** Returns every row of every table, as PostgreSQL writes it. */
function readRows(place: Place): Promise<Record<string, string[]>> {
  return withDatabase(place, (db) =>
    db.transaction(async (db) => {
      await db.execute(sql`set local time zone 'UTC'`)
      const names = await queryRows(
        db,
        // Without partitions: their rows are those of their table.
        sql`select relname as name from pg_class
          where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
      )
      const rows: Record<string, string[]> = {}
      for (const { name } of names) {
        const table = sql.identifier(String(name))
        const found = await queryRows(db, sql`select ${table}::text as row from ${table}`)
        rows[String(name)] = found.map(({ row }) => String(row)).toSorted()
      }
      return rows
    }),
  )
}

/** Returns the rows that the command copies. */
function toBeCopied({ rate_limits: _, ...rows }: Record<string, string[]>): Record<string, string[]> {
  // A copy is not restored: its generation names the cluster, database and timeline that it is in.
  const generations = rows.generations?.map((row) => row.replace(/\d+\/\d+\/[0-9A-F]+/, 'lineage')) ?? []
  return { ...rows, generations }
}

const totalOf = (rows: Record<string, string[]>) => Object.values(rows).flat().length

async function startMovable() {
  const key = newKey()
  // The embedded database, in the directory of the test's database.
  const world = await startWorld(
    { DATABASE_URL: '', ENCRYPTION_KEYS: key, WEBHOOK_EGRESS: 'loopback' },
    { reconcileAfterSeconds: 3_600, reconcileAgainAfterSeconds: 1 },
  )
  onTestFinished(() => world.close())
  const environment = { ENCRYPTION_KEYS: key, DATA_DIR: world.config.dataDir }
  return { world, environment }
}

test('copies cookies, tokens, connections, doubtful tweets, revocations, webhooks and cursors', {
  timeout: 240_000,
}, async () => {
  const { world, environment } = await startMovable()
  const server = await createTestDatabase('postgres')
  onTestFinished(() => server.remove())
  const DATABASE_URL = server.environment.DATABASE_URL ?? ''
  const receiver = await startReceiver()
  onTestFinished(() => receiver.close())
  const copy = (target = DATABASE_URL) => xconnect(environment, 'database', 'copy', target)

  const account = await connectAccount(world)
  const leaving = await connectAccount(world, { person: account.person })
  const token = await account.makeToken(['tweets:read', 'tweets:write'])
  const webhooks = webhooksOf(account.person)
  const endpoint = await webhooks.create({ url: receiver.url, types: ['WEBHOOK_DISABLED'] })
  receiver.respondWith(failsForTenMinutes)
  await webhooks.test(endpoint.id)
  await vi.waitFor(
    async () => expect(await webhooks.deliveries(endpoint.id)).toMatchObject([{ lastHttpStatus: 503 }]),
    {
      timeout: 30_000,
    },
  )
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  world.sandbox.control.inject(postFault({ kind: 'dropAfter' }))
  const { tweet: doubtful } = await account.post()
  expect(doubtful).toMatchObject({ status: 'UNKNOWN' })
  world.sandbox.control.inject({ kind: 'dropBefore', times: 1_000, match: { path: '/2/oauth2/revoke' } })
  await leaving.disconnect()
  const cursor = (await readPage(account.person, { first: 100 })).pageInfo.endCursor
  expect(cursor).not.toBeNull()
  expect(await copy()).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^A gateway is running \(process \d+\)/),
  })

  const embedded = world.config.database
  const postgres: Place = postgresAt(DATABASE_URL)
  await world.restart({ database: postgres }, async () => {
    await withDatabase(embedded, (db) => fillWhatIsEmpty(db, account.id, account.userId))
    const before = await readRows(embedded)
    for (const [name, rows] of Object.entries(toBeCopied(before))) expect(rows, name).not.toEqual([])
    expect(before.rate_limits).not.toEqual([])
    const { code, stderr } = await copy()
    expect(code, stderr).toBe(0)
    expect(stderr).toContain('without these keys no token can be decrypted')
    expect(stderr).not.toContain(new URL(DATABASE_URL).password)
    expect(toBeCopied(await readRows(postgres))).toEqual(toBeCopied(before))
    expect(await readRows(embedded)).toEqual(before)
  })

  world.sandbox.control.clearFaults()
  receiver.respondWith({ status: 204 })
  expect(await account.person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
  expect(await askWith(world, token)).toMatchObject({ data: { tweets: { edges: [{}, {}] } } })
  await sweepNow(world)
  await vi.waitFor(
    async () => {
      const [row] = await world
        .db()
        .select()
        .from(tweets)
        .where(eq(tweets.id, doubtful?.id ?? ''))
      expect(row).toMatchObject({ status: 'POSTED', timelineReads: 1 })
      expect(await world.db().$count(grantRevocations)).toBe(0)
    },
    { timeout: 60_000 },
  )
  expect(leaving.grant()).toMatchObject({ live: false })
  const x = watchX(world)
  world.advance(UNTIL_ENDED_SECONDS)
  expect(await account.post('After the move')).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  expect(x.refreshes()).toBe(1)
  await vi.waitFor(
    async () => {
      await tryDue(world)
      expect(await webhooks.deliveries(endpoint.id)).toMatchObject([{ status: 'DELIVERED', attempts: 2 }])
    },
    { timeout: 60_000 },
  )
  const after = await readPage(account.person, { first: 100, after: cursor })
  expect(after.edges.map(({ node }) => node.type)).toEqual(['TWEET_RECONCILED', 'TWEET_POSTED'])

  const home = await makeTemporaryDirectory('data')
  onTestFinished(() => home[Symbol.asyncDispose]())
  const directory = path.join(home.path, 'next')
  const back = () => xconnect({ ...environment, DATABASE_URL }, 'database', 'copy', directory)
  expect(await back()).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^A gateway is running on the configured database\. Stop all of them/),
  })
  const next: Place = { kind: 'pglite', directory: pgliteDirectory(directory) }
  await world.restart({ database: next }, async () => {
    const before = await readRows(postgres)
    const { code, stderr } = await back()
    expect(code, stderr).toBe(0)
    expect(toBeCopied(await readRows(next))).toEqual(toBeCopied(before))
  })
  expect(await account.post('Back again')).toMatchObject({ tweet: { status: 'POSTED' } })
  const last = await readPage(account.person, { first: 100, after: after.pageInfo.endCursor })
  expect(last.edges.map(({ node }) => node.type)).toEqual(['TWEET_POSTED'])
})

test('a refused or failed copy changes nothing', async () => {
  const { world, environment } = await startMovable()
  await connectAccount(world)
  const server = await createTestDatabase('postgres')
  onTestFinished(() => server.remove())
  const targetUrl = server.environment.DATABASE_URL ?? ''
  const target: Place = postgresAt(targetUrl)
  const copy = (changes = {}) => xconnect({ ...environment, ...changes }, 'database', 'copy', targetUrl)
  const embedded = world.config.database
  await world.restart({}, async () => {
    const source = await readRows(embedded)
    const empty = await readRows(target)
    expect(Object.keys(empty).filter((name) => empty[name]?.length !== 0)).toEqual(['users'])

    expect(await copy({ ENCRYPTION_KEYS: newKey() })).toMatchObject({
      code: 78,
      stderr: expect.stringContaining('encryption key "k1"'),
    })
    expect(await readRows(target)).toEqual(empty)

    // By then other tables have been written.
    await withDatabase(target, (db) => db.execute(sql`alter table oauth_tokens add constraint broken check (false)`))
    expect((await copy()).code).toBe(1)
    expect(await readRows(target)).toEqual(empty)
    await withDatabase(target, (db) => db.execute(sql`alter table oauth_tokens drop constraint broken`))

    await withDatabase(target, (db) => db.insert(users).values({ githubId: 7, login: 'somebody' }))
    const used = await readRows(target)
    expect(await copy()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^The target is not empty: it has rows in users\./),
    })
    expect(await readRows(target)).toEqual(used)

    await withDatabase(target, (db) => db.delete(users))
    expect((await copy()).code).toBe(0)
    expect(totalOf(await readRows(target))).toBe(totalOf(toBeCopied(source)))
    expect(await readRows(embedded)).toEqual(source)
  })
})

async function askWith(world: World, token: string): Promise<unknown> {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: '{ tweets { edges { node { id } } } }' }),
  })
  return response.json()
}

/** Inserts a row into each empty table, and more than a page of events. */
async function fillWhatIsEmpty(db: Db, accountId: string, userId: string): Promise<void> {
  const now = new Date()
  await db
    .insert(xBlocks)
    .values({ userId, subject: accountId, endpoint: 'DELETE_TWEET', errorCode: 'X_RATE_LIMITED', until: now })
  await db.insert(userDeletions).values({ id: randomUUID(), requestedAt: now, finishedAt: now })
  await db.insert(eventHorizons).values({ userId: OPERATOR_ID, type: 'account.connected', position: 1 })
  const [somebody] = await db.insert(users).values({ githubId: 7, login: 'somebody' }).returning()
  await db.execute(sql`insert into connected_accounts (user_id, provider, provider_account_id, username, scopes, status, status_since, connected_at, display_name)
    select ${somebody?.id}, provider, '7', 'somebody', scopes, status, status_since, connected_at, ${'"quoted", \\ {} 😀\n'}
    from connected_accounts where id = ${accountId}`)
  const [row] = await queryRows(db, sql`select id from connected_accounts where username = 'somebody'`)
  await db.insert(orphanedTokens).values({
    userId: String(somebody?.id),
    accountId: String(row?.id),
    fromVersion: 1,
    fencingToken: 1,
    accessTokenSealed: 'sealed',
    accessExpiresAt: now,
    createdAt: now,
  })
  await db
    .insert(restoredTimelines)
    .values({ userId: String(somebody?.id), accountId: String(row?.id), generation: 1, posts: '[]', isWhole: true })
  await db.insert(events).values(
    Array.from({ length: 1_200 }, (_, index) => ({
      userId: OPERATOR_ID,
      id: randomUUID(),
      position: index + 1,
      type: 'account.connected' as const,
      occurredAt: now,
    })),
  )
  await db.insert(maintenanceRuns).values({ task: 'sweepEvents', failureCount: 1, failedAt: now })
  for (const table of Object.values<unknown>(tables).filter((table) => is(table, PgTable))) await fillIfEmpty(db, table)
}

/**
 * Inserts one row with the simplest values of its columns into an empty table. If a CHECK refuses
 * them, insert a row above.
 */
async function fillIfEmpty(db: Db, table: PgTable): Promise<void> {
  if ((await db.$count(table)) > 0) return
  const { columns, foreignKeys } = getTableConfig(table)
  const needed = columns.filter(({ notNull, hasDefault }) => notNull && !hasDefault)
  const values = needed.map((column) => {
    const reference = foreignKeys.map((key) => key.reference()).find((key) => key.columns.includes(column))
    const foreign = reference?.foreignColumns[reference.columns.indexOf(column)]
    return foreign === undefined ? plainValue(column) : sql`(select ${foreign} from ${foreign.table} limit 1)`
  })
  const names = needed.map(({ name }) => sql.identifier(toSnakeCase(name)))
  await db.execute(
    sql`insert into ${sql.identifier(getTableName(table))} (${sql.join(names, sql`, `)}) values (${sql.join(values, sql`, `)})`,
  )
}

const toSnakeCase = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

function plainValue(column: PgColumn): SQL {
  const type = column.getSQLType()
  const [first] = column.enumValues ?? []
  if (first !== undefined) return sql`${first}`
  if (type.endsWith('[]')) return sql`'{}'`
  if (type.startsWith('timestamp')) return sql`now()`
  if (type.startsWith('json')) return sql`'{}'`
  if (type === 'uuid') return sql`gen_random_uuid()`
  if (type === 'boolean') return sql`false`
  if (type === 'bytea') return sql`'\\x00'::bytea`
  return sql`'1'`
}
