// Something in front of X responds in its place, with a 4xx. That decides nothing: the idempotency
// key stays usable, and the gateway looks for a tweet that X may have posted before it sends it
// again.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { tweets } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import { BLOCK_PAGES, type BlockPageName } from '../../../src/sandbox/x/block-pages.ts'
import { type ConnectedAccount, connectAccount, endFaults, postFault, watchX } from '../../support/connected-account.ts'
import { readEvents } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
  // A tweet that is sent twice is posted twice.
  world.sandbox.control.setRefusesDuplicates(false)
})
afterEach(() => {
  endFaults(world)
  world.advance(1000)
})
afterAll(() => world.close())

const keyOf = (account: ConnectedAccount) => `the tweet of ${account.username}`
const post = (account: ConnectedAccount) => account.post('In the way', { idempotencyKey: keyOf(account) })
const timelineOf = (account: ConnectedAccount) => `/2/users/${account.providerAccountId}/tweets`
const atX = (account: ConnectedAccount) => world.sandbox.control.tweets(account.username).map(({ id }) => id)

const pages = Object.keys(BLOCK_PAGES) as BlockPageName[]
type Foreign = [title: string, fault: FaultKind, acted: FaultKind]
const status = (code: number, body?: unknown): [FaultKind, FaultKind] => [
  { kind: 'status', status: code, body },
  { kind: 'statusAfter', status: code, body },
]
const foreign: Foreign[] = [
  ...pages.map(
    (page): Foreign => [`the page ${page}`, { kind: 'blockPage', page }, { kind: 'blockPage', page, act: true }],
  ),
  ['a 408 with a problem of X', ...status(408, { title: 'Request Timeout', type: 'about:blank', status: 408 })],
  ['a 403 of odd types', ...status(403, { title: 4, detail: [], type: {}, errors: [7, null, {}] })],
  ['a 403 with a list', ...status(403, [{ title: 'Forbidden' }])],
  ['a 400 that is cut short', { kind: 'malformed', status: 400 }, { kind: 'malformed', status: 400, act: true }],
  ['a 404 of null', ...status(404, 'null')],
  ['a 401 without a word', ...status(401)],
  ['a 418', ...status(418)],
  ['a 499', ...status(499, 'client closed request')],
  ['a 403 with an error of somebody else', ...status(403, { error: 'Forbidden', error_description: 'by a firewall' })],
  [
    'a 403 with a problem of somebody else',
    ...status(403, { type: 'https://tools.ietf.org/html/rfc9110#section-15.5.4', title: 'Forbidden', status: 403 }),
  ],
]

describe.each(foreign)('a post that gets %s', (_, fault, acted) => {
  test('is retryable, and its key posts it', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.inject(postFault(fault))
    const first = await post(account)
    expect(first).toMatchObject({
      tweet: { status: 'FAILED', xTweetId: null },
      userErrors: [{ code: 'X_UNAVAILABLE', retryable: true, retryAt: null }],
    })
    expect([atX(account).length, account.grant().rotations]).toEqual([0, 0])
    const second = await post(account)
    expect(second).toMatchObject({ tweet: { id: first.tweet?.id, status: 'POSTED' }, userErrors: [] })
    expect(atX(account)).toEqual([second.tweet?.xTweetId])
    expect(await account.show()).toMatchObject({ status: 'ACTIVE' })
  })

  test('is found by its key if X has posted it', async () => {
    const account = await connectAccount(world)
    world.sandbox.control.inject(postFault(acted))
    const x = watchX(world)
    expect((await post(account)).userErrors).toMatchObject([{ code: 'X_UNAVAILABLE', retryable: true }])
    const [there] = atX(account)
    expect(there).toBeDefined()
    expect(await post(account)).toMatchObject({ tweet: { status: 'POSTED', xTweetId: there }, userErrors: [] })
    expect([x.posts(), atX(account)]).toEqual([1, [there]])
    const told = await readEvents(account.person, { accountId: account.id })
    expect(told.map(({ type }) => type).slice(-2)).toEqual(['TWEET_FAILED', 'TWEET_POSTED'])
  })
})

