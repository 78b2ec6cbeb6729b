import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import {
  connectAccount,
  endFaults,
  postFault,
  refreshFault,
  UNTIL_ENDED_SECONDS,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
let lastKey = 0
beforeAll(async () => {
  world = await startWorld()
})
afterEach(() => {
  endFaults(world)
  // The gateway remembers for a while what X said of the whole app.
  world.advance(1000)
})
afterAll(() => world.close())

function newKey(): string {
  lastKey += 1
  return `key ${lastKey}`
}

describe('the same key with the same input', () => {
  test('I-01 30 times at the same moment posts once, with 30 equal results', async () => {
    const account = await connectAccount(world)
    const idempotencyKey = newKey()
    world.sandbox.control.inject(postFault({ kind: 'delayAfter', milliseconds: 300 }))
    const x = watchX(world)
    const responses = await Promise.all(Array.from({ length: 30 }, () => account.post('Once', { idempotencyKey })))
    expect(responses[0]).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
    expect(responses).toEqual(Array(30).fill(responses[0]))
    expect(x.posts()).toBe(1)
    expect(await account.tweets()).toHaveLength(1)
    expect(world.sandbox.control.tweets(account.username)).toHaveLength(1)
  })

  test('30 times at the same moment with an expired token refreshes once and posts once', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    const idempotencyKey = newKey()
    const x = watchX(world)
    const responses = await Promise.all(Array.from({ length: 30 }, () => account.post('Once', { idempotencyKey })))
    expect(responses).toEqual(Array(30).fill(responses[0]))
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])
  })

  test('30 times at the same moment, with a final refusal of X, gives 30 equal refusals', async () => {
    const account = await connectAccount(world)
    const idempotencyKey = newKey()
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'duplicate-content' }))
    const x = watchX(world)
    const responses = await Promise.all(Array.from({ length: 30 }, () => account.post('Once', { idempotencyKey })))
    expect(responses[0]).toMatchObject({ tweet: { status: 'FAILED' }, userErrors: [{ code: 'DUPLICATE_TWEET' }] })
    expect(responses).toEqual(Array(30).fill(responses[0]))
    expect(x.posts()).toBe(1)
  })

  test('I-01 gives the first result a day later too, and after a restart', async () => {
    const account = await connectAccount(world)
    const idempotencyKey = newKey()
    const first = await account.post('Once', { idempotencyKey })
    const x = watchX(world)
    expect(await account.post('Once', { idempotencyKey })).toEqual(first)
    await world.restart()
    expect(await account.post('Once', { idempotencyKey })).toEqual(first)
    world.advance(90_000)
    expect(await account.post('Once', { idempotencyKey })).toEqual(first)
    expect([x.refreshes(), x.posts()]).toEqual([0, 0])
  })

  test('repeats a final refusal without calling X', async () => {
    const account = await connectAccount(world)
    const idempotencyKey = newKey()
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'not-permitted' }))
    const first = await account.post('Never', { idempotencyKey })
    const x = watchX(world)
    expect(await account.post('Never', { idempotencyKey })).toEqual(first)
    expect(x.posts()).toBe(0)
  })

  test.each<[string, FaultKind, string]>([
    ['a usage cap', { kind: 'problem', name: 'usage-capped' }, 'X_USAGE_CAPPED'],
    ['missing credits', { kind: 'problem', name: 'credits-depleted' }, 'X_CREDITS_EXHAUSTED'],
    ['an app that is not enrolled', { kind: 'problem', name: 'client-not-enrolled' }, 'X_APP_NOT_ENROLLED'],
    ['a locked account', { kind: 'problem', name: 'locked' }, 'ACCOUNT_SUSPENDED'],
  ])('posts once it can, after %s', async (_, fault, code) => {
    const account = await connectAccount(world)
    const idempotencyKey = newKey()
    world.sandbox.control.inject(postFault(fault))
    const first = await account.post('At last', { idempotencyKey })
    expect(first).toMatchObject({ tweet: { status: 'FAILED' }, userErrors: [{ code }] })
    world.advance(1000)
    const second = await account.post('At last', { idempotencyKey })
    expect(second).toMatchObject({ tweet: { id: first.tweet?.id, status: 'POSTED' }, userErrors: [] })
    expect(await account.tweets()).toMatchObject([{ status: 'POSTED', attempt: 2, errorCode: null, retryAt: null }])
    expect(world.sandbox.control.tweets(account.username)).toHaveLength(1)
  })

  test('before retryAt repeats the refusal without calling X, and posts afterwards', async () => {
    const account = await connectAccount(world)
    const idempotencyKey = newKey()
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'too-many-requests' }))
    const first = await account.post('In a while', { idempotencyKey })
    expect(first).toMatchObject({
      userErrors: [{ code: 'X_RATE_LIMITED', retryable: true, retryAt: expect.any(String) }],
    })
    const wait = (Date.parse(first.userErrors[0]?.retryAt ?? '') - world.sandbox.control.now()) / 1000
    expect(wait).toBeGreaterThan(600)
    expect(wait).toBeLessThanOrEqual(901)
    const x = watchX(world)
    world.advance(300)
    expect(await account.post('In a while', { idempotencyKey })).toEqual(first)
    expect(x.posts()).toBe(0)
    world.advance(700)
    expect(await account.post('In a while', { idempotencyKey })).toMatchObject({
      tweet: { id: first.tweet?.id, status: 'POSTED' },
    })
    expect(x.posts()).toBe(1)
  })

  test('posts once after a failed refresh, with any number of callers', async () => {
    const account = await connectAccount(world)
    world.advance(UNTIL_ENDED_SECONDS)
    const idempotencyKey = newKey()
    world.sandbox.control.inject(refreshFault({ kind: 'problem', name: 'temporarily-unavailable' }))
    expect(await account.post('At last', { idempotencyKey })).toMatchObject({ userErrors: [{ code: 'X_UNAVAILABLE' }] })
    world.advance(5)
    const x = watchX(world)
    const responses = await Promise.all(Array.from({ length: 20 }, () => account.post('At last', { idempotencyKey })))
    expect(responses.map(({ tweet }) => tweet?.status)).toEqual(Array(20).fill('POSTED'))
    expect([x.refreshes(), x.posts()]).toEqual([1, 1])
    expect(await account.tweets()).toMatchObject([{ attempt: 2 }])
  })
})

