// The job queue may lose jobs, or not have been copied with the database: the rows show the work
// that is left.
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { grantRevocations, tweets, webhookEndpoints } from '../../../src/db/tables.ts'
import { replaceLostJobs } from '../../../src/jobs/lost-jobs.ts'
import { connectAccount, postFault, queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { sweepNow } from '../../support/sweep.ts'
import { failsForTenMinutes, startReceiver, tryDue, webhooksOf } from '../../support/webhook-receiver.ts'

let world: World
beforeAll(async () => {
  // Only the jobs of the sweep look for a tweet in doubt.
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' }, { reconcileAfterSeconds: 3_600 })
})
afterEach(() => world.sandbox.control.clearFaults())
afterAll(() => world.close())

const loseJobs = () => world.db().execute(sql`delete from pgboss.job where name <> 'maintenance'`)

/** Returns the jobs of a row. */
async function jobsOf(id: string): Promise<number> {
  const [row] = await queryRows(
    world,
    sql`select count(*)::int as jobs from pgboss.job where data->>'id' = ${id} and state in ('created', 'retry', 'active')`,
  )
  return Number(row?.jobs)
}

/** Posts a tweet that X has stored and whose response was lost. */
async function postIntoDoubt() {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'dropAfter' }))
  const { tweet } = await account.post()
  expect(tweet).toMatchObject({ status: 'UNKNOWN' })
  return { account, tweetId: tweet?.id ?? '' }
}

const readTweet = async (id: string) => (await world.db().select().from(tweets).where(eq(tweets.id, id)))[0]
const timelineReads = () => world.sandbox.control.countReceived({ path: '/2/users/\\d+/tweets' })

test('a revocation whose job is lost still reaches X', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject({ kind: 'dropBefore', times: 1_000, match: { path: '/2/oauth2/revoke' } })
  await account.disconnect()
  await loseJobs()
  world.sandbox.control.clearFaults()
  expect(await world.db().$count(grantRevocations)).toBe(1)
  expect(account.grant()).toMatchObject({ live: true })
  await sweepNow(world)
  await vi.waitFor(async () => expect(await world.db().$count(grantRevocations)).toBe(0), { timeout: 30_000 })
  expect(account.grant()).toMatchObject({ live: false })
})

test('a tweet in doubt whose job is lost is reconciled with one read, with any number of sweeps', async () => {
  const { tweetId } = await postIntoDoubt()
  const before = timelineReads()
  await loseJobs()
  for (let time = 0; time < 3; time++) await sweepNow(world)
  await vi.waitFor(async () => expect(await readTweet(tweetId)).toMatchObject({ status: 'POSTED' }), {
    timeout: 30_000,
  })
  expect(timelineReads() - before).toBe(1)
  await sweepNow(world)
  expect(await jobsOf(tweetId)).toBe(0)
})

test('a row with a job gets no second one', async () => {
  const { tweetId } = await postIntoDoubt()
  for (let time = 0; time < 3; time++) await sweepNow(world)
  expect(await jobsOf(tweetId)).toBe(1)
})

test('a tweet in doubt waits without a read while its account is disconnected, and is reconciled after a reconnection', async () => {
  const { account, tweetId } = await postIntoDoubt()
  await account.disconnect()
  const before = timelineReads()
  await world.db().execute(sql`update pgboss.job set start_after = now() where data->>'id' = ${tweetId}`)
  await vi.waitFor(async () => expect(await jobsOf(tweetId)).toBe(0), { timeout: 30_000 })
  await sweepNow(world)
  expect(await jobsOf(tweetId)).toBe(0)
  expect(await readTweet(tweetId)).toMatchObject({ status: 'UNKNOWN', timelineReads: 0 })
  expect(await account.person.connect(account.username)).toMatchObject({ outcome: 'connected' })
  await sweepNow(world)
  await vi.waitFor(async () => expect(await readTweet(tweetId)).toMatchObject({ status: 'POSTED' }), {
    timeout: 30_000,
  })
  expect(timelineReads() - before).toBe(1)
})

test('a webhook needs no job, and is sent when it is due, and once', async () => {
  const receiver = await startReceiver()
  const webhooks = webhooksOf(await world.signedIn())
  const { id } = await webhooks.create({ url: receiver.url, types: ['WEBHOOK_DISABLED'] })
  receiver.respondWith(failsForTenMinutes)
  await webhooks.test(id)
  const tried = async () => {
    const [delivery] = await webhooks.deliveries(id)
    if (delivery?.lastHttpStatus !== 503) throw new Error('Not tried yet')
    return delivery
  }
  const { id: deliveryId } = await vi.waitFor(tried, { timeout: 30_000 })
  await loseJobs()
  receiver.respondWith({ status: 204 })
  for (let time = 0; time < 2; time++) await sweepNow(world)
  expect(await jobsOf(deliveryId)).toBe(0)
  world.advance(600)
  await vi.waitFor(
    async () => {
      await tryDue(world)
      expect(await webhooks.deliveries(id)).toMatchObject([{ status: 'DELIVERED', attempts: 2 }])
    },
    { timeout: 30_000 },
  )
  expect(receiver.received).toHaveLength(2)
  await world.db().delete(webhookEndpoints)
  await receiver.close()
})

test('a page of the search that PostgreSQL rolls back is searched again', async () => {
  const { tweetId } = await postIntoDoubt()
  await loseJobs()
  const { deps, close } = openInstance(world)
  const { db } = deps
  const begin: typeof db.transaction = db.transaction.bind(db)
  let tries = 0
  // The first try of each transaction ends as in a deadlock, after its work.
  vi.spyOn(db, 'transaction').mockImplementation((work, options) =>
    begin(async (db) => {
      const result = await work(db)
      tries += 1
      if (tries % 2 === 1) throw Object.assign(new Error('deadlock detected'), { code: '40P01' })
      return result
    }, options),
  )
  const enqueued: string[] = []
  const jobs = {
    ...deps.jobs,
    enqueue: async (_: unknown, __: unknown, { id }: { id: string }) => void enqueued.push(id),
  }
  await replaceLostJobs({ ...deps, jobs }, new AbortController().signal)
  // The tweet of an earlier test may still be in doubt.
  expect(enqueued.filter((id) => id === tweetId)).toEqual([tweetId, tweetId])
  await close()
})
