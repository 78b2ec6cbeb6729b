// A pool of one connection: concurrent work queues for it without a deadlock.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { connectAccount } from '../support/connected-account.ts'
import { startWorld, type World } from '../support/harness.ts'
import {
  createDatabase,
  createRole,
  type DatabaseRole,
  execute,
  type TestDatabase,
} from '../support/postgres-databases.ts'

// The pool's connection, two of the job queue, and the one that listens. A start has some more for
// a moment.
const MOST_WHILE_SERVING = 4

let database: TestDatabase
let role: DatabaseRole
let world: World
beforeAll(async () => {
  const { adminUrl } = inject('postgres')
  database = await createDatabase({ adminUrl, template: null })
  role = await createRole({ adminUrl }, database)
  world = await startWorld({ DATABASE_URL: role.url, DATABASE_POOL_SIZE: '1' })
  // From here on PostgreSQL refuses one connection more.
  await execute(adminUrl, `ALTER ROLE ${role.name} CONNECTION LIMIT ${MOST_WHILE_SERVING}`)
})
afterAll(async () => {
  await world?.close()
  await database?.drop()
  await role?.drop()
})

test('concurrent sign-ins, connects, posts and reads all succeed over one connection', async () => {
  const people = await Promise.all(['mara-holt', 'tomasz-k', 'mara-holt'].map((login) => world.signedIn(login)))
  const accounts = await Promise.all(people.map((person) => connectAccount(world, { person })))
  const posted = await Promise.all(accounts.flatMap((account) => Array.from({ length: 6 }, () => account.post())))
  expect(posted.map(({ tweet }) => tweet?.status)).toEqual(Array(18).fill('POSTED'))
  const reads = await Promise.all(Array.from({ length: 40 }, (_, number) => people[number % 3]?.api('viewer')))
  expect(reads.filter((read) => read === undefined)).toEqual([])
  await accounts[0]?.disconnect()
  await expect.poll(() => accounts[0]?.grant().live, { timeout: 60_000, interval: 50 }).toBe(false)
  const [row] = (await world
    .db()
    .execute(
      sql`select count(*)::int as count from pg_stat_activity where application_name = 'xconnect-gateway' and usename = ${role.name}`,
    )) as unknown as { count: number }[]
  expect(row?.count).toBe(1)
  expect(world.logs()).not.toMatch(/"level":"(error|fatal)"|too many connections/)
})
