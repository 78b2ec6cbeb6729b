// A database that was restored from a backup: what the gateway does with refresh tokens, idempotency
// keys and cursors of before. Seeded, since a story cannot restore its database.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { beginGeneration, declareNothingLost } from '../../../src/db/generations.ts'
import {
  connectedAccounts,
  eventPositions,
  generations,
  idempotencyKeys,
  restoredTimelines,
  tweets,
} from '../../../src/db/tables.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  momentIn,
  spendAtX,
  UNTIL_DUE_SECONDS,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sendGraphql } from '../../support/raw-graphql.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({}, { waitForRefreshSeconds: 4 })
})
afterEach(async () => {
  world.sandbox.control.setReplay('end-grant')
  endFaults(world)
  // Each story restores a database that was not restored before.
  await world.db().update(generations).set({ restoredAt: null, lostSince: null })
})
afterAll(() => world.close())

async function newest(): Promise<number> {
  const rows = await world.db().select().from(generations)
  return Math.max(...rows.map(({ generation }) => generation))
}

/** Declares a restore, of which the last hour is lost, and waits until the timeline may be read. */
async function restore(lostSeconds = 3_600): Promise<void> {
  await beginGeneration({ db: world.db(), clock: world.clock }, momentIn(world, -lostSeconds))
  // Longer than an instance keeps what it has read, and than the timeline may lag.
  await new Promise((resolve) => setTimeout(resolve, 2_100))
}

/** The rows of a tweet are gone, as when it was posted after the backup. */
async function forget(account: ConnectedAccount): Promise<void> {
  await world.db().delete(tweets).where(eq(tweets.accountId, account.id))
  await world.db().delete(idempotencyKeys).where(eq(idempotencyKeys.userId, account.userId))
}

const timelineReads = () => world.sandbox.control.countReceived({ path: '/2/users/\\d+/tweets' })

async function probes() {
  const [row] = await world
    .db()
    .select()
    .from(generations)
    .where(eq(generations.generation, await newest()))
  return row
}

describe('a refresh token of before', () => {
  test('is not sent while its access token is valid', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_DUE_SECONDS)
    await restore()
    const x = watchX(world)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect([x.refreshes(), x.posts()]).toEqual([0, 1])
  })

  test('that X had refreshed since the backup needs reauthorization, with a reason', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    await spendAtX(world, account)
    await restore()
    expect((await account.post()).userErrors).toMatchObject([{ code: 'ACCOUNT_NEEDS_REAUTH' }])
    expect(await account.show()).toMatchObject({ status: 'NEEDS_REAUTH', statusReason: 'DATABASE_RESTORED' })
    expect(await account.tokens()).toMatchObject({ state: 'DEAD', cause: 'DATABASE_RESTORED' })
    expect(await probes()).toMatchObject({ probesRefused: 1, probesAccepted: 0, probeId: null })
  })

  test('that was not spent is refreshed, and later refreshes are ordinary', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    await restore()
    const x = watchX(world)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(x.refreshes()).toBe(1)
    expect(await probes()).toMatchObject({ probesAccepted: 1, probeId: null })
    world.advance(UNTIL_ENDED_SECONDS)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
    expect(await probes()).toMatchObject({ probesAccepted: 1 })
    expect(await account.tokens()).toMatchObject({ state: 'ACTIVE', version: 3, cause: null })
  })

  test('waits for the outcome of the probe of another account', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    await restore()
    await world
      .db()
      .update(generations)
      .set({ probeId: crypto.randomUUID(), probeUntil: momentIn(world, 60) })
      .where(eq(generations.generation, await newest()))
    const x = watchX(world)
    expect((await account.post()).userErrors).toMatchObject([{ code: 'REFRESH_IN_PROGRESS' }])
    expect(x.refreshes()).toBe(0)
    // The process of that probe was killed.
    world.advance(61)
    expect((await account.post()).tweet).toMatchObject({ status: 'POSTED' })
  })

  test('is one of many that X refuses: they are tried more slowly after five in a row', async () => {
    const accounts: ConnectedAccount[] = []
    for (let number = 0; number < 7; number++) accounts.push(await connectAccount(world))
    world.advance(UNTIL_ENDED_SECONDS)
    for (const account of accounts) await spendAtX(world, account)
    await restore()
    const x = watchX(world)
    const codes: unknown[] = []
    for (const account of accounts) codes.push((await account.post()).userErrors[0]?.code)
    expect(codes).toEqual([...Array(5).fill('ACCOUNT_NEEDS_REAUTH'), ...Array(2).fill('REFRESH_IN_PROGRESS')])
    expect(x.refreshes()).toBe(5)
    expect(world.logs()).toContain('If another gateway still runs on the original database, stop this one')
    world.advance(11)
    for (const account of accounts.slice(5)) await account.post()
    expect(x.refreshes()).toBe(6)
  })
})

