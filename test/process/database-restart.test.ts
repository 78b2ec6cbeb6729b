/**
 * The database is down while X responds, and back afterwards: the gateway must store the result.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { connectAccounts } from '../stress/chaos/accounts.ts'
import { type Arena, openArena } from '../stress/chaos/arena.ts'
import { postWithEach } from '../stress/chaos/callers.ts'
import { productionPace } from '../stress/chaos/fast-timing.ts'
import { createRandomness } from '../stress/chaos/randomness.ts'

const ANSWER_AFTER_MILLISECONDS = 500
const DOWN_FOR_MILLISECONDS = 1_500

function open(): Promise<Arena> {
  return openArena({ processes: 1, pace: productionPace, random: createRandomness(1) })
}

/** Posts while the database is down from the call of `path` until X's response arrives. */
async function postThroughOutage(arena: Arena, path: string, prepare: () => Promise<unknown>) {
  await arena.fleet.startAll()
  const accounts = await connectAccounts(arena, 1)
  await prepare()
  const { control } = arena.sandbox
  control.inject({ kind: 'delayAfter', milliseconds: ANSWER_AFTER_MILLISECONDS, match: { method: 'POST', path } })
  const before = control.countReceived({ path, acted: true })
  const posting = postWithEach(arena, accounts, 'outage')
  await vi.waitFor(() => expect(control.countReceived({ path, acted: true })).toBe(before + 1), { timeout: 10_000 })
  await arena.server.shutDown('immediate')
  await sleep(DOWN_FOR_MILLISECONDS)
  await arena.server.start()
  return (await posting)[0]
}

test('a tweet that X accepted is POSTED, although the database was down when X responded', async () => {
  await using arena = await open()
  const post = await postThroughOutage(arena, '/2/tweets', async () => {})
  const [row] = await arena.sql`select status, x_tweet_id as "xTweetId" from tweets`
  expect(row).toEqual({ status: 'POSTED', xTweetId: arena.sandbox.control.tweets()[0]?.id })
  expect(post?.result).toMatchObject({ kind: 'tweet', status: 'POSTED', error: null })
})

test('a token pair that X issued is stored, although the database was down when it arrived', async () => {
  await using arena = await open()
  const expire = () => arena.sql`update oauth_tokens set access_expires_at = clock_timestamp() - interval '1 second'`
  const post = await postThroughOutage(arena, '/2/oauth2/token', expire)
  expect(post?.result).toMatchObject({ kind: 'tweet', status: 'POSTED' })
  const [row] = await arena.sql`select version, state, lease_id as "leaseId" from oauth_tokens`
  expect(row).toEqual({ version: 2, state: 'ACTIVE', leaseId: null })
  expect(arena.sandbox.control.grants().at(-1)).toMatchObject({ rotations: 1, replays: 0, ended: null })
})
