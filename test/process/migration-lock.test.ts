// A start waits for another instance that migrates: with a message, with a deadline, and only for
// its own lock.
import { expect, onTestFinished, test, vi } from 'vitest'
import { postgresAt } from '../../src/config/database-config.ts'
import { openSingleConnection } from '../../src/db/client.ts'
import { migrateDatabase } from '../../src/db/migrate.ts'
import { createTestDatabase } from '../support/database.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startProgram } from '../support/program.ts'

/** Creates a database whose migrations another session has locked, until it is ended. */
async function openLocked() {
  const database = await createTestDatabase('postgres')
  onTestFinished(() => database.remove())
  const url = database.environment.DATABASE_URL ?? ''
  const holder = openSingleConnection(url)
  onTestFinished(() => holder.end({ timeout: 1 }))
  const [row] =
    await holder`select pg_backend_pid() as pid, pg_advisory_lock(hashtextextended('xconnect-migrations', 0))`
  return { database, url, holder, pid: Number(row?.pid) }
}

test('names from the first second the session that it waits for, and starts when that session ends', async () => {
  const { database, holder, pid } = await openLocked()
  const port = await findFreePort()
  const gateway = startGatewayProcess({ ...database.environment, PORT: String(port), SANDBOX_PORT: '0' })
  onTestFinished(async () => void (await gateway.stop()))
  const findLine = () =>
    gateway
      .output()
      .split('\n')
      .find((line) => line.includes('The start waits for the migration lock'))
  await vi.waitFor(() => expect(findLine()).toBeDefined(), { timeout: 60_000, interval: 50 })
  expect(JSON.parse(findLine() ?? '')).toMatchObject({
    level: 'warn',
    holder: { pid, application: 'xconnect-gateway', role: 'postgres', activity: 'idle' },
    waitedSeconds: 0,
    msg: expect.stringMatching(
      new RegExp(
        `process ${pid} of the server \\("xconnect-gateway" at 127\\.0\\.0\\.1 as postgres, idle for \\d+ s\\).* select pg_terminate_backend\\(${pid}\\)$`,
      ),
    ),
  })
  await holder.end({ timeout: 1 })
  await gateway.ready(`http://127.0.0.1:${port}`)
})

test('a command says so too', async () => {
  const { database, holder, pid } = await openLocked()
  const command = startProgram('src/cli.ts', { ...database.environment }, ['migrate'])
  await command.printed(`The start waits for the migration lock, which process ${pid} of the server`)
  await holder.end({ timeout: 1 })
  expect(await command.ended).toBe(0)
})

test('the wait ends with the holder of the lock and what to do, and leaves nothing behind', async () => {
  const { url, holder, pid } = await openLocked()
  const reports: string[] = []
  const report = (_fields: unknown, sentence: string) => void reports.push(sentence)
  await expect(migrateDatabase({ source: postgresAt(url) }, { report, waitSeconds: 1 })).rejects.toMatchObject({
    name: 'MigrationLockError',
    exitCode: 1,
    message: expect.stringMatching(
      new RegExp(`^The migrations have waited \\d+ s for the migration lock, which process ${pid} `),
    ),
  })
  expect(reports).toHaveLength(1)
  await holder`select pg_advisory_unlock_all()`
  // No session is left waiting for it.
  await migrateDatabase({ source: postgresAt(url) }, { report, waitSeconds: 1 })
  expect(reports).toHaveLength(1)
})

test('does not wait for the lock of another database or of another key', async () => {
  const { holder } = await openLocked()
  await holder`select pg_advisory_lock(hashtextextended('something else', 0))`
  const other = await createTestDatabase('postgres')
  onTestFinished(() => other.remove())
  const reports: string[] = []
  await migrateDatabase(
    { source: postgresAt(other.environment.DATABASE_URL ?? '') },
    { report: (_, sentence) => void reports.push(sentence), waitSeconds: 0 },
  )
  expect(reports).toEqual([])
})

test('instances that start at once all start, one after the other', async () => {
  const database = await createTestDatabase('postgres')
  onTestFinished(() => database.remove())
  const source = postgresAt(database.environment.DATABASE_URL ?? '')
  await Promise.all(Array.from({ length: 8 }, () => migrateDatabase({ source })))
})

test('a table that a migration cannot lock ends the start with a sentence', async () => {
  const database = await createTestDatabase('postgres')
  onTestFinished(() => database.remove())
  const url = database.environment.DATABASE_URL ?? ''
  const other = openSingleConnection(url)
  onTestFinished(() => other.end({ timeout: 1 }))
  // As if the newest migration were pending: it waits for a transaction that writes its own table.
  await other`delete from drizzle.__drizzle_migrations where created_at = (select max(created_at) from drizzle.__drizzle_migrations)`
  await other`begin`
  await other`lock table drizzle.__drizzle_migrations in access exclusive mode`
  await expect(migrateDatabase({ source: postgresAt(url) })).rejects.toMatchObject({
    exitCode: 1,
    message: expect.stringMatching(/^A migration could not lock a table within 10 s, .* Nothing was changed\.$/),
  })
})
