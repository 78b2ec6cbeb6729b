// One instance at a time creates the job queue's tables, as with the migrations.
import { expect, inject, test } from 'vitest'
import { findFreePort } from '../support/free-port.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { createDatabase, execute } from '../support/postgres-databases.ts'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

const INSTANCES = 4

// PostgreSQL refuses to create anything while no session has the migrations' lock.
const GUARD = [
  `create function refuse_outside_of_lock() returns event_trigger language plpgsql as $$ begin
    if not exists (select from pg_locks where locktype = 'advisory' and objsubid = 1 and granted
      and database = (select oid from pg_database where datname = current_database())
      and classid = ((hashtextextended('xconnect-migrations', 0) >> 32) & 4294967295)::oid
      and objid = (hashtextextended('xconnect-migrations', 0) & 4294967295)::oid)
    then raise exception '% outside of the lock', tg_tag; end if;
  end $$`,
  `create event trigger refuse_outside_of_lock on ddl_command_start
    when tag in ('CREATE SCHEMA', 'CREATE TABLE', 'CREATE INDEX', 'CREATE TYPE', 'CREATE FUNCTION', 'ALTER TABLE')
    execute function refuse_outside_of_lock()`,
]

async function makeGuardedDatabase(resources: AsyncDisposableStack) {
  const database = await createDatabase({ ...inject('postgres'), template: null })
  resources.defer(() => database.drop())
  await execute(database.url, ...GUARD)
  const directory = resources.use(await makeTemporaryDirectory('job-tables'))
  return { DATABASE_URL: database.url, DATA_DIR: directory.path }
}

test('instances that start at once on an empty database create every table under the lock, and all serve', async () => {
  await using resources = new AsyncDisposableStack()
  const environment = await makeGuardedDatabase(resources)
  const ports = await Promise.all(Array.from({ length: 2 * INSTANCES }, findFreePort))
  const started = Array.from({ length: INSTANCES }, (_, number) => {
    const [port, sandboxPort] = ports.slice(2 * number)
    const gateway = startGatewayProcess({ ...environment, PORT: String(port), SANDBOX_PORT: String(sandboxPort) })
    resources.defer(async () => void (await gateway.kill()))
    return { ...gateway, url: `http://127.0.0.1:${port}` }
  })
  await Promise.all(started.map(({ ready, url }) => ready(url)))
  await Promise.all(started.map(({ stop }) => stop()))
  for (const { output } of started) expect(output()).not.toMatch(/"level":"(error|fatal)"|already exists/)
})

test('the migrate command creates them under the lock too', async () => {
  await using resources = new AsyncDisposableStack()
  const environment = await makeGuardedDatabase(resources)
  const program = startProgram('src/cli.ts', environment, ['migrate'])
  expect(await program.ended, program.output()).toBe(0)
})