test('is not sent again while the page also blocks the lookup', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'blockPage', page: 'cloudflare', act: true }))
  world.sandbox.control.inject({
    kind: 'blockPage',
    page: 'cloudflare',
    times: 2,
    match: { path: timelineOf(account) },
  })
  const x = watchX(world)
  for (let time = 0; time < 3; time++)
    expect((await post(account)).userErrors).toMatchObject([{ code: 'X_UNAVAILABLE', retryable: true }])
  expect(x.posts()).toBe(1)
  expect(await post(account)).toMatchObject({ tweet: { status: 'POSTED', xTweetId: atX(account)[0] } })
  expect([x.posts(), atX(account).length]).toEqual([1, 1])
})

test('waits for a lookup that X limits, and looks before it sends', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'blockPage', page: 'timeout', act: true }))
  world.sandbox.control.inject({ kind: 'problem', name: 'too-many-requests', match: { path: timelineOf(account) } })
  const x = watchX(world)
  await post(account)
  expect((await post(account)).userErrors).toMatchObject([{ code: 'X_RATE_LIMITED', retryAt: expect.any(String) }])
  world.advance(1000)
  expect(await post(account)).toMatchObject({ tweet: { status: 'POSTED', xTweetId: atX(account)[0] } })
  expect(x.posts()).toBe(1)
})

test('stays in doubt after an inconclusive lookup, and is not sent', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'blockPage', page: 'timeout', act: true }))
  const body = { meta: { result_count: 1 } }
  world.sandbox.control.inject({ kind: 'response', body, omit: ['data'], match: { path: timelineOf(account) } })
  const x = watchX(world)
  await post(account)
  expect(await post(account)).toMatchObject({ tweet: { status: 'UNKNOWN' }, userErrors: [{ code: 'OUTCOME_UNKNOWN' }] })
  expect(x.posts()).toBe(1)
})

test('is looked up once and sent once for twenty callers with its key', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'blockPage', page: 'access-denied' }))
  const x = watchX(world)
  await post(account)
  const responses = await Promise.all(Array.from({ length: 20 }, () => post(account)))
  expect(new Set(responses.map(({ tweet }) => tweet?.xTweetId))).toEqual(new Set(atX(account)))
  expect([x.posts(), atX(account).length, world.sandbox.control.countReceived({ path: timelineOf(account) })]).toEqual([
    2, 1, 1,
  ])
})

test('is not looked up a second time after it was sent again', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'blockPage', page: 'access-denied' }))
  await post(account)
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'not-permitted' }))
  expect((await post(account)).userErrors).toMatchObject([{ code: 'TWEET_REFUSED' }])
  const [row] = await world.db().select().from(tweets).where(eq(tweets.accountId, account.id))
  expect(row).toMatchObject({ mayExistSince: null })
})

describe('a block page during a deletion', () => {
  test.each(pages)('deletes nothing: %s', async (page) => {
    const account = await connectAccount(world)
    const { tweet } = await post(account)
    const remove = () => account.person.api('delete-tweet', { input: { tweetId: tweet?.id } })
    world.sandbox.control.inject({ kind: 'blockPage', page, match: { method: 'DELETE' } })
    expect(await remove()).toMatchObject({
      deleteTweet: { tweet: null, userErrors: [{ code: 'X_UNAVAILABLE', retryable: true }] },
    })
    expect(await account.tweets()).toMatchObject([{ status: 'POSTED' }])
    expect(await remove()).toMatchObject({ deleteTweet: { tweet: { status: 'DELETED' }, userErrors: [] } })
  })
})

test('a tweet that X hides does not count as deleted', async () => {
  const account = await connectAccount(world)
  const { tweet } = await post(account)
  const error = { title: 'Authorization Error', type: 'https://api.x.com/2/problems/not-authorized-for-resource' }
  world.sandbox.control.inject({ kind: 'status', status: 200, body: { errors: [error] }, match: { method: 'DELETE' } })
  const response = await account.person.api('delete-tweet', { input: { tweetId: tweet?.id } })
  expect(response).toMatchObject({ deleteTweet: { tweet: null, userErrors: [{ code: 'X_UNAVAILABLE' }] } })
  expect(await account.tweets()).toMatchObject([{ status: 'POSTED' }])
})
