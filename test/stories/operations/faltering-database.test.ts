// The database refuses one statement, as during a restart, and accepts the next.
import { eq, type SQL, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectAttempts, connectedAccounts, tweets } from '../../../src/db/tables.ts'
import { connectAccount, postFault } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

/** Refuses the first UPDATE of `table` that meets `condition`. @returns the number of attempts. */
async function refuseOnce(table: string, condition: SQL, work: () => Promise<void>): Promise<number> {
  const statements = [
    sql`create sequence faltered`,
    // A sequence keeps its value when the transaction rolls back.
    sql`create function falter() returns trigger language plpgsql as $$ begin
      if nextval('faltered') = 1 then raise exception 'going down' using errcode = '57P01'; end if;
      return new;
    end $$`,
    sql`create trigger falter before update on ${sql.identifier(table)} for each row when (${condition}) execute function falter()`,
  ]
  for (const statement of statements) await world.db().execute(statement)
  try {
    await work()
    const [row] = await world
      .db()
      .select({ count: sql<number>`(select last_value from faltered)::int` })
      .from(connectedAccounts)
      .limit(1)
    return row?.count ?? 0
  } finally {
    await world.db().execute(sql`drop function falter cascade`)
    await world.db().execute(sql`drop sequence faltered`)
  }
}

test('a connected account is reported as connected, although the attempt could not be stored at once', async () => {
  const updates = await refuseOnce('connect_attempts', sql`new.status = 'SUCCEEDED'`, async () => {
    const { id } = await connectAccount(world)
    const [attempt] = await world.db().select().from(connectAttempts).where(eq(connectAttempts.accountId, id))
    expect(attempt).toMatchObject({ status: 'SUCCEEDED', errorCode: null })
  })
  expect(updates).toBe(2)
})

test('a tweet that X accepted is POSTED, although its account could not be marked as used at once', async () => {
  const account = await connectAccount(world)
  const updates = await refuseOnce('connected_accounts', sql`new.last_used_at is not null`, async () => {
    expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  })
  expect(updates).toBe(2)
  const [row] = await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.id, account.id))
  expect(row?.lastUsedAt).not.toBeNull()
})

test('a call does not wait for a tweet whose row was deleted', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'delay', milliseconds: 1_000 }))
  const response = account.post()
  await expect.poll(async () => (await account.tweets())[0]?.sentAt ?? null).not.toBeNull()
  await world.db().delete(tweets).where(eq(tweets.accountId, account.id))
  expect(await response).toMatchObject({ tweet: null, userErrors: [{ code: 'TWEET_NOT_FOUND' }] })
})
