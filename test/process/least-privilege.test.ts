// Roles with minimal privileges: one that migrates, one that serves, and the start's message about
// a missing privilege.
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'
import { openPostgres } from '../../src/db/client.ts'
import { migrateDatabase } from '../../src/db/migrate.ts'
import { connectAccount } from '../support/connected-account.ts'
import { startWorld, type World } from '../support/harness.ts'
import { createDatabase, createRole, execute } from '../support/postgres-databases.ts'
import { startProgram } from '../support/program.ts'
import { makeTemporaryDirectory } from '../support/temporary-directory.ts'

/** Creates an empty database of a migrating role, and a second role without privileges. */
async function makeRoles() {
  const { adminUrl } = inject('postgres')
  const database = await createDatabase({ adminUrl, template: null })
  const migrating = await createRole({ adminUrl }, database)
  const serving = await createRole({ adminUrl }, database, { owner: false })
  const superuserUrl = new URL(adminUrl)
  superuserUrl.pathname = `/${database.name}`
  const drop = async () => {
    await database.drop()
    await migrating.drop()
    await serving.drop()
  }
  return { database, migrating, serving, superuserUrl: superuserUrl.href, drop }
}

async function run(word: string, url: string) {
  const directory = await makeTemporaryDirectory('least-privilege')
  onTestFinished(() => directory.remove())
  const environment = { DATABASE_URL: url, DATA_DIR: directory.path, PORT: '0', SANDBOX_PORT: '0' }
  const program =
    word === 'start' ? startProgram('src/main.ts', environment) : startProgram('src/cli.ts', environment, [word])
  onTestFinished(async () => void (await program.kill()))
  return { code: await program.ended, output: program.output() }
}

/** Returns the start's message about the tables; null if there is none. */
async function refusalOf(url: string): Promise<string | null> {
  const opened = openPostgres(url)
  try {
    return await migrateDatabase(opened).then(
      () => null,
      (error) => String(error),
    )
  } finally {
    await opened.close()
  }
}

/** Returns the statements that a message suggests. */
function statementsOf(refusal: string | null): string[] {
  return refusal?.match(/GRANT [^;]+(?=;)/g) ?? []
}

async function liveARound(world: World): Promise<void> {
  const account = await connectAccount(world)
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  expect(await account.disconnect()).toMatchObject({ userErrors: [] })
  await expect.poll(() => account.grant().live, { timeout: 60_000, interval: 50 }).toBe(false)
  expect(world.logs()).not.toMatch(/"level":"(error|fatal)"|permission denied|background job failed/)
}

describe('a role that migrates and a role that serves', () => {
  let roles: Awaited<ReturnType<typeof makeRoles>>
  beforeAll(async () => {
    roles = await makeRoles()
    const to = roles.serving.name
    // As in docs/operate.md.
    await execute(
      roles.migrating.url,
      `ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO ${to}`,
      `ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${to}`,
      `ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO ${to}`,
    )
  })
  afterAll(() => roles?.drop())

  test('before the migrations the serving role is refused, with the command to run', async () => {
    const { code, output } = await run('start', roles.serving.url)
    expect(code).toBe(78)
    expect(output).toMatch(
      /may not create the tables\. Run xconnect migrate as a role that may, or .* Nothing was changed\.\n$/,
    )
  })

  test('after xconnect migrate by one role, the other serves and runs jobs, and may create nothing', async () => {
    expect(await run('migrate', roles.migrating.url)).toMatchObject({ code: 0 })
    const world = await startWorld({ DATABASE_URL: roles.serving.url })
    try {
      await liveARound(world)
      const nextMonth = new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() + 1))
      const partition = `public.events_${nextMonth.toISOString().slice(0, 7).replace('-', '_')}`
      await execute(roles.migrating.url, `DROP TABLE ${partition}`)
      await execute(roles.serving.url, 'SELECT xconnect_create_months_ahead(), xconnect_drop_past_months()')
      await expect(execute(roles.serving.url, 'SELECT xconnect_empty_default_partitions()')).rejects.toThrow(
        /permission denied/,
      )
      // By the rights of the owner.
      await expect(execute(roles.serving.url, `DROP TABLE ${partition}`)).rejects.toThrow(/must be owner/)
      await expect(execute(roles.serving.url, 'CREATE TABLE public.another (x int)')).rejects.toThrow(
        /permission denied/,
      )
      await expect(execute(roles.serving.url, 'CREATE TABLE pgboss.another (x int)')).rejects.toThrow(
        /permission denied/,
      )
      await expect(execute(roles.serving.url, 'DROP TABLE public.sessions')).rejects.toThrow(/must be owner/)
    } finally {
      await world.close()
    }
  })

  test('names each missing privilege, and the suggested statement restores it', async () => {
    const from = roles.serving.name
    for (const lost of [
      `USAGE ON SCHEMA public`,
      `USAGE ON SCHEMA drizzle`,
      `USAGE ON SCHEMA pgboss`,
      `SELECT ON drizzle.__drizzle_migrations`,
      `DELETE ON public.sessions, public.tweets`,
      `INSERT ON pgboss.job_common`,
      `EXECUTE ON FUNCTION xconnect_create_months_ahead()`,
      `EXECUTE ON FUNCTION xconnect_drop_past_months()`,
    ]) {
      await execute(roles.superuserUrl, `REVOKE ${lost} FROM ${from}`, `REVOKE ${lost} FROM PUBLIC`)
      const refusal = await refusalOf(roles.serving.url)
      expect(refusal).toContain('The role of DATABASE_URL lacks rights.')
      expect(statementsOf(refusal)).toHaveLength(1)
      expect(statementsOf(refusal)[0]).toContain(lost.split(' ON ')[1]?.split(', ')[0])
      await execute(roles.superuserUrl, ...statementsOf(refusal))
      expect(await refusalOf(roles.serving.url)).toBeNull()
    }
  })

  test('tells the serving role which role must run the pending migration', async () => {
    await execute(
      roles.superuserUrl,
      'DELETE FROM drizzle.__drizzle_migrations WHERE created_at = (SELECT max(created_at) FROM drizzle.__drizzle_migrations)',
    )
    expect(await refusalOf(roles.serving.url)).toContain(
      `The tables belong to the role "${roles.migrating.name}", and one migration is to be made, which the role "${roles.serving.name}" may not. Run xconnect migrate`,
    )
  })
})

test('a role that may not create schemas migrates in schemas that were created for it', async () => {
  const { serving, superuserUrl, drop } = await makeRoles()
  onTestFinished(drop)
  const refusal = await refusalOf(serving.url)
  expect(statementsOf(refusal).map((statement) => statement.replace(/ (TO|ON DATABASE) .*/, ' $1'))).toEqual([
    'GRANT CREATE ON DATABASE',
    'GRANT CREATE ON SCHEMA public TO',
  ])
  await execute(
    superuserUrl,
    `CREATE SCHEMA drizzle AUTHORIZATION ${serving.name}`,
    `CREATE SCHEMA pgboss AUTHORIZATION ${serving.name}`,
    `GRANT CREATE ON SCHEMA public TO ${serving.name}`,
  )
  const world = await startWorld({ DATABASE_URL: serving.url })
  try {
    await liveARound(world)
    await world.restart()
  } finally {
    await world.close()
  }
})
