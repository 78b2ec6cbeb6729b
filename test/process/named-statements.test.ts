// Named statements on PostgreSQL: what they are for, their bound, and what happens to them when a
// migration of another instance changes the tables.
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { postgresAt } from '../../src/config/database-config.ts'
import { openPostgres, queryRows } from '../../src/db/client.ts'
import { transaction } from '../../src/deps.ts'
import { createDatabase } from '../support/postgres-databases.ts'

const CONNECTIONS = 4
// One caller gets half of the pool.
const POOL_SIZE = 2 * CONNECTIONS
// Above the bound of a connection.
const TEXTS = 450

let database: Awaited<ReturnType<typeof createDatabase>>
let opened: ReturnType<typeof openPostgres>
let migrating: ReturnType<typeof openPostgres>
beforeEach(async () => {
  database = await createDatabase(inject('postgres'))
  opened = openPostgres({ ...postgresAt(database.url), poolSize: POOL_SIZE })
  migrating = openPostgres(database.url)
  await migrating.db.execute(sql`create table things (id int primary key, name text, good boolean, facts jsonb)`)
  await migrating.db.execute(sql`insert into things values (1, 'one', true, '{"a": 1}')`)
})
afterEach(async () => {
  await Promise.all([opened.close(), migrating.close()])
  await database.drop()
})

/** Runs this on every connection of the pool, each in a transaction that waits for the others. */
async function onEachConnection<T>(work: (db: Pick<typeof opened.db, 'execute'>) => Promise<T>): Promise<T[]> {
  const all = Promise.withResolvers<void>()
  let waiting = 0
  return Promise.all(
    Array.from({ length: CONNECTIONS }, () =>
      opened.db.transaction(async (db) => {
        waiting += 1
        if (waiting === CONNECTIONS) all.resolve()
        await all.promise
        return work(db)
      }),
    ),
  )
}

const findThing = (db: Pick<typeof opened.db, 'execute'>) =>
  queryRows(
    db,
    sql`select * from things where id = ${1} and good = ${true} and facts @> ${JSON.stringify({ a: 1 })}::jsonb`,
  )

test('a statement with parameters is parsed once on a connection', async () => {
  const parsed = await onEachConnection(async (db) => {
    for (let round = 0; round < 7; round++) await findThing(db)
    return queryRows(
      db,
      sql`select generic_plans + custom_plans as executed from pg_prepared_statements where statement like ${'%from things%'}`,
    )
  })
  expect(parsed).toEqual(Array(CONNECTIONS).fill([{ executed: '7' }]))
})

test('a connection keeps a bounded number of them, the last used ones', async () => {
  const counts = await onEachConnection(async (db) => {
    for (let number = 0; number < TEXTS; number++) {
      await db.execute(sql`select ${sql.raw(String(number))}, ${'x'}::text`)
      await findThing(db)
    }
    const [row] = await queryRows(
      db,
      sql`select count(*)::int as count, max(generic_plans + custom_plans) as most from pg_prepared_statements where length(statement) > ${0}`,
    )
    return row
  })
  for (const row of counts) expect(row).toEqual({ count: 200, most: String(TEXTS) })
})

test.each([
  ['the type of a result', sql`alter table things alter column name type varchar(40)`],
  ['the type of a parameter', sql`alter table things alter column id type text using id::text`],
  ['the columns', sql`alter table things add column more text`],
])('a migration that changes %s causes no error on any connection', async (_what, change) => {
  await onEachConnection(findThing)
  await migrating.db.execute(change)
  // The parameters of a second try are those of the first one: nothing is found with others.
  const found = await Promise.all(Array.from({ length: CONNECTIONS * 3 }, () => findThing(opened.db)))
  for (const rows of found) expect(rows).toMatchObject([{ name: 'one', good: true, facts: { a: 1 } }])
  expect(await onEachConnection(findThing)).toHaveLength(CONNECTIONS)
})

test('a transaction with a statement that a migration has made invalid is run again as a whole, once', async () => {
  await migrating.db.execute(sql`create table written (number int)`)
  const deps = { db: opened.db }
  let runs = 0
  const work = () =>
    transaction(deps, async ({ db }) => {
      runs += 1
      await db.execute(sql`insert into written values (${runs})`)
      return findThing(db)
    })
  await onEachConnection(findThing)
  await migrating.db.execute(sql`alter table things alter column name type varchar(40)`)
  expect(await work()).toMatchObject([{ name: 'one' }])
  expect(runs).toBe(2)
  // All connections have forgotten their statements.
  await Promise.all(Array.from({ length: CONNECTIONS * 3 }, work))
  expect(runs).toBe(2 + CONNECTIONS * 3)
  expect(await queryRows(migrating.db, sql`select count(*)::int as count from written`)).toEqual([
    { count: 1 + CONNECTIONS * 3 },
  ])
})

test('statements that the server has forgotten are named anew, inside and outside of a transaction', async () => {
  await onEachConnection(findThing)
  await onEachConnection((db) => db.execute(sql`deallocate all`))
  expect(await transaction({ db: opened.db }, ({ db }) => findThing(db))).toHaveLength(1)
  await onEachConnection(findThing)
  await onEachConnection((db) => db.execute(sql`deallocate all`))
  expect(await Promise.all(Array.from({ length: CONNECTIONS * 3 }, () => findThing(opened.db)))).toHaveLength(
    CONNECTIONS * 3,
  )
})

test('an error of the statement itself is reported, and not taken for a migration', async () => {
  const insert = () => opened.db.execute(sql`insert into things values (${1}, ${'again'})`)
  for (let round = 0; round < 3; round++) await expect(insert()).rejects.toMatchObject({ cause: { code: '23505' } })
  let runs = 0
  const work = transaction({ db: opened.db }, async ({ db }) => {
    runs += 1
    await db.execute(sql`insert into things values (${1}, ${'again'})`)
  })
  await expect(work).rejects.toMatchObject({ cause: { code: '23505' } })
  expect(runs).toBe(1)
})
