/** PostgreSQL only: the embedded database is suspended together with its process. */
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { connectAccount, momentIn, UNTIL_ENDED_SECONDS, watchX } from '../support/connected-account.ts'
import { startWorld } from '../support/harness.ts'

test('does not send a refresh token once another process has taken its lease, though this process has counted no time', async () => {
  const world = await startWorld({}, { waitForRefreshSeconds: 2 })
  onTestFinished(() => world.close())
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  // The refresh then looks for orphaned tokens; the test stops it there, between the lease and the
  // send.
  await account.setTokens({ cause: 'SERVER_ERROR' })
  const x = watchX(world)
  const { posting } = await world.db().transaction(async (held) => {
    await held.execute(sql`lock table orphaned_tokens in access exclusive mode`)
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
