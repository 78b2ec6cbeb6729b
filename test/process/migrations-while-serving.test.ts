// Migrations by the rules of drizzle/README.md run beside a gateway that posts, on a million tweets. Their
// process is killed before each of their statements.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { postgresAt } from '../../src/config/database-config.ts'
import { openPglite, openSingleConnection, queryRows } from '../../src/db/client.ts'
import { migrateDatabase } from '../../src/db/migrate.ts'
import { readMigrations } from '../../src/db/migrations.ts'
import { openBrowser } from '../support/browser.ts'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { generousLimits } from '../support/generous-limits.ts'
import { findMigrationProblems } from '../support/migration-rules.ts'
import { startPostgresServer } from '../support/postgres.ts'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const TWEETS = 1_000_000

// A column with values for old rows, an index, NOT NULL, and the column's end in a later release.
const expanding = {
  '9001_note_length': [
    'ALTER TABLE "tweets" ADD COLUMN "note_length" integer',
    'ALTER TABLE "tweets" ALTER COLUMN "note_length" SET DEFAULT 0',
  ],
  '9002_fill_note_length': [
    '-- in steps\n-- in batches\nUPDATE "tweets" SET "note_length" = length("text") WHERE ctid = ANY (ARRAY(SELECT ctid FROM "tweets" WHERE "note_length" IS NULL LIMIT 20000)) AND "note_length" IS NULL RETURNING 1',
  ],
  '9003_note_length_check': [
    'ALTER TABLE "tweets" ADD CONSTRAINT "tweets_note_length_not_null" CHECK ("note_length" IS NOT NULL) NOT VALID',
  ],
  '9004_note_length_index': [
    '-- in steps\nALTER TABLE "tweets" VALIDATE CONSTRAINT "tweets_note_length_not_null"',
    'CREATE INDEX CONCURRENTLY IF NOT EXISTS "tweets_note_length" ON "tweets" ("user_id", "note_length")',
  ],
  '9005_note_length_required': [
    'ALTER TABLE "tweets" ALTER COLUMN "note_length" SET NOT NULL',
    'ALTER TABLE "tweets" DROP CONSTRAINT "tweets_note_length_not_null"',
  ],
}
const contracting = {
  '9006_no_note_length': [
    '-- contract: needs 9005_note_length_required\nALTER TABLE "tweets" DROP COLUMN "note_length"',
  ],
}

/** Writes the migrations of this release and these into a directory. */
function writeFolder(directory: string, added: Record<string, string[]>): string {
  const folder = join(directory, `to-${Object.keys(added).at(-1)}`)
  cpSync('drizzle', folder, { recursive: true })
  const file = join(folder, 'meta/_journal.json')
  const journal = JSON.parse(readFileSync(file, 'utf8'))
  for (const [tag, statements] of Object.entries(added)) {
    writeFileSync(join(folder, `${tag}.sql`), statements.join('\n--> statement-breakpoint\n'))
    const { idx, when } = journal.entries.at(-1)
    journal.entries.push({ idx: idx + 1, version: '7', when: when + 1, tag, breakpoints: true })
  }
  writeFileSync(file, JSON.stringify(journal))
  return folder
}

