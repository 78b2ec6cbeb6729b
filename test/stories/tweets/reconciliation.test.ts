import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { tweets, xBlocks } from '../../../src/db/tables.ts'
import type { Browser, UserError } from '../../support/browser.ts'
import { readEvents } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { untilTwoWriteTweets } from '../../support/held-attempt.ts'

type Posted = {
  postTweet: { tweet: { id: string; status: string; xTweetId: string | null } | null; userErrors: UserError[] }
}

let world: World
let person: Browser
beforeAll(async () => {
  world = await startWorld()
  person = await world.connected('maraholt')
})
afterEach(() => {
  world.sandbox.control.clearFaults()
  world.sandbox.control.clearReceived()
})
afterAll(() => world.close())

const post = (text: string, idempotencyKey?: string) =>
  person
    .api<Posted>('post-tweet', { input: { text, idempotencyKey: idempotencyKey ?? text } })
    .then((response) => response.postTweet)

const timelineReads = () => world.sandbox.control.countReceived({ path: '/2/users/\\d+/tweets' })

async function untilSettled(tweetId: string) {
  return vi.waitFor(
    async () => {
      const [row] = await world.db().select().from(tweets).where(eq(tweets.id, tweetId))
      if (row === undefined || row.status === 'UNKNOWN') throw new Error('still unknown')
      return row
    },
    { timeout: 30_000, interval: 100 },
  )
}

