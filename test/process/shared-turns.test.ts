// Short queries that share a turn at PostgreSQL: they follow one another over one connection.
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { postgresAt } from '../../src/config/database-config.ts'
import { openPostgres, openSingleConnection } from '../../src/db/client.ts'
import type { QueryOptions } from '../../src/db/deadlines.ts'
import { openCable } from '../support/cable.ts'
import { createDatabase } from '../support/postgres-databases.ts'

// Of four connections one caller gets two turns.
const POOL_SIZE = 4
const SHORT = 40

let database: Awaited<ReturnType<typeof createDatabase>>
let cable: Awaited<ReturnType<typeof openCable>>
let opened: ReturnType<typeof openPostgres>
beforeEach(async () => {
  database = await createDatabase(inject('postgres'))
  cable = await openCable(database.url)
  opened = openPostgres({ ...postgresAt(cable.url), poolSize: POOL_SIZE })
})
afterEach(async () => {
  await opened.close()
  await cable.close()
  await database.drop()
})

type Client = {
  unsafe(text: string, parameters: unknown[], options: QueryOptions): PromiseLike<Record<string, unknown>[]>
}
const send = async (text: string, parameters: unknown[], options: QueryOptions = { isShort: true }) => {
  const client = Reflect.get(opened.db, '$client') as Client
  const [row] = await client.unsafe(text, parameters, options)
  return row
}
const textOf = (number: number) => `select $1::int as n, pg_backend_pid() as pid, ${number} as text`

test('they pass a query that waits for a lock, and share one connection meanwhile', async () => {
  const holder = openSingleConnection(database.url)
  onTestFinished(() => holder.end())
  await holder`select pg_advisory_lock(1)`
  // On new connections, and then with texts that these have not prepared between some that they have.
  for (let round = 0; round < 4; round++) {
    const waiting = send('select pg_backend_pid() as pid from pg_advisory_xact_lock_shared($1)', [1], {})
    const texts = Array.from({ length: SHORT }, (_, n) => (n % 4 === 2 ? round : 0))
    const rows = await Promise.all(texts.map((text, n) => send(textOf(text), [n])))
    expect(rows).toEqual(texts.map((text, n) => ({ n, text, pid: expect.any(Number) })))
    const pids = new Set(rows.map((row) => row?.pid))
    expect(pids.size).toBe(1)
    await holder`select pg_advisory_unlock(1)`
    expect(pids).not.toContain((await waiting)?.pid)
    await holder`select pg_advisory_lock(1)`
  }
})

test('an error of one is its own', async () => {
  const settled = await Promise.allSettled(
    Array.from({ length: SHORT }, (_, n) => send('select 12 / $1::int as quotient', [n % 4])),
  )
  const values = settled.map((one) => (one.status === 'fulfilled' ? one.value?.quotient : 'refused'))
  expect(values).toEqual(Array.from({ length: SHORT }, (_, n) => ['refused', 12, 6, 4][n % 4]))
})

test('all of them fail with a connection that is cut, and the pool survives', async () => {
  for (let round = 0; round < 3; round++) {
    const settled = Promise.allSettled(Array.from({ length: SHORT }, () => send('select pg_sleep($1)', [30])))
    // Repeated: the first cut is before, within or after the first turns.
    const cutting = setInterval(cable.cut, 200)
    expect((await settled).map(({ status }) => status)).toEqual(Array(SHORT).fill('rejected'))
    clearInterval(cutting)
  }
  await expect(opened.db.execute(sql`select 1 as one`)).resolves.toHaveLength(1)
})
