// Servers and databases that cannot hold the tables: the start ends with a sentence that says what
// to change, and changes nothing.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { postgres } from '../../src/db/postgres.ts'
import { judgeServer, readServerFacts, type ServerFacts } from '../../src/db/server-check.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startPostgresServer } from '../support/postgres.ts'
import { createDatabase, createRole, execute, setDefaults } from '../support/postgres-databases.ts'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

let directory: Awaited<ReturnType<typeof makeTemporaryDirectory>>
beforeAll(async () => {
  directory = await makeTemporaryDirectory('unusable-servers')
})
afterAll(() => directory.remove())

/** Creates a database with its own role. @param options of CREATE DATABASE. */
async function makeDatabase(options = '') {
  const { adminUrl } = inject('postgres')
  const database = await createDatabase({ adminUrl, template: null }, options)
  const role = await createRole({ adminUrl }, database)
  onTestFinished(async () => {
    await database.drop()
    await role.drop()
  })
  const ownUrl = new URL(adminUrl)
  ownUrl.pathname = `/${database.name}`
  return { adminUrl, database, role, superuserUrl: ownUrl.href }
}

/** Starts the gateway and the doctor, and returns their messages. */
async function startOn(url: string) {
  // On a slow machine the log also says what the start waits for, at level "info".
  const quiet = { PORT: '0', SANDBOX_PORT: '0', LOG_LEVEL: 'warn' }
  const environment = { ...quiet, DATABASE_URL: url, DATA_DIR: directory.path }
  const gateway = startGatewayProcess(environment)
  onTestFinished(async () => void (await gateway.kill()))
  const exitCode = await gateway.ended
  const doctor = startProgram('src/cli.ts', environment, ['doctor'])
  expect(await doctor.ended).toBe(1)
  return { exitCode, output: gateway.output(), doctor: doctor.output() }
}

async function countTables(url: string): Promise<unknown> {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const [row] = await client`select count(*)::int as count from pg_class join pg_namespace n on n.oid = relnamespace
      where nspname not like 'pg\\_%' and nspname <> 'information_schema'`
    return row?.count
  } finally {
    await client.end()
  }
}

async function expectRefusal(url: string, superuserUrl: string, exitCode: number, sentence: RegExp): Promise<void> {
  const refused = await startOn(url)
  expect(refused).toMatchObject({ exitCode, output: expect.stringMatching(sentence) })
  expect(refused.output).toMatch(/Nothing was changed\.\n$/)
  expect(refused.output).not.toContain('"level"')
  expect(refused.doctor).toMatch(new RegExp(`FAIL +Database: .*${sentence.source}`))
  expect(await countTables(superuserUrl)).toBe(0)
}

test.each(['LATIN1', 'SQL_ASCII'])('refuses a database in %s, which cannot store every text', async (encoding) => {
  const { database, role, superuserUrl } = await makeDatabase(
    `TEMPLATE template0 ENCODING '${encoding}' LOCALE_PROVIDER libc LOCALE 'C'`,
  )
  const sentence = new RegExp(`The database "${database.name}" has the encoding ${encoding}.* ENCODING 'UTF8'`)
  await expectRefusal(role.url, superuserUrl, 78, sentence)
})

test('refuses a search_path that leads to another schema, set on the role or on the database', async () => {
  const { adminUrl, database, role, superuserUrl } = await makeDatabase()
  await execute(superuserUrl, `CREATE SCHEMA app AUTHORIZATION ${role.name}`)
  await execute(adminUrl, `ALTER DATABASE ${database.name} SET search_path = app, public`)
  const cure = `ALTER ROLE "${role.name}" IN DATABASE "${database.name}" SET search_path = public`
  await expectRefusal(role.url, superuserUrl, 78, new RegExp(`is app, public, and leads to the schema "app".*${cure}`))
  await setDefaults(adminUrl, 'role', role.name, { search_path: '' })
  await expectRefusal(role.url, superuserUrl, 78, new RegExp(`is .*, and leads to no schema.*${cure}`))
  // The remedy that the sentence names.
  await execute(adminUrl, cure)
  expect(judgeServer(await factsOf(role.url))).toBeNull()
})

test('refuses a schema with the name of the role, which PostgreSQL searches first', async () => {
  const { role, superuserUrl } = await makeDatabase()
  await execute(superuserUrl, `CREATE SCHEMA AUTHORIZATION ${role.name}`)
  await expectRefusal(
    role.url,
    superuserUrl,
    78,
    new RegExp(`"\\$user", public, and leads to the schema "${role.name}"`),
  )
})

test('refuses a database without the schema public, and says how to create it', async () => {
  const { role, superuserUrl } = await makeDatabase()
  await execute(superuserUrl, 'DROP SCHEMA public')
  const cure = `CREATE SCHEMA public AUTHORIZATION "${role.name}"`
  await expectRefusal(role.url, superuserUrl, 78, new RegExp(`has no schema "public".*${cure}`))
  await execute(superuserUrl, cure)
  expect(judgeServer(await factsOf(role.url))).toBeNull()
})

test('refuses a role whose transactions are read-only', async () => {
  const { adminUrl, role, superuserUrl } = await makeDatabase()
  await setDefaults(adminUrl, 'role', role.name, { default_transaction_read_only: 'on' })
  await expectRefusal(role.url, superuserUrl, 1, /opens read-only transactions: default_transaction_read_only is on/)
})

test('refuses a standby, and starts after its promotion', async () => {
  await using server = await startPostgresServer({ settings: { wal_level: 'replica', max_wal_senders: '5' } })
  const { url } = await server.createDatabase()
  await server.shutDown('fast')
  await writeFile(join(server.directory, 'data', 'standby.signal'), '', { mode: 0o666 })
  await server.start()
  await expectRefusal(url, url, 1, /is a standby, which is read-only\. Name the primary in DATABASE_URL\./)
  await execute(url, 'SELECT pg_promote()')
  expect(judgeServer(await factsOf(url))).toBeNull()
})

test('refuses a server before PostgreSQL 15, and accepts releases newer than the known ones', () => {
  const usable: ServerFacts = {
    versionNumber: 150_000,
    version: '15.0',
    encoding: 'UTF8',
    database: 'x',
    role: 'x',
    searchPath: 'public',
    schema: 'public',
    hasPublicSchema: true,
    mayUsePublicSchema: true,
    isStandby: false,
    isReadOnly: false,
  }
  expect(judgeServer(usable)).toBeNull()
  expect(judgeServer({ ...usable, versionNumber: 990_001, version: '99.1' })).toBeNull()
  expect(judgeServer({ ...usable, versionNumber: 149_999, version: '14.19' })).toMatchObject({
    exitCode: 78,
    sentence: expect.stringMatching(/is PostgreSQL 14\.19\. The gateway needs PostgreSQL 15 or newer/),
  })
})

async function factsOf(url: string): Promise<ServerFacts> {
  const opened = openPostgres(url)
  try {
    return await readServerFacts(opened.db)
  } finally {
    await opened.close()
  }
}
