/** Events reach the streams of other processes, and streams survive restarts. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type ChaosAccount, connectAccounts } from '../stress/chaos/accounts.ts'
import { type Arena, openArena } from '../stress/chaos/arena.ts'
import { postWithEach } from '../stress/chaos/callers.ts'
import { productionPace } from '../stress/chaos/fast-timing.ts'
import { createRandomness } from '../stress/chaos/randomness.ts'
import { type OpenStream, openStream } from '../support/event-stream.ts'

const DOWN_FOR_MILLISECONDS = 1_500
// Far less than the deadline of requests at shutdown.
const MOMENT_MILLISECONDS = 10_000

async function open(processes: number): Promise<{ arena: Arena; account: ChaosAccount; urls: string[] }> {
  const arena = await openArena({ processes, pace: productionPace, random: createRandomness(1) })
  await arena.fleet.startAll()
  const [account] = await connectAccounts(arena, 1)
  if (account === undefined) throw new Error('Bug: one link was asked for')
  return { arena, account, urls: arena.fleet.slots.map(({ url }) => url) }
}

async function post(url: string, account: ChaosAccount, text: string): Promise<string> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie: account.cookie, 'sec-fetch-site': 'same-origin' },
    body: JSON.stringify({
      query: 'mutation ($input: PostTweetInput!) { postTweet(input: $input) { tweet { id } } }',
      variables: { input: { text, accountId: account.accountId } },
    }),
  })
  const { data }: { data: { postTweet: { tweet: { id: string } } } } = await response.json()
  return data.postTweet.tweet.id
}

const tweetIds = (stream: OpenStream) => stream.edges.map(({ node }) => node.tweetId)

test('an event at one gateway reaches the stream of another, and a stream resumes at another gateway', async () => {
  const { arena, account, urls } = await open(2)
  await using _ = arena
  const [here = '', there = ''] = urls
  const stream = await openStream(there, { cookie: account.cookie })
  const posted = [await post(here, account, 'One'), await post(here, account, 'Two')]
  await expect.poll(() => tweetIds(stream), { timeout: 20_000, interval: 10 }).toEqual(posted)
  await stream.hangUp()
  posted.push(await post(there, account, 'Three'))
  const resumed = await openStream(here, { cookie: account.cookie }, { after: stream.edges[0]?.cursor })
  posted.push(await post(there, account, 'Four'))
  await expect.poll(() => tweetIds(resumed), { timeout: 20_000, interval: 10 }).toEqual(posted.slice(1))
  await resumed.hangUp()
})

test('a stream survives a crash of the database without missing an event', async () => {
  const { arena, account, urls } = await open(1)
  await using _ = arena
  const stream = await openStream(urls[0] ?? '', { cookie: account.cookie })
  const posted = [await post(urls[0] ?? '', account, 'Before')]
  await expect.poll(() => tweetIds(stream), { timeout: 20_000, interval: 10 }).toEqual(posted)
  await arena.server.shutDown('immediate')
  await sleep(DOWN_FOR_MILLISECONDS)
  await arena.server.start()
  const [after] = await postWithEach(arena, [account], 'after')
  expect(after?.result).toMatchObject({ kind: 'tweet', status: 'POSTED' })
  const rows = await arena.sql`select id from tweets order by created_at`
  await expect.poll(() => tweetIds(stream), { timeout: 30_000 }).toEqual(rows.map(({ id }) => id))
  expect(rows).toHaveLength(2)
  await stream.hangUp()
})

test('SIGTERM completes the streams, even one whose client reads nothing, and ends the process at once', async () => {
  const { arena, account, urls } = await open(1)
  await using _ = arena
  const [slot] = arena.fleet.slots
  if (slot === undefined) throw new Error('Bug: one process was asked for')
  const streams = await Promise.all(
    Array.from({ length: 5 }, () => openStream(urls[0] ?? '', { cookie: account.cookie })),
  )
  const deaf = await fetch(`${urls[0]}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      cookie: account.cookie,
      'sec-fetch-site': 'same-origin',
    },
    body: JSON.stringify({ query: 'subscription { events { cursor } }' }),
  })
  const startedAt = performance.now()
  await arena.fleet.terminate(slot)
  expect(performance.now() - startedAt).toBeLessThan(MOMENT_MILLISECONDS)
  expect(arena.fleet.counts.uncleanEnds).toBe(0)
  for (const stream of streams) expect(await stream.ended).toEqual({ completed: true, codes: ['STREAM_ENDED'] })
  await deaf.body?.cancel().catch(() => {})
})
