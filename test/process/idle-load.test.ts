// What an idle gateway costs its PostgreSQL: statements by the server's log, over a whole minute, so
// that each round of the maintenance is in it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { openPostgres, queryRows } from '../../src/db/client.ts'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startPostgresServer } from '../support/postgres.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const MINUTE_SECONDS = 60
// The statements of a start have ended by then, and those of the first hourly round of pg-boss.
const SETTLED_SECONDS = 70
// Of jobs, maintenance, streams and pg-boss together.
const MOST_A_SECOND = 2
// Up to three of the pool that the maintenance uses, two of the jobs, and the one that listens.
const MOST_CONNECTIONS = 6

test('an idle gateway sends at most two statements a second, over few connections', {
  timeout: 300_000,
}, async () => {
  await using resources = new AsyncDisposableStack()
  const settings = { log_statement: 'all', log_line_prefix: '[%a] ' }
  const server = resources.use(await startPostgresServer({ settings }))
  const database = await server.createDatabase()
  const directory = resources.use(await makeTemporaryDirectory('idle-load'))
  const port = await findFreePort()
  const gateway = startGatewayProcess({
    DATABASE_URL: database.url,
    DATA_DIR: directory.path,
    PORT: String(port),
    SANDBOX_PORT: String(await findFreePort()),
  })
  resources.defer(async () => void (await gateway.stop()))
  await gateway.ready(`http://127.0.0.1:${port}`)
  const readStatements = () =>
    readFileSync(join(server.directory, 'server.log'), 'utf8').match(
      /^\[xconnect-gateway[^\]]*\] LOG: {2}(?:statement|execute [^:]*): .*/gm,
    ) ?? []
  await sleep(SETTLED_SECONDS * 1000)
  const before = readStatements().length
  await sleep(MINUTE_SECONDS * 1000)
  const statements = readStatements().slice(before)
  // The round of the maintenance is among them, so the minute is a whole one.
  expect(statements.join('\n')).toContain('rate_limits')
  expect(statements.length, statements.join('\n')).toBeLessThanOrEqual(MOST_A_SECOND * MINUTE_SECONDS)
  const opened = openPostgres(database.url)
  resources.defer(() => opened.close())
  const ours = sql`select application_name from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`
  expect((await queryRows(opened.db, ours)).length).toBeLessThanOrEqual(MOST_CONNECTIONS)
})
