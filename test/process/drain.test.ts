import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { connectAccounts } from '../stress/chaos/accounts.ts'
import { openArena } from '../stress/chaos/arena.ts'
import { startCallers } from '../stress/chaos/callers.ts'
import { productionPace } from '../stress/chaos/fast-timing.ts'
import { plantDistance } from '../stress/chaos/nemesis.ts'
import { createRandomness } from '../stress/chaos/randomness.ts'
import { readOperation } from '../support/operations.ts'

const ANSWER_AFTER_MILLISECONDS = 1_500
// Far less than the deadline of requests at shutdown.
const MOMENT_MILLISECONDS = 10_000
const SEEN_AFTER_MILLISECONDS = 300

test('G-11 SIGTERM waits for a tweet that is being posted, even if its caller has disconnected', async () => {
  await using arena = await openArena({ processes: 1, pace: productionPace, random: createRandomness(1) })
  await arena.fleet.startAll()
  const [account] = await connectAccounts(arena, 1)
  const [slot] = arena.fleet.slots
  if (account === undefined || slot === undefined) throw new Error('Bug: one of each was asked for')
  const { control } = arena.sandbox
  const match = { method: 'POST', path: '/2/tweets' }
  control.inject({ kind: 'delayAfter', milliseconds: ANSWER_AFTER_MILLISECONDS, match })
  const caller = new AbortController()
  const call = fetch(`${slot.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie: account.cookie, 'sec-fetch-site': 'same-origin' },
    body: JSON.stringify({
      query: readOperation('post-tweet'),
      variables: { input: { text: 'Posted for nobody to hear', accountId: account.accountId } },
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

test('SIGTERM ends the process at once, although clients keep sending requests on open connections', async () => {
  await using arena = await openArena({ processes: 1, pace: productionPace, random: createRandomness(1) })
  await arena.fleet.startAll()
  const accounts = await connectAccounts(arena, 6)
  const [slot] = arena.fleet.slots
  if (slot === undefined) throw new Error('Bug: one process was asked for')
  plantDistance(arena)
  const callers = startCallers(arena, accounts, 6)
  await vi.waitFor(() => expect(callers.posts.length).toBeGreaterThan(20), { timeout: 20_000 })
  const startedAt = performance.now()
  await arena.fleet.terminate(slot)
  const milliseconds = performance.now() - startedAt
  await callers.stop()
  expect(milliseconds).toBeLessThan(MOMENT_MILLISECONDS)
  expect(arena.fleet.counts.uncleanEnds).toBe(0)
  // No request was cut off.
  expect(await arena.sql`select status, count(*)::int from tweets group by status`).toEqual([
    { status: 'POSTED', count: arena.sandbox.control.tweets().length },
  ])
})

test.each([
  ['has connected and asked nothing yet, as browsers do', ''],
  ['stops in the middle of its headers', 'POST /graphql HTTP/1.1\r\nhost: gateway\r\n'],
])('SIGTERM ends the process at once, although a client %s', async (_client, sent) => {
  await using arena = await openArena({ processes: 1, pace: productionPace, random: createRandomness(1) })
  await arena.fleet.startAll()
  const [slot] = arena.fleet.slots
  if (slot === undefined) throw new Error('Bug: one process was asked for')
  const client = connect(slot.port, '127.0.0.1')
  client.on('error', () => {})
  await once(client, 'connect')
  client.write(sent)
  // The server must have read it; otherwise the test would pass for another reason.
  await sleep(SEEN_AFTER_MILLISECONDS)
  const startedAt = performance.now()
  await arena.fleet.terminate(slot)
  client.destroy()
  expect(performance.now() - startedAt).toBeLessThan(MOMENT_MILLISECONDS)
  expect(arena.fleet.counts.uncleanEnds).toBe(0)
})
