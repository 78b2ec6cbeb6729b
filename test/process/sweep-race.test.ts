/** PostgreSQL only: the embedded database has one connection, and so no lock waits. */
import { eq, sql } from 'drizzle-orm'
import { expect, onTestFinished, test, vi } from 'vitest'
import { productionTiming } from '../../src/config/timing.ts'
import { tweets } from '../../src/db/tables.ts'
import { connectAccount, queryRows, refreshFault, watchX } from '../support/connected-account.ts'
import { startWorld } from '../support/harness.ts'
import { sweepNow } from '../support/sweep.ts'

test('never takes a sent tweet whose claim expires during a sweep for an unsent one', async () => {
  // Two reads of the timeline, the second an hour later, would end the UNKNOWN tweet.
  const world = await startWorld({}, { reconcileAgainAfterSeconds: 3_600 })
  onTestFinished(() => world.close())
  const { id: accountId, userId } = await connectAccount(world)
  const seed = async (text: string, secondsToLapse: number) => {
    const secondsToEnd = secondsToLapse - productionTiming.lapseMarginSeconds
    const [row] = await world
      .db()
      .insert(tweets)
      .values({
        userId,
        accountId,
        text,
        status: 'PENDING',
        sentAt: sql`clock_timestamp() - interval '60 seconds'`,
        createdAt: sql`clock_timestamp() - interval '60 seconds'`,
        claimedUntil: sql`clock_timestamp() + make_interval(secs => ${secondsToEnd})`,
      })
      .returning()
    if (row === undefined) throw new Error('Bug: nothing was seeded')
    return row
  }
  // Without its index the sweep reads the rows in the order of their insertion.
  await world.db().execute(sql`drop index tweets_open`)
  const countWaiting = async () =>
    (
      await queryRows(
        world,
        sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
    ).length
  // The sweep skips the first, not yet expired, and then waits at the second.
  const first = await seed('Lapses while the sweep waits', 3_600)
  const second = await seed('Has lapsed already', -1)
  const sweep = await world.db().transaction(async (db) => {
    await db.select().from(tweets).where(eq(tweets.id, second.id)).for('update')
    const sweeping = sweepNow(world)
    // The sweep of the minute may wait too.
    await vi.waitFor(async () => expect(await countWaiting()).toBeGreaterThan(0), { timeout: 60_000, interval: 10 })
    // The sweep waits at most two seconds for a lock, so the test does not wait for the time.
    await world.db().update(tweets).set({ claimedUntil: second.claimedUntil }).where(eq(tweets.id, first.id))
    return { sweeping }
  })
  await sweep.sweeping
  const statuses = await world.db().select({ text: tweets.text, status: tweets.status }).from(tweets)
  expect(statuses).toContainEqual({ text: second.text, status: 'UNKNOWN' })
  expect(statuses).not.toContainEqual({ text: first.text, status: 'FAILED' })
})

test('does not send a tweet once its claim has expired by the clock of the database, whatever the clock of the process says', async () => {
  const world = await startWorld()
  onTestFinished(() => world.close())
  const account = await connectAccount(world)
  await account.setTokens({ accessExpiresAt: new Date(0) })
  world.sandbox.control.inject(refreshFault({ kind: 'delayAfter', milliseconds: 500 }))
  const x = watchX(world)
  const posting = account.post()
  await vi.waitFor(() => expect(x.refreshes()).toBe(1), { timeout: 30_000 })
  await world.db().update(tweets).set({ claimedUntil: sql`clock_timestamp()` })
  expect(await posting).toMatchObject({ tweet: { status: 'FAILED' }, userErrors: [{ code: 'POST_INTERRUPTED' }] })
  expect(x.posts()).toBe(0)
})