test('a tweet whose response was lost is found in the timeline, with its id, for one read', async () => {
  const text = 'Zoë & co. <3 example.com/a?b=c&d=e ❤️‍🔥'
  world.sandbox.control.inject({ kind: 'dropAfter', match: { method: 'POST', path: '/2/tweets' } })
  const { tweet, userErrors } = await post(text)
  expect(tweet).toMatchObject({ status: 'UNKNOWN', xTweetId: null })
  expect(userErrors).toMatchObject([{ code: 'OUTCOME_UNKNOWN', retryable: false }])
  const row = await untilSettled(tweet?.id ?? '')
  const [shown] = world.sandbox.control.tweets('maraholt').filter((shown) => shown.sentText === text)
  expect(row).toMatchObject({ status: 'POSTED', xTweetId: shown?.id, errorCode: null })
  expect(timelineReads()).toBe(1)
  expect(await post(text)).toMatchObject({ tweet: { status: 'POSTED', xTweetId: shown?.id }, userErrors: [] })
  expect(world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(1)
})

test('a tweet that X never posted is FAILED after two lookups, and the same key then posts it', async () => {
  world.sandbox.control.inject({ kind: 'dropBefore', match: { method: 'POST', path: '/2/tweets' } })
  const { tweet } = await post('Lost on its way')
  expect(tweet).toMatchObject({ status: 'UNKNOWN' })
  expect(await untilSettled(tweet?.id ?? '')).toMatchObject({
    status: 'FAILED',
    errorCode: 'NOT_POSTED',
    xTweetId: null,
  })
  expect(timelineReads()).toBe(2)
  expect(await post('Lost on its way')).toMatchObject({ tweet: { id: tweet?.id, status: 'POSTED' }, userErrors: [] })
  expect(world.sandbox.control.tweets('maraholt').filter((shown) => shown.text === 'Lost on its way')).toHaveLength(1)
})

test('two posts that differ in their URL alone are not confused', async () => {
  await post('Release: https://example.com/1')
  world.sandbox.control.inject({ kind: 'dropBefore', match: { method: 'POST', path: '/2/tweets' } })
  const { tweet } = await post('Release: https://example.com/2')
  expect(await untilSettled(tweet?.id ?? '')).toMatchObject({ status: 'FAILED', errorCode: 'NOT_POSTED' })
})

test('X calling it a duplicate proves that the first try arrived', async () => {
  const { control } = world.sandbox
  // The timeline does not show it yet at the lookup.
  control.inject({ kind: 'dropAfter', match: { method: 'POST', path: '/2/tweets' } })
  control.inject({
    kind: 'response',
    times: 2,
    match: { path: '/2/users/\\d+/tweets' },
    body: { meta: { result_count: 0 } },
    omit: ['data'],
  })
  const { tweet } = await post('Shown late')
  expect(await untilSettled(tweet?.id ?? '')).toMatchObject({ status: 'FAILED', errorCode: 'NOT_POSTED' })
  expect(await post('Shown late')).toMatchObject({
    tweet: { id: tweet?.id, status: 'UNKNOWN' },
    userErrors: [{ code: 'DUPLICATE_TWEET' }],
  })
  const [shown] = control.tweets('maraholt').filter((shown) => shown.text === 'Shown late')
  expect(await untilSettled(tweet?.id ?? '')).toMatchObject({ status: 'POSTED', xTweetId: shown?.id })
  expect(timelineReads()).toBe(3)
})

test('of two tweets in doubt with one text, looked up at the same moment, one gets the existing post', async () => {
  const { control } = world.sandbox
  const text = 'Said twice, there once'
  // Longer than until the other lookup.
  control.inject({ kind: 'delayAfter', milliseconds: 6_000, times: 2, match: { path: '/2/users/\\d+/tweets' } })
  control.inject({ kind: 'dropAfter', match: { method: 'POST', path: '/2/tweets' } })
  const arrived = await post(text, 'arrived')
  control.inject({ kind: 'dropBefore', match: { method: 'POST', path: '/2/tweets' } })
  const lost = await post(text, 'lost')
  await vi.waitFor(() => expect(timelineReads()).toBe(2), { timeout: 20_000 })
  await untilTwoWriteTweets(world)
  const rows = await Promise.all([arrived, lost].map(({ tweet }) => untilSettled(tweet?.id ?? '')))
  expect(rows.map(({ status }) => status).toSorted()).toEqual(['FAILED', 'POSTED'])
  const [shown] = control.tweets('maraholt').filter((shown) => shown.text === text)
  expect(rows.find(({ status }) => status === 'POSTED')?.xTweetId).toBe(shown?.id)
})

test('a post that was attributed to a tweet in doubt goes to the tweet that X names, and the other is in doubt again', async () => {
  const { control } = world.sandbox
  const text = 'Guessed, then answered'
  control.inject({ kind: 'dropBefore', match: { method: 'POST', path: '/2/tweets' } })
  const guessed = await post(text, 'guessed')
  // X has acted, and its response is slow: until then the post seems unclaimed.
  control.inject({ kind: 'delayAfter', milliseconds: 9_000, match: { method: 'POST', path: '/2/tweets' } })
  const answering = post(text, 'answered')
  const wrong = await vi.waitFor(
    async () => {
      const [row] = await world
        .db()
        .select()
        .from(tweets)
        .where(eq(tweets.id, guessed.tweet?.id ?? ''))
      expect(row?.status).toBe('POSTED')
      return row
    },
    { timeout: 8_000, interval: 20 },
  )
  const { tweet } = await answering
  expect(tweet).toMatchObject({ status: 'POSTED', xTweetId: wrong?.xTweetId })
  expect(await untilSettled(guessed.tweet?.id ?? '')).toMatchObject({
    status: 'FAILED',
    errorCode: 'NOT_POSTED',
    xTweetId: null,
    postedAt: null,
  })
  const told = await readEvents(person)
  expect(told.filter(({ tweetId }) => tweetId === guessed.tweet?.id).map(({ type, reason }) => [type, reason])).toEqual(
    [
      ['TWEET_UNKNOWN', 'OUTCOME_UNKNOWN'],
      ['TWEET_RECONCILED', 'POSTED'],
      ['TWEET_UNKNOWN', 'OUTCOME_UNKNOWN'],
      ['TWEET_RECONCILED', 'NOT_POSTED'],
    ],
  )
})

test('a tweet in doubt is found however much was posted after it before the lookup', async () => {
  const { control } = world.sandbox
  control.inject({ kind: 'problem', name: 'service-unavailable', match: { path: '/2/users/\\d+/tweets' } })
  control.inject({ kind: 'dropAfter', match: { method: 'POST', path: '/2/tweets' } })
  const { tweet } = await post('Before the crowd')
  // The next try is after a quarter of a minute at the earliest.
  await vi.waitFor(() => expect(timelineReads()).toBe(1), { timeout: 20_000 })
  world.advance(600)
  // More than fit on one page of the timeline.
  for (let number = 0; number < 30; number++) await post(`In the crowd, ${number}`)
  const row = await untilSettled(tweet?.id ?? '')
  const [shown] = control.tweets('maraholt').filter((shown) => shown.sentText === 'Before the crowd')
  expect(row).toMatchObject({ status: 'POSTED', xTweetId: shown?.id, timelineReads: 2 })
})

// The last story: the timeline stays refused.
test('a refused lookup does not count, and is not repeated before its time', async () => {
  const { control } = world.sandbox
  control.inject({ kind: 'dropAfter', match: { method: 'POST', path: '/2/tweets' } })
  control.inject({ kind: 'problem', name: 'too-many-requests', match: { path: '/2/users/\\d+/tweets' } })
  const { tweet } = await post('Read later')
  const read = async () => {
    const [row] = await world
      .db()
      .select()
      .from(tweets)
      .where(eq(tweets.id, tweet?.id ?? ''))
    const blocks = await world.db().select().from(xBlocks)
    return { row, blocks }
  }
  await vi.waitFor(
    async () =>
      expect((await read()).blocks).toMatchObject([{ endpoint: 'READ_TIMELINE', errorCode: 'X_RATE_LIMITED' }]),
    {
      timeout: 20_000,
    },
  )
  await vi.waitFor(async () => expect((await read()).row).toMatchObject({ status: 'UNKNOWN', timelineReads: 0 }), {
    timeout: 20_000,
  })
  expect(timelineReads()).toBe(1)
})
