// Defaults of a role and of a database that change the text format of values or transaction
// semantics: the gateway depends on none of them.
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { postgresAt } from '../../src/config/database-config.ts'
import { openForLong, openPglite } from '../../src/db/client.ts'
import { copyDatabase } from '../../src/db/copy.ts'
import { migrateDatabase } from '../../src/db/migrate.ts'
import { sessions } from '../../src/db/tables.ts'
import { connectAccount } from '../support/connected-account.ts'
import { startWorld, type World } from '../support/harness.ts'
import {
  createDatabase,
  createRole,
  type DatabaseRole,
  setDefaults,
  type TestDatabase,
} from '../support/postgres-databases.ts'

/** The least favourable value of each setting. Those of the role take precedence. */
const OF_THE_DATABASE = {
  IntervalStyle: 'sql_standard',
  TimeZone: 'Asia/Kolkata',
  standard_conforming_strings: 'off',
  bytea_output: 'escape',
  array_nulls: 'off',
  transform_null_equals: 'on',
  default_transaction_deferrable: 'on',
  idle_session_timeout: '1s',
}
const OF_THE_ROLE = {
  DateStyle: 'German, DMY',
  extra_float_digits: '-15',
  default_transaction_isolation: 'serializable',
  statement_timeout: '50ms',
  lock_timeout: '10ms',
  idle_in_transaction_session_timeout: '10ms',
}

let database: TestDatabase
let role: DatabaseRole
let world: World
beforeAll(async () => {
  const { adminUrl } = inject('postgres')
  // Not copied from the template: the migrations run under these defaults too.
  database = await createDatabase({ adminUrl, template: null })
  role = await createRole({ adminUrl }, database)
  await setDefaults(adminUrl, 'database', database.name, OF_THE_DATABASE)
  await setDefaults(adminUrl, 'role', role.name, OF_THE_ROLE)
  world = await startWorld({ DATABASE_URL: role.url })
})
afterAll(async () => {
  await world?.close()
  await database?.drop()
  await role?.drop()
})

test('a user signs in, connects, posts and follows events, and every timestamp is right', async () => {
  const before = Date.now()
  const person = await world.signedIn('mara-holt')
  expect(await person.api('viewer')).toMatchObject({ viewer: { login: 'mara-holt' } })
  const account = await connectAccount(world, { person })
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  const { sessions: listed } = await person.api('sessions')
  expect(listed).toHaveLength(1)
  const [stored] = await world.db().select().from(sessions)
  expect(listed[0]).toMatchObject({
    createdAt: stored?.createdAt.toISOString(),
    expiresAt: stored?.expiresAt.toISOString(),
  })
  const { events } = await person.api('events', { first: 10 })
  expect(events.edges.map(({ node }) => node.type)).toEqual(['SESSION_STARTED', 'ACCOUNT_CONNECTED', 'TWEET_POSTED'])
  for (const { node } of events.edges) {
    expect(Date.parse(node.occurredAt)).toBeGreaterThanOrEqual(before - 1_000)
    expect(Date.parse(node.occurredAt)).toBeLessThanOrEqual(Date.now() + 1_000)
  }
})

test('simultaneous posts conflict no more often than under the defaults of PostgreSQL', async () => {
  const person = await world.signedIn('tomasz-k')
  const account = await connectAccount(world, { person })
  const posted = await Promise.all(Array.from({ length: 12 }, () => account.post()))
  expect(posted.map(({ tweet }) => tweet?.status)).toEqual(Array(12).fill('POSTED'))
})

test('background jobs run: a given-up grant is revoked at X, and no job has failed', async () => {
  const account = await connectAccount(world)
  expect(await account.disconnect()).toMatchObject({ userErrors: [] })
  await expect.poll(() => account.grant().live, { timeout: 60_000, interval: 50 }).toBe(false)
  expect(world.logs()).not.toMatch(/background job (failed|could not)/)
})

test('a copy in another database has the same rows', async () => {
  const source = await openForLong(postgresAt(role.url))
  const target = await openPglite(null)
  try {
    await migrateDatabase(target)
    await copyDatabase(source.db, target.db)
    const moments = ({ db }: typeof source) => db.select().from(sessions).orderBy(sessions.id)
    expect(await moments(target)).toEqual(await moments(source))
  } finally {
    await source.close()
    await target.close()
  }
})
