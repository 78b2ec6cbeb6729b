// An idempotency key is good for 30 days after its tweet was last sent.
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { idempotencyKeys, tweets } from '../../../src/db/tables.ts'
import { claimTweetAgain } from '../../../src/tweets/idempotency-keys.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  momentIn,
  postFault,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { runTask } from '../../support/sweep.ts'

const DAY = 86_400

let world: World
let lastKey = 0
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

function newKey(): string {
  lastKey += 1
  return `key ${lastKey}`
}

const sweep = async () => expect(await runTask(world, 'sweepIdempotencyKeys')).toBe('completed')
const keysOf = ({ userId }: ConnectedAccount) => world.db().$count(idempotencyKeys, eq(idempotencyKeys.userId, userId))

/** Moves the clock, sweeps, and signs in again: a session ends earlier than a key. */
async function live(account: ConnectedAccount, days: number): Promise<void> {
  world.advance(days * DAY)
  await sweep()
  await account.person.signIn('mara-holt')
}

test('a key gives the same tweet for 30 days, and then a new one; the earlier tweet stays', async () => {
  const account = await connectAccount(world)
  const idempotencyKey = newKey()
  const first = await account.post('Again', { idempotencyKey })
  await live(account, 29)
  const x = watchX(world)
  expect(await account.post('Again', { idempotencyKey })).toEqual(first)
  expect((await account.post('Other', { idempotencyKey })).userErrors).toMatchObject([
    { code: 'IDEMPOTENCY_KEY_REUSED', message: expect.stringContaining('30 days') },
  ])
  expect(x.posts()).toBe(0)
  await live(account, 2)
  expect(await keysOf(account)).toBe(0)
  const second = await account.post('Other', { idempotencyKey })
  expect(second).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  expect((await account.tweets()).map(({ id }) => id)).toEqual([first.tweet?.id, second.tweet?.id])
})

test('a failed tweet that is sent again keeps its key for another 30 days', async () => {
  const account = await connectAccount(world)
  const idempotencyKey = newKey()
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'credits-depleted' }))
  const failed = await account.post('At last', { idempotencyKey })
  expect(failed).toMatchObject({ tweet: { status: 'FAILED' } })
  await live(account, 29)
  const posted = await account.post('At last', { idempotencyKey })
  expect(posted).toMatchObject({ tweet: { id: failed.tweet?.id, status: 'POSTED' } })
  await live(account, 29)
  const x = watchX(world)
  expect(await account.post('At last', { idempotencyKey })).toEqual(posted)
  expect(x.posts()).toBe(0)
  expect(await account.tweets()).toHaveLength(1)
})

test('a key that has expired is good until it is swept; a retry before the sweep keeps it', async () => {
  const account = await connectAccount(world)
  const idempotencyKey = newKey()
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'credits-depleted' }))
  const failed = await account.post('Late', { idempotencyKey })
  await live(account, 1)
  await world
    .db()
    .update(idempotencyKeys)
    .set({ expiresAt: momentIn(world, -1) })
  const posted = await account.post('Late', { idempotencyKey })
  expect(posted).toMatchObject({ tweet: { id: failed.tweet?.id, status: 'POSTED' } })
  await sweep()
  expect(await account.post('Late', { idempotencyKey })).toEqual(posted)
})

test('a retry that has read the tweet before the sweep deletes the key does not send it', async () => {
  const account = await connectAccount(world)
  const idempotencyKey = newKey()
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'credits-depleted' }))
  await account.post('Too late', { idempotencyKey })
  const [failed] = await account.tweets()
  const [key] = await world
    .db()
    .select()
    .from(idempotencyKeys)
    .where(eq(idempotencyKeys.tweetId, failed?.id ?? ''))
  if (failed === undefined || key === undefined) throw new Error('Bug: the tweet or its key is not stored')
  const claim = () =>
    claimTweetAgain(
      { db: world.db(), clock: world.clock },
      failed,
      { hash: key.keyHash, requestHash: key.requestHash },
      { status: 'PENDING', errorCode: null, attempt: 2 },
    )
  // Another tweet has taken the key since.
  await world
    .db()
    .update(idempotencyKeys)
    .set({ tweetId: sql`gen_random_uuid()` })
    .where(eq(idempotencyKeys.keyHash, key.keyHash))
  expect(await claim()).toBeNull()
  await world.db().delete(idempotencyKeys).where(eq(idempotencyKeys.keyHash, key.keyHash))
  expect(await claim()).toBeNull()
  expect(await account.tweets()).toMatchObject([{ status: 'FAILED', attempt: 1 }])
  await world.db().insert(idempotencyKeys).values(key)
  expect(await claim()).toMatchObject({ status: 'PENDING', attempt: 2 })
})

test('the sweep deletes all keys that have expired, in batches, and no other', async () => {
  const account = await connectAccount(world)
  const { userId } = account
  const kept = await account.post('Kept', { idempotencyKey: newKey() })
  await world
    .db()
    .insert(idempotencyKeys)
    .select(
      sql`select ${userId}::uuid, 'expired ' || number, 'request', gen_random_uuid(), ${world.clock.sqlNow()} - number * interval '1 minute' from generate_series(1, 2500) as number`,
    )
  await sweep()
  const rows = await world.db().select().from(idempotencyKeys).where(eq(idempotencyKeys.userId, userId))
  expect(rows.map(({ tweetId }) => tweetId)).toContain(kept.tweet?.id)
  expect(rows.filter(({ keyHash }) => keyHash.startsWith('expired'))).toEqual([])
  expect(await world.db().$count(tweets, eq(tweets.id, kept.tweet?.id ?? ''))).toBe(1)
})
