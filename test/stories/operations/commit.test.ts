// A transaction is committed only if the database confirms COMMIT. After a failed statement it
// responds to COMMIT with ROLLBACK.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrateDatabase } from '../../../src/db/migrate.ts'
import { transaction } from '../../../src/deps.ts'
import { queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
  await world.db().execute(sql`create table written (what text primary key)`)
})
afterAll(() => world.close())

const written = async () =>
  (await queryRows(world, sql`select what from written order by what`)).map(({ what }) => what)

test('a transaction that ignored a failed statement is rejected and stores nothing', async () => {
  const overlooking = transaction({ db: world.db() }, async ({ db }) => {
    await db.execute(sql`insert into written values ('before')`)
    await db.execute(sql`insert into written values ('before')`).catch(() => {})
  })
  await expect(overlooking).rejects.toThrow()
  expect(await written()).toEqual([])
})

test('the next transaction commits, and so does one that recovers with a savepoint', async () => {
  await transaction({ db: world.db() }, async ({ db }) => {
    await db.execute(sql`insert into written values ('first')`)
    const inner = db.transaction(async (db) => {
      await db.execute(sql`insert into written values ('second')`)
      db.rollback()
    })
    await inner.catch(() => {})
  })
  expect(await written()).toEqual(['first'])
})

test('a transaction that is rolled back on purpose fails with its own reason', async () => {
  const refusing = transaction({ db: world.db() }, async ({ db }) => {
    await db.execute(sql`insert into written values ('third')`)
    throw new Error('on purpose')
  })
  await expect(refusing).rejects.toThrow('on purpose')
  expect(await written()).toEqual(['first'])
})

test('repeating the migrations changes nothing, and is not mistaken for a rejected commit', async () => {
  await migrateDatabase(world.database())
})
