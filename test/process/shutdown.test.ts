// A process that is stopped as by Kubernetes: SIGTERM, and SIGKILL 30 s later.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type ChaosAccount, connectAccounts } from '../stress/chaos/accounts.ts'
import { type Arena, openArena } from '../stress/chaos/arena.ts'
import { productionPace } from '../stress/chaos/fast-timing.ts'
import type { Slot } from '../stress/chaos/fleet.ts'
import { createRandomness } from '../stress/chaos/randomness.ts'
import { readOperation } from '../support/operations.ts'

const GRACE_MILLISECONDS = 30_000
const POST = { method: 'POST', path: '/2/tweets' }
const REFRESH = { path: '/2/oauth2/token', parameters: { grant_type: 'refresh_token' } }

let arena: Arena
let slot: Slot
let account: ChaosAccount
beforeEach(async () => {
  arena = await openArena({ processes: 1, pace: productionPace, random: createRandomness(1) })
  await arena.fleet.startAll()
  const [connected] = await connectAccounts(arena, 1)
  const [started] = arena.fleet.slots
  if (connected === undefined || started === undefined) throw new Error('Bug: one of each was asked for')
  account = connected
  slot = started
})
afterEach(async () => {
  await arena.server.thaw()
  await arena[Symbol.asyncDispose]()
})

type Posted = { data: { postTweet: { userErrors: { code: string; retryable: boolean }[] } } }

async function post(text: string): Promise<Posted | null> {
  const { accountId, cookie } = account
  const response = await fetch(`${slot.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie, 'sec-fetch-site': 'same-origin' },
    body: JSON.stringify({ query: readOperation('post-tweet'), variables: { input: { text, accountId } } }),
  }).catch(() => null)
  return response === null ? null : ((await response.json().catch(() => null)) as Posted | null)
}

/** Sends SIGTERM. Returns the exit code, or SIGKILL after Kubernetes' grace period. */
async function stopLikeKubernetes(): Promise<number | NodeJS.Signals | null | undefined> {
  const child = slot.process
  const timer = setTimeout(() => child?.kill('SIGKILL'), GRACE_MILLISECONDS)
  await arena.fleet.terminate(slot)
  clearTimeout(timer)
  return child?.signalCode ?? child?.exitCode
}

const refreshes = () => arena.sandbox.control.countTokenCalls('refresh_token')
const posts = () => arena.sandbox.control.countReceived(POST)
const isAsked = (count: () => number) => vi.waitFor(() => expect(count()).toBeGreaterThan(0), 20_000)

/** Expires the access token, so that the next post refreshes it. */
async function endAccessToken(): Promise<void> {
  arena.sandbox.control.expireAccessToken(account.username)
  await arena.sql`update oauth_tokens set access_expires_at = clock_timestamp()`
}

test('SIGTERM ends the process within 30 s, with the database frozen and X not responding', async () => {
  arena.sandbox.control.inject({ kind: 'hang', match: POST, times: null })
  arena.sandbox.control.inject({ kind: 'delayAfter', milliseconds: 2_000, match: REFRESH })
  await endAccessToken()
  const posting = post('On its way while the process is stopped')
  await isAsked(refreshes)
  // The token pair that X issues now cannot be written.
  await arena.server.freeze()
  expect(await stopLikeKubernetes()).toBe(0)
  await posting
})

test('a token pair that X issues after SIGTERM is stored, while everything else hangs', async () => {
  const before = arena.sandbox.control.grants(account.username).at(-1)?.refreshToken
  arena.sandbox.control.inject({ kind: 'hang', match: POST, times: null })
  arena.sandbox.control.inject({ kind: 'delayAfter', milliseconds: 8_000, match: REFRESH })
  await endAccessToken()
  const posting = post('Never answered')
  await isAsked(refreshes)
  expect(await stopLikeKubernetes()).toBe(0)
  await posting
  expect(arena.sandbox.control.grants(account.username).at(-1)?.refreshToken).not.toBe(before)
  const [row] = await arena.sql`select version, lease_id, state from oauth_tokens`
  expect(row).toMatchObject({ version: 2, lease_id: null, state: 'ACTIVE' })
  // The next process posts with it, without a refresh.
  arena.sandbox.control.clearFaults()
  await arena.fleet.start(slot)
  expect((await post('Written by the next process'))?.data.postTweet.userErrors).toEqual([])
  expect(refreshes()).toBe(1)
})

test('starts no refresh when there may be no time to store the result', async () => {
  // X rejects the access token when the shutdown has lasted for a while.
  arena.sandbox.control.inject({ kind: 'delay', milliseconds: 8_000, match: POST })
  arena.sandbox.control.inject({ kind: 'problem', name: 'unauthorized', match: POST })
  const posting = post('Refused with 401')
  await isAsked(posts)
  expect(await stopLikeKubernetes()).toBe(0)
  expect((await posting)?.data.postTweet.userErrors).toMatchObject([{ code: 'REFRESH_IN_PROGRESS', retryable: true }])
  expect(refreshes()).toBe(0)
})