test('a gateway posts while a million tweets are migrated by a process that is killed at each step', async () => {
  await using resources = new AsyncDisposableStack()
  const server = resources.use(await startPostgresServer())
  const { url: DATABASE_URL } = await server.createDatabase()
  const directory = resources.use(await makeTemporaryDirectory('migrations', 'disk'))
  const port = await findFreePort()
  const url = `http://127.0.0.1:${port}`
  const environment = { DATABASE_URL, RATE_LIMITS: generousLimits, DATA_DIR: directory.path }
  const gateway = startGatewayProcess({
    ...environment,
    PORT: String(port),
    SANDBOX_PORT: String(await findFreePort()),
  })
  onTestFinished(async () => void (await gateway.kill()))
  await gateway.ready(url)
  const person = openBrowser(url)
  resources.defer(() => person.close())
  await person.signIn('mara-holt')
  expect(await person.connect('maraholt')).toMatchObject({ outcome: 'connected' })
  const admin = openSingleConnection(DATABASE_URL)
  resources.defer(() => admin.end({ timeout: 1 }))
  await admin`insert into tweets (user_id, account_id, text, status, error_code, claimed_until, created_at)
    select user_id, id, 'Tweet ' || number, 'FAILED', 'TWEET_REFUSED', now(), now() - interval '1 day'
    from connected_accounts, generate_series(1, ${TWEETS}) as number`

  let isOver = false
  const outcomes = new Map<string, number>()
  const write = async (writer: number) => {
    for (let number = 0; !isOver; number++) {
      const key = `${writer}-${number}`
      const { postTweet } = await person.api('post-tweet', { input: { text: `Meanwhile ${key}`, idempotencyKey: key } })
      const outcome = postTweet.userErrors[0]?.code ?? postTweet.tweet?.status ?? 'NOTHING'
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
  }
  const writing = Promise.all([write(1), write(2)])
  const expanded = writeFolder(directory.path, expanding)
  expect(findMigrationProblems(readMigrations(expanded))).toEqual([])
  const migrate = async (folder: string, killAt: number) => {
    const variables = { DATABASE_URL, MIGRATIONS_FOLDER: folder, KILL_AT: String(killAt) }
    const program = startProgram('test/support/migrate-program.ts', variables)
    const code = await program.ended
    return { code, output: program.output() }
  }
  // Before the second statement of a transaction, and before the first of the next file.
  for (const killAt of [2, 3]) expect(await migrate(expanded, killAt)).toEqual({ code: 'SIGKILL', output: '' })
  const filling = startProgram('test/support/migrate-program.ts', { DATABASE_URL, MIGRATIONS_FOLDER: expanded })
  const isFilled = async () => (await admin`select 1 from tweets where note_length > 0 limit 1`).length > 0
  await vi.waitFor(async () => expect(await isFilled()).toBe(true), { timeout: 60_000, interval: 50 })
  await filling.kill()
  // Each further run gets one statement further, and is killed before the next.
  let runs = 0
  for (let killAt = 2; ; runs++) {
    const { code, output } = await migrate(expanded, killAt)
    if (output.includes('migrated')) break
    expect([code, output]).toEqual(['SIGKILL', ''])
    // A transaction begins anew; a file in steps too.
    killAt = killAt === 2 ? 3 : 2
  }
  expect(runs).toBeGreaterThan(3)
  const [row] =
    await admin`select count(*) filter (where note_length is null)::int as missing, count(*)::int as tweets from tweets`
  expect(row?.missing).toBe(0)
  expect(row?.tweets).toBeGreaterThan(TWEETS)
  const [index] = await admin`select indisvalid from pg_index where indexrelid = 'tweets_note_length'::regclass`
  expect(index?.indisvalid).toBe(true)
  // The release that does not know them may be started again.
  await migrateDatabase({ source: postgresAt(DATABASE_URL) })

  await migrate(writeFolder(directory.path, { ...expanding, ...contracting }), 0)
  isOver = true
  await writing
  // The simulated X takes 100 posts in a quarter of an hour. The others are written as FAILED.
  expect([...outcomes.keys()].filter((outcome) => outcome !== 'X_RATE_LIMITED')).toEqual(['POSTED'])
  expect(outcomes.get('POSTED')).toBeGreaterThan(10)
  expect(gateway.output()).not.toMatch(/lock timeout|statement timeout|deadlock/)
  expect(await gateway.stop()).toBe(0)
  await expect(migrateDatabase({ source: postgresAt(DATABASE_URL) })).rejects.toMatchObject({
    name: 'DatabaseTooNewError',
    exitCode: 78,
  })
})

test('the embedded database goes the same way, without concurrent indexes', async () => {
  await using resources = new AsyncDisposableStack()
  const directory = resources.use(await makeTemporaryDirectory('migrations', 'disk'))
  const database = await openPglite(null)
  resources.defer(() => database.close())
  await migrateDatabase(database)
  const folder = writeFolder(directory.path, expanding)
  await migrateDatabase(database, {}, { folder })
  const [index] = await queryRows(
    database.db,
    sql`select indisvalid from pg_index where indexrelid = 'tweets_note_length'::regclass`,
  )
  expect(index).toEqual({ indisvalid: true })
  // Once applied, there is nothing to do, and the release before starts as well.
  await migrateDatabase(database, {}, { folder, beforeStep: () => expect.unreachable() })
  await migrateDatabase(database)
  await migrateDatabase(database, {}, { folder: writeFolder(directory.path, { ...expanding, ...contracting }) })
  await expect(migrateDatabase(database)).rejects.toMatchObject({ name: 'DatabaseTooNewError' })
})

test('a migration that PostgreSQL rolls back to end a deadlock with a request is tried again', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const url = database.environment.DATABASE_URL ?? ''
  const source = postgresAt(url)
  await migrateDatabase({ source })
  const directory = resources.use(await makeTemporaryDirectory('migrations', 'disk'))
  const folder = writeFolder(directory.path, {
    '9001_notes': ['ALTER TABLE "tweets" ADD COLUMN "note" text', 'ALTER TABLE "users" ADD COLUMN "note" text'],
  })
  const request = openSingleConnection(url)
  const watcher = openSingleConnection(url)
  for (const connection of [request, watcher]) resources.defer(() => connection.end({ timeout: 1 }))
  await request`begin`
  await request`lock table users in row exclusive mode`
  // The session of the migration looks for a deadlock first, and so is the one that is ended.
  await watcher.unsafe(`alter database "${new URL(url).pathname.slice(1)}" set deadlock_timeout = '50ms'`)
  let tries = 0
  let ended: Promise<unknown> = Promise.resolve()
  const beforeStep = async (statement: string) => {
    if (!statement.includes('"users"')) return
    tries += 1
    if (tries > 1) return
    ended = request`select from tweets limit 1`.then(() => request`commit`)
    await vi.waitFor(async () => {
      const waiting = await watcher`select from pg_locks where relation = 'tweets'::regclass and not granted`
      expect(waiting).toHaveLength(1)
    })
  }
  await migrateDatabase({ source }, {}, { folder, beforeStep })
  await ended
  expect(tries).toBe(2)
})

