// PostgreSQL ends a deadlock by rolling one of its transactions back, and that one runs again. The
// embedded database has one connection, and so no deadlocks.
import { sql } from 'drizzle-orm'
import { expect, inject, onTestFinished, test, vi } from 'vitest'
import type { PostgresConfig } from '../../src/config/database-config.ts'
import { openPostgres, openSingleConnection, queryRows } from '../../src/db/client.ts'
import { connectAccount } from '../support/connected-account.ts'
import { startWorld } from '../support/harness.ts'
import { createDatabase } from '../support/postgres-databases.ts'
import { untilNoRows } from '../support/user-deletion.ts'

/** A session beside the gateway, with an open transaction. */
async function openSession(database: string | PostgresConfig) {
  const connection = openSingleConnection(database)
  onTestFinished(() => connection.end())
  await connection.unsafe('begin')
  // PostgreSQL rolls back the transaction that looks for the deadlock first: never this one.
  await connection.unsafe("set local deadlock_timeout = '60s'")
  const [self] = await connection`select pg_backend_pid() as pid`
  return { run: async (text: string) => [...(await connection.unsafe(text))], pid: Number(self?.pid) }
}

type Session = Awaited<ReturnType<typeof openSession>>

/** Waits until this session blocks another. */
function untilBlocking({ run, pid }: Session): Promise<void> {
  const blocked = `select pid from pg_stat_activity where ${pid} = any(pg_blocking_pids(pid))`
  return vi.waitFor(async () => expect(await run(blocked)).not.toEqual([]), { timeout: 60_000, interval: 10 })
}

/** Waits until this session waits for another. */
function untilBlocked({ pid }: Session, { run }: Session): Promise<void> {
  const blocking = `select unnest(pg_blocking_pids(${pid}))`
  return vi.waitFor(async () => expect(await run(blocking)).not.toEqual([]), { timeout: 60_000, interval: 10 })
}

test('a user is deleted, although the deletion was part of a deadlock', async () => {
  const world = await startWorld()
  onTestFinished(() => world.close())
  const { source } = world.database()
  if (source.kind !== 'postgres') throw new Error('Bug: this test needs PostgreSQL')
  const account = await connectAccount(world, { person: await world.signedIn('tomasz-k') })
  const { userId } = account
  await account.post('With a key', { idempotencyKey: 'a key' })
  const sweep = await openSession(source)
  // The deletion locks the user before the keys.
  await sweep.run(`delete from idempotency_keys where user_id = '${userId}'`)
  const deleting = account.person.api('delete-viewer', { input: { login: 'tomasz-k' } })
  expect(await deleting).toMatchObject({ deleteViewer: { userErrors: [] } })
  await untilBlocking(sweep)
  const sweeping = sweep.run(`select id from users where id = '${userId}' for key share`)
  // The batch was rolled back: it has the user no longer.
  expect((await sweeping).length).toBe(1)
  await sweep.run('commit')
  await untilNoRows(world, userId)
  expect(world.logs()).not.toMatch(/deadlock/)
})

test('a single statement of the pool is sent again, and acts once', async () => {
  const database = await createDatabase(inject('postgres'))
  const opened = openPostgres(database.url)
  onTestFinished(async () => {
    await opened.close()
    await database.drop()
  })
  await opened.db.execute(sql`create table things as select id, 0 as changes from generate_series(1, 3) as id`)
  const [gate, other] = [await openSession(database.url), await openSession(database.url)]
  await gate.run('update things set changes = changes where id = 2')
  await other.run('update things set changes = changes where id = 3')
  const changing = queryRows(opened.db, sql`update things set changes = changes + 1 returning id`)
  await untilBlocking(gate)
  const wanting = other.run('update things set changes = changes where id = 1')
  await untilBlocked(other, gate)
  await gate.run('commit')
  await wanting
  await other.run('commit')
  expect(await changing).toHaveLength(3)
  expect(await queryRows(opened.db, sql`select distinct changes from things`)).toEqual([{ changes: 1 }])
})