describe('an idempotency key of before', () => {
  test('gives the tweet that the lost interval has at X', async () => {
    const account = await connectAccount(world)
    const input = { idempotencyKey: 'lost-key' }
    const { tweet } = await account.post('Posted after the backup', input)
    await forget(account)
    await restore()
    const x = watchX(world)
    const again = await account.post('Posted after the backup', input)
    expect(again).toMatchObject({ tweet: { status: 'POSTED', xTweetId: tweet?.xTweetId }, userErrors: [] })
    expect(x.posts()).toBe(0)
    expect(await account.post('Posted after the backup', input)).toMatchObject({ tweet: { id: again.tweet?.id } })
  })

  test('of a tweet that is not there posts it, and the timeline is read once', async () => {
    const account = await connectAccount(world)
    await account.post('Another text', { idempotencyKey: 'other' })
    await forget(account)
    await restore()
    const [x, before] = [watchX(world), timelineReads()]
    for (const text of ['New one', 'New two', 'New three'])
      expect((await account.post(text, { idempotencyKey: text })).tweet).toMatchObject({ status: 'POSTED' })
    expect([x.posts(), timelineReads() - before]).toEqual([3, 1])
    expect(
      await world.db().select().from(restoredTimelines).where(eq(restoredTimelines.accountId, account.id)),
    ).toMatchObject([{ isWhole: true }])
  })

  test('finds a tweet behind the first page of the timeline', async () => {
    const account = await connectAccount(world)
    for (let number = 0; number < 30; number++)
      await account.post(`Number ${number}`, { idempotencyKey: `n-${number}` })
    await forget(account)
    await restore()
    const x = watchX(world)
    for (const number of [0, 29])
      expect((await account.post(`Number ${number}`, { idempotencyKey: `n-${number}` })).tweet).toMatchObject({
        status: 'POSTED',
      })
    expect(x.posts()).toBe(0)
  })

  test('is POSSIBLY_POSTED while the timeline cannot be read, and is settled afterwards', async () => {
    const account = await connectAccount(world)
    await account.post('In doubt', { idempotencyKey: 'doubt' })
    await forget(account)
    await restore()
    const x = watchX(world)
    world.sandbox.control.inject({
      kind: 'problem',
      name: 'temporarily-unavailable',
      match: { method: 'GET', path: `/2/users/${account.providerAccountId}/tweets` },
    })
    expect(await account.post('In doubt', { idempotencyKey: 'doubt' })).toMatchObject({
      tweet: { status: 'FAILED' },
      userErrors: [{ code: 'POSSIBLY_POSTED', retryable: true }],
    })
    expect((await account.post('In doubt', { idempotencyKey: 'doubt' })).tweet).toMatchObject({ status: 'POSTED' })
    expect(x.posts()).toBe(0)
  })

  test('of a failed tweet of before, which was posted since, is not posted again', async () => {
    const account = await connectAccount(world)
    await account.post('Failed first', { idempotencyKey: 'failed-first' })
    await world
      .db()
      .update(tweets)
      .set({ status: 'FAILED', errorCode: 'X_UNAVAILABLE', xTweetId: null, postedAt: null })
      .where(eq(tweets.accountId, account.id))
    await restore()
    const x = watchX(world)
    expect((await account.post('Failed first', { idempotencyKey: 'failed-first' })).tweet).toMatchObject({
      status: 'POSTED',
    })
    expect(x.posts()).toBe(0)
  })

  test('of a tweet that was about to be sent is reconciled, not declared unsent', async () => {
    const account = await connectAccount(world)
    await account.post('About to be sent', { idempotencyKey: 'about' })
    await world
      .db()
      .update(tweets)
      .set({ status: 'PENDING', xTweetId: null, postedAt: null, sentAt: null, claimedUntil: momentIn(world, -120) })
      .where(eq(tweets.accountId, account.id))
    await restore()
    await sweepNow(world)
    expect(await account.tweets()).toMatchObject([{ status: expect.stringMatching(/UNKNOWN|POSTED/) }])
  })

  test('does not matter where nothing was lost', async () => {
    const account = await connectAccount(world)
    await restore()
    await declareNothingLost({ db: world.db() })
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    const before = timelineReads()
    expect((await account.post('At once', { idempotencyKey: 'at-once' })).tweet).toMatchObject({ status: 'POSTED' })
    expect(timelineReads() - before).toBe(0)
  })
})