test('I-02 refuses the same key with any other input, and does not call X', async () => {
  const account = await connectAccount(world)
  const other = await connectAccount(world, { person: account.person })
  const idempotencyKey = newKey()
  const first = await account.post('This', { idempotencyKey })
  const x = watchX(world)
  const changes = [
    { text: 'That' },
    { accountId: other.id },
    { accountId: null },
    { replyToXTweetId: first.tweet?.xTweetId },
    { replySettings: 'VERIFIED' },
    { madeWithAi: true },
  ]
  for (const change of changes) {
    expect(await account.post('This', { idempotencyKey, ...change })).toMatchObject({
      tweet: null,
      userErrors: [{ code: 'IDEMPOTENCY_KEY_REUSED', field: ['input', 'idempotencyKey'], retryable: false }],
    })
  }
  expect(x.posts()).toBe(0)
  expect(await account.post('This', { idempotencyKey })).toEqual(first)
  // An explicit default is the same as an omitted field.
  expect(await account.post('This', { idempotencyKey, madeWithAi: false, replySettings: null })).toEqual(first)
})

test('I-02 of two inputs with one key at the same moment, posts one and refuses the other', async () => {
  const account = await connectAccount(world)
  const idempotencyKey = newKey()
  const responses = await Promise.all(['This', 'That'].map((text) => account.post(text, { idempotencyKey })))
  expect(responses.map(({ tweet, userErrors }) => tweet?.status ?? userErrors[0]?.code).sort()).toEqual([
    'IDEMPOTENCY_KEY_REUSED',
    'POSTED',
  ])
  expect(await account.tweets()).toHaveLength(1)
})

test('I-04 a key belongs to one user', async () => {
  const account = await connectAccount(world)
  const theirs = await connectAccount(world, { person: await world.signedIn('tomasz-k') })
  const idempotencyKey = newKey()
  const first = await account.post('Mine', { idempotencyKey })
  const second = await theirs.post('Theirs', { idempotencyKey })
  expect(second).toMatchObject({ tweet: { status: 'POSTED' }, userErrors: [] })
  expect(second.tweet?.id).not.toBe(first.tweet?.id)
})

test('I-06 input that is refused before a row is written leaves the key free', async () => {
  const account = await connectAccount(world)
  const idempotencyKey = newKey()
  expect((await account.post('a'.repeat(281), { idempotencyKey })).userErrors).toMatchObject([
    { code: 'TEXT_TOO_LONG' },
  ])
  expect((await account.post('a', { idempotencyKey, accountId: 'x' })).userErrors).toMatchObject([
    { code: 'ACCOUNT_NOT_FOUND' },
  ])
  expect((await account.post('a', { idempotencyKey, replyToXTweetId: 'x' })).userErrors).toMatchObject([
    { code: 'REPLY_TARGET_INVALID' },
  ])
  expect(await account.tweets()).toEqual([])
  expect((await account.post('a', { idempotencyKey })).tweet).toMatchObject({ status: 'POSTED' })
})

test('a key is 1 to 255 characters of well-formed Unicode; without one every post is a new tweet', async () => {
  const account = await connectAccount(world)
  for (const idempotencyKey of ['', 'k'.repeat(256), 'a\u0000b', '\uD83D', 'a\uD800b', 'a\uD801b', '\uDC00\uD800']) {
    expect(await account.post('Key', { idempotencyKey })).toMatchObject({
      tweet: null,
      userErrors: [{ code: 'IDEMPOTENCY_KEY_INVALID', field: ['input', 'idempotencyKey'], retryable: false }],
    })
  }
  const keys = ['k'.repeat(255), ' ', '\t', '\uFFFD', '🔑', "'; drop table tweets; --", 'null']
  for (const idempotencyKey of keys) {
    const text = `Key ${keys.indexOf(idempotencyKey)}`
    const first = await account.post(text, { idempotencyKey })
    expect(first.tweet).toMatchObject({ status: 'POSTED' })
    expect(await account.post(text, { idempotencyKey })).toEqual(first)
  }
  const without = [await account.post('One'), await account.post('Two', { idempotencyKey: null })]
  expect(without.map(({ tweet }) => tweet?.status)).toEqual(['POSTED', 'POSTED'])
  expect(await account.tweets()).toHaveLength(keys.length + 2)
})
