// Databases whose collation lowers letters by a language's rules: in Turkish, lower('I') is 'ı'.
import { globSync, readFileSync } from 'node:fs'
import { and, asc, eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { createApiToken } from '../../src/auth/api-token.ts'
import { queryRows } from '../../src/db/client.ts'
import { OPERATOR_ID, userLogins, users } from '../../src/db/tables.ts'
import { isPerson } from '../support/connected-account.ts'
import { startWorld, type World } from '../support/harness.ts'
import { bearer, type Instance, openInstance } from '../support/instance.ts'
import { readOperation } from '../support/operations.ts'
import { createDatabase, type TestDatabase } from '../support/postgres-databases.ts'

describe.each(['tr-TR', 'az-AZ'])('with the collation %s', (locale) => {
  let database: TestDatabase
  let world: World
  let instance: Instance
  let operator: Record<string, string>
  beforeAll(async () => {
    const { adminUrl } = inject('postgres')
    const collation = `TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE '${locale}' LOCALE 'C.UTF-8'`
    database = await createDatabase({ adminUrl, template: null }, collation)
    world = await startWorld({ DATABASE_URL: database.url })
    instance = openInstance(world)
    const deps = { db: world.db(), clock: world.clock }
    const token = { name: 'verifier', scopes: ['accounts:read'], expiresInDays: null }
    operator = bearer((await createApiToken(deps, { userId: OPERATOR_ID }, token)).secret)
  })
  afterAll(async () => {
    await instance?.close()
    await world?.close()
    await database?.drop()
  })

  const find = async (githubLogin: string) =>
    (await instance.ask(readOperation('linked-user'), operator, { githubLogin })).data?.linkedUser
  const show = async (login: string, username: string) => {
    world.sandbox.control.addAccount(username)
    const person = await world.connected(username, login)
    await person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
    return person
  }

  test('the database does lower I to a dotless letter', async () => {
    expect(await queryRows(world.db(), sql`select lower('I') as lowered`)).toEqual([{ lowered: 'ı' }])
  })

  test('finds a login in any case', async () => {
    world.sandbox.control.addGithubPerson('IRINA-IVI')
    await show('IRINA-IVI', 'irina_x')
    for (const login of ['IRINA-IVI', 'irina-ivi', 'Irina-ivI'])
      expect(await find(login)).toMatchObject({ login: 'IRINA-IVI' })
    // No login at GitHub has this letter or one that lowers to it.
    expect(await find('ırına-ıvı')).toBeNull()
  })

  test('a login that changes owners belongs to the next user who signs in with it, in any case', async () => {
    world.sandbox.control.renameGithubPerson('IRINA-IVI', 'irina-before')
    const githubId = world.sandbox.control.addGithubPerson('Irina-Ivi')
    await show('Irina-Ivi', 'irina_y')
    expect(await find('IRINA-IVI')).toMatchObject({ githubId: String(githubId), login: 'Irina-Ivi' })
    const rows = await world.db().select().from(users).where(isPerson).orderBy(asc(users.createdAt))
    expect(rows.map(({ login }) => login)).toEqual(['IRINA-IVI', 'Irina-Ivi'])
    expect(await world.db().select().from(userLogins)).toEqual([{ login: 'irina-ivi', userId: rows[1]?.id }])
  })

  test('belongs to one user, though many sign in with both spellings at once', async () => {
    const { control } = world.sandbox
    control.addGithubPerson('ILI-ILI')
    control.addGithubPerson('ili-ili')
    const logins = Array.from({ length: 8 }, (_, number) => (number % 2 === 0 ? 'ILI-ILI' : 'ili-ili'))
    await Promise.all(logins.map((login) => world.signedIn(login)))
    const rows = await world.db().select().from(users).where(sql`${users.login} in ('ILI-ILI', 'ili-ili')`)
    expect(rows).toHaveLength(2)
    const holders = await world.db().select().from(userLogins).where(eq(userLogins.login, 'ili-ili'))
    expect(rows.map(({ id }) => id)).toEqual(expect.arrayContaining(holders.map(({ userId }) => userId)))
    expect(holders).toHaveLength(1)
  })

  test('migrates a database with one login twice: neither user keeps it until one signs in', async () => {
    const db = world.db()
    await db.execute(sql`alter table users add column login_lost_at timestamptz`)
    await db.execute(sql`create unique index users_login on users (lower(login)) where login_lost_at is null`)
    await db.insert(users).values([
      { githubId: 1, login: 'VIVI' },
      { githubId: 2, login: 'vivi' },
      { githubId: 3, login: 'SIRI' },
    ])
    const [file = ''] = globSync('drizzle/*_logins-by-one-rule.sql')
    for (const statement of readFileSync(file, 'utf8').split('--> statement-breakpoint'))
      await db.execute(sql.raw(statement))
    const lost = async (githubId: number) =>
      (await db.$count(users, and(eq(users.githubId, githubId), sql`login_lost_at is not null`))) === 1
    expect([await lost(1), await lost(2), await lost(3)]).toEqual([true, true, false])
  })
})
