/**
 * Connections to PostgreSQL that are cut in the middle of a transaction, without a message from the
 * server.
 */
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { openCable } from '../support/cable.ts'
import { createDatabase } from '../support/postgres-databases.ts'

const ROUNDS = 20

let database: Awaited<ReturnType<typeof createDatabase>>
let cable: Awaited<ReturnType<typeof openCable>>
let opened: ReturnType<typeof openPostgres>
beforeEach(async () => {
  database = await createDatabase(inject('postgres'))
  cable = await openCable(database.url)
  opened = openPostgres(cable.url)
  await opened.db.execute(sql`create table written (what text)`)
})
afterEach(async () => {
  await opened.close()
  await cable.close()
  await database.drop()
})

const listWritten = async () => [
  ...((await opened.db.execute(sql`select what from written`)) as unknown as { what: string }[]),
]

test('a statement that is cut off fails, the process and the pool survive, and its transaction is rolled back', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const transactions = Array.from({ length: 10 }, () =>
      opened.db.transaction(async (db) => {
        await db.execute(sql`insert into written values ('before')`)
        await db.execute(sql`select pg_sleep(30)`)
      }),
    )
    const settled = Promise.allSettled(transactions)
    // Repeated, since some connections are only being opened: each cut is at another point of a
    // transaction.
    const cutting = setInterval(cable.cut, 10 + 10 * (round % 5))
    expect((await settled).map(({ status }) => status)).toEqual(Array(10).fill('rejected'))
    clearInterval(cutting)
    // Every connection of the pool at the same time.
    const responses = await Promise.all(Array.from({ length: 20 }, () => opened.db.execute(sql`select 1 as one`)))
    expect(responses).toHaveLength(20)
  }
  expect(await listWritten()).toEqual([])
})

test('refuses statements after a cut within a transaction, instead of running them on the next connection', async () => {
  const goOn = Promise.withResolvers<void>()
  const rest: Promise<unknown>[] = []
  const transaction = opened.db.transaction(async (db) => {
    await db.execute(sql`insert into written values ('before')`)
    cable.cut()
    await goOn.promise
    const after = db.execute(sql`insert into written values ('after')`).then(
      () => 'written',
      () => 'refused',
    )
    rest.push(after)
    await after
  })
  await expect(transaction).rejects.toThrow()
  // The pool opens a new connection for others.
  await Promise.all(Array.from({ length: 20 }, () => opened.db.execute(sql`select 1`)))
  goOn.resolve()
  await expect.poll(() => rest.length).toBe(1)
  expect(await rest[0]).toBe('refused')
  expect(await listWritten()).toEqual([])
})