test('an index that a killed process has left invalid is made again', async () => {
  await using resources = new AsyncDisposableStack()
  const database = resources.use(await createTestDatabase('postgres'))
  const url = database.environment.DATABASE_URL ?? ''
  const directory = resources.use(await makeTemporaryDirectory('migrations', 'disk'))
  const folder = writeFolder(directory.path, expanding)
  const admin = openSingleConnection(url)
  resources.defer(() => admin.end({ timeout: 1 }))
  const program = (KILL_AT: string) =>
    startProgram('test/support/migrate-program.ts', { DATABASE_URL: url, MIGRATIONS_FOLDER: folder, KILL_AT })
  const watcher = openSingleConnection(url)
  resources.defer(() => watcher.end({ timeout: 1 }))
  // The creation waits for this transaction, until its session is ended.
  expect(await program('6').ended).toBe('SIGKILL')
  await admin`begin`
  await admin`lock table tweets in row exclusive mode`
  const first = program('0')
  const creation = await vi.waitFor(
    async () => {
      const [row] =
        await watcher`select pid from pg_stat_activity where query ilike '%create index concurrently%' and state = 'active' and pid <> pg_backend_pid()`
      if (row === undefined) throw new Error('The index is not being created')
      return Number(row.pid)
    },
    { timeout: 60_000, interval: 50 },
  )
  await first.kill()
  await watcher`select pg_terminate_backend(${creation})`
  await admin`rollback`
  const isValid = async () =>
    (await admin`select indisvalid from pg_index where indexrelid = to_regclass('tweets_note_length')`)[0]
  await vi.waitFor(async () => expect(await isValid()).toEqual({ indisvalid: false }))
  expect(await program('0').ended).toBe(0)
  expect(await isValid()).toEqual({ indisvalid: true })
})