test('a database with another lineage is noticed before a tweet with a key is posted', async () => {
  const account = await connectAccount(world)
  await account.post('In the lost interval', { idempotencyKey: 'noticed' })
  await forget(account)
  const generation = await newest()
  await world.db().update(generations).set({ lineage: 'another cluster' })
  await new Promise((resolve) => setTimeout(resolve, 2_100))
  const x = watchX(world)
  expect((await account.post('In the lost interval', { idempotencyKey: 'noticed' })).userErrors).toMatchObject([
    { code: 'POSSIBLY_POSTED', retryAt: expect.any(String) },
  ])
  expect(await newest()).toBe(generation + 1)
  expect(world.logs()).toContain('PostgreSQL was restored or failed over')
  await vi.waitFor(
    async () =>
      expect((await account.post('In the lost interval', { idempotencyKey: 'noticed' })).tweet).toMatchObject({
        status: 'POSTED',
      }),
    { timeout: 20_000, interval: 500 },
  )
  expect(x.posts()).toBe(0)
})

test('a cursor of lost events is refused before and after new events, and later cursors go on', async () => {
  const account = await connectAccount(world)
  await account.post('Before the backup')
  const { events: old } = await account.person.api('events', { last: 1 })
  const kept = old.pageInfo.endCursor
  const [row] = await world.db().select().from(eventPositions).where(eq(eventPositions.userId, account.userId))
  await account.post('Lost')
  const { events: lost } = await account.person.api('events', { last: 1 })
  await world
    .db()
    .update(eventPositions)
    .set({ position: row?.position ?? 0 })
    .where(eq(eventPositions.userId, account.userId))
  await restore()
  const ask = async (after: unknown) => {
    const body = JSON.stringify({ query: `{ events(after: ${JSON.stringify(after)}) { edges { cursor } } }` })
    return (await sendGraphql(account.person, body)).response
  }
  const refused = { errors: [{ extensions: { code: 'CURSOR_EXPIRED' }, message: expect.stringContaining('restored') }] }
  expect(await ask(lost.pageInfo.endCursor)).toMatchObject(refused)
  await account.post('After the restore')
  expect(await ask(lost.pageInfo.endCursor)).toMatchObject(refused)
  const { events: now } = await account.person.api('events', { last: 1 })
  expect(now.edges).toMatchObject([{ node: { type: 'TWEET_POSTED' } }])
  expect((await ask(kept)).errors).toBeUndefined()
  expect((await ask(now.pageInfo.endCursor)).errors).toBeUndefined()
  expect((await world.db().select().from(connectedAccounts).where(eq(connectedAccounts.id, account.id))).length).toBe(1)
})
