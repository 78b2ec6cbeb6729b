import { expect, test, vi } from 'vitest'
import { openArena } from '../chaos/arena.ts'
import { productionPace } from '../chaos/fast-timing.ts'
import { linkAccounts } from '../chaos/links.ts'
import { createRandomness } from '../chaos/randomness.ts'
import { readOperation } from '../operations.ts'

const ANSWER_AFTER_MS = 1_500

test('SIGTERM waits for a tweet that X has been asked for, also when its caller has hung up', async () => {
  await using arena = await openArena({ processes: 1, pace: productionPace, random: createRandomness(1) })
  await arena.fleet.startAll()
  const [link] = await linkAccounts(arena, 1)
  const [slot] = arena.fleet.slots
  if (link === undefined || slot === undefined) throw new Error('Bug: one of each was asked for')
  const { control } = arena.sandbox
  const match = { method: 'POST', path: '/2/tweets' }
  control.inject({ kind: 'delayAfter', milliseconds: ANSWER_AFTER_MS, match })
  const caller = new AbortController()
  const call = fetch(`${slot.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie: link.cookie },
    body: JSON.stringify({
      query: readOperation('post-tweet'),
      variables: { input: { text: 'Posted for nobody to hear', accountId: link.accountId } },
    }),
    signal: caller.signal,
  })
  await vi.waitFor(() => expect(control.countReceived({ ...match, acted: true })).toBe(1), { timeout: 10_000 })
  caller.abort()
  await expect(call).rejects.toThrow()
  await arena.fleet.terminate(slot)
  expect(arena.fleet.counts.uncleanEnds).toBe(0)
  const [row] = await arena.sql`select status, x_tweet_id as "xTweetId" from tweets`
  expect(row).toEqual({ status: 'POSTED', xTweetId: control.tweets()[0]?.id })
})
