/** PostgreSQL only: the embedded database is suspended together with its process. */
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { connectAccount, momentIn, UNTIL_ENDED_SECONDS, watchX } from '../support/connected-account.ts'
import { startWorld, type World } from '../support/harness.ts'

const STOPPED = 1

// A refresh updates `sent_at` twice: with the lease, and before it sends the token. The second
// update, and each repetition of it, waits for the advisory lock before it reads the row.
async function stopConfirmation(world: World): Promise<void> {
  await world.db().execute(sql`create sequence updates`)
  await world.db().execute(sql`create function stop() returns trigger language plpgsql as $$ begin
    if nextval('updates') > 1 then perform pg_advisory_xact_lock(1); end if;
    return null;
  end $$`)
  await world
    .db()
    .execute(
      sql`create trigger stop before update of sent_at on oauth_tokens for each statement execute function stop()`,
    )
}

test('does not send a refresh token once another process has taken its lease, though this process has counted no time', async () => {
  const world = await startWorld({}, { waitForRefreshSeconds: 2 })
  onTestFinished(() => world.close())
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  await stopConfirmation(world)
  const x = watchX(world)
  const { posting } = await world.db().transaction(async (held) => {
    await held.execute(sql`select pg_advisory_xact_lock(${STOPPED})`)
    const posting = account.post()
    await vi.waitFor(async () => expect((await account.tokens())?.leaseId).not.toBeNull(), {
      timeout: 30_000,
      interval: 5,
    })
    // Moves the database's clock alone, as after a suspended machine, whose monotonic clock stood
    // still.
    world.advance(75)
    await account.setTokens({ leaseId: crypto.randomUUID(), leaseUntil: momentIn(world, 60), fencingToken: 2 })
    return { posting }
  })
  expect((await posting).userErrors).toMatchObject([{ code: 'REFRESH_IN_PROGRESS', retryable: true }])
  expect(x.refreshes()).toBe(0)
  expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', version: 1, fencingToken: 2 })
})
