// Reading posted tweets page by page, and deleting them.
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { tweets } from '../../../src/db/tables.ts'
import type { FaultKind } from '../../../src/sandbox/control/faults.ts'
import type { UserError } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount, endFaults, momentIn } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
let nextXTweetId = 1
let account: ConnectedAccount
beforeAll(async () => {
  world = await startWorld()
  account = await connectAccount(world)
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

type Deleted = { tweet: { id: string; status: string } | null; userErrors: UserError[] }

async function deleteTweet(tweetId: string | undefined, person = account.person): Promise<Deleted> {
  const result = await person.api<{ deleteTweet: Deleted }>('delete-tweet', { input: { tweetId } })
  return result.deleteTweet
}

function deletions(): number {
  return world.sandbox.control.countReceived({ method: 'DELETE' })
}

async function seed(owner: ConnectedAccount, values: Partial<typeof tweets.$inferInsert> = {}): Promise<string> {
  const [row] = await world
    .db()
    .insert(tweets)
    .values({
      userId: owner.userId,
      accountId: owner.id,
      text: 'Seeded',
      status: 'POSTED',
      xTweetId: String(nextXTweetId++),
      claimedUntil: momentIn(world, 0),
      createdAt: momentIn(world, 0),
      ...values,
    })
    .returning()
  return row?.id ?? ''
}

describe('deleting a tweet', () => {
  test('deletes it at X and keeps its row as DELETED', async () => {
    const { tweet } = await account.post()
    expect(await deleteTweet(tweet?.id)).toEqual({ tweet: { id: tweet?.id, status: 'DELETED' }, userErrors: [] })
    expect(world.sandbox.control.tweets(account.username)).toEqual([])
    expect(await account.person.api('tweet', { tweetId: tweet?.id })).toMatchObject({
      tweet: { status: 'DELETED', xTweetId: tweet?.xTweetId, url: null, error: null },
    })
  })

  test('twice, or 10 times at once, changes nothing more', async () => {
    const { tweet } = await account.post()
    const responses = await Promise.all(Array.from({ length: 10 }, () => deleteTweet(tweet?.id)))
    expect(responses).toEqual(Array(10).fill({ tweet: { id: tweet?.id, status: 'DELETED' }, userErrors: [] }))
    const count = deletions()
    expect((await deleteTweet(tweet?.id)).tweet).toMatchObject({ status: 'DELETED' })
    expect(deletions()).toBe(count)
  })

  test('that X does not have any more counts as deleted', async () => {
    const gone = await seed(account, { xTweetId: '1234567890' })
    expect((await deleteTweet(gone)).tweet).toMatchObject({ status: 'DELETED' })
    const absent = await seed(account, { xTweetId: '1234567891' })
    world.sandbox.control.inject({ kind: 'status', status: 404, body: {}, match: { method: 'DELETE' } })
    expect((await deleteTweet(absent)).tweet).toMatchObject({ status: 'DELETED' })
  })

  test('that X reports as not deleted stays POSTED', async () => {
    const { tweet } = await account.post()
    const body = { data: { deleted: false } }
    world.sandbox.control.inject({ kind: 'status', status: 200, body, match: { method: 'DELETE' } })
    expect(await deleteTweet(tweet?.id)).toMatchObject({ tweet: null, userErrors: [{ code: 'X_UNAVAILABLE' }] })
    expect((await account.tweets()).at(-1)).toMatchObject({ status: 'POSTED' })
    expect((await deleteTweet(tweet?.id)).tweet).toMatchObject({ status: 'DELETED' })
  })

  test.each<[string, FaultKind, string, boolean]>([
    ['the rate limit', { kind: 'problem', name: 'too-many-requests' }, 'X_RATE_LIMITED', true],
    ['not its tweet', { kind: 'problem', name: 'not-your-tweet' }, 'TWEET_REFUSED', false],
    ['503', { kind: 'problem', name: 'service-unavailable' }, 'X_UNAVAILABLE', true],
    ['a cut connection', { kind: 'dropBefore' }, 'X_UNAVAILABLE', true],
    ['a cut connection after it acted', { kind: 'dropAfter' }, 'X_UNAVAILABLE', true],
  ])('that X refuses with %s stays POSTED, and can be deleted later', async (_, fault, code, retryable) => {
    const own = await connectAccount(world, { person: account.person })
    const { tweet } = await own.post()
    world.sandbox.control.inject({ ...fault, match: { method: 'DELETE' } })
    expect(await deleteTweet(tweet?.id)).toMatchObject({ tweet: null, userErrors: [{ code, retryable }] })
    expect(await own.tweets()).toMatchObject([{ status: 'POSTED', errorCode: null }])
    world.advance(1000)
    expect((await deleteTweet(tweet?.id)).tweet).toMatchObject({ status: 'DELETED' })
  })

  test('that is not posted is refused without a call to X', async () => {
    const claimedUntil = momentIn(world, 3600)
    const ids = [
      await seed(account, { status: 'FAILED', errorCode: 'DUPLICATE_TWEET', xTweetId: null }),
      await seed(account, { status: 'UNKNOWN', errorCode: 'OUTCOME_UNKNOWN', xTweetId: null }),
      await seed(account, { status: 'PENDING', xTweetId: null, claimedUntil }),
    ]
    const count = deletions()
    for (const id of ids)
      expect(await deleteTweet(id)).toMatchObject({ tweet: null, userErrors: [{ code: 'TWEET_NOT_DELETABLE' }] })
    expect(deletions()).toBe(count)
  })

  test('of another user, or with an unknown id, is not found', async () => {
    const { tweet } = await account.post()
    const stranger = await world.signedIn('yuki-ito')
    const count = deletions()
    for (const id of [tweet?.id, '', 'x', '\u0000', '🙂', randomUUID(), '1'.repeat(5000)]) {
      expect(await deleteTweet(id, stranger)).toMatchObject({
        tweet: null,
        userErrors: [{ code: 'TWEET_NOT_FOUND', field: ['input', 'tweetId'] }],
      })
      expect(await stranger.api('tweet', { tweetId: id })).toEqual({ tweet: null })
    }
    expect(deletions()).toBe(count)
  })

  test('of an account that was disconnected meanwhile is refused', async () => {
    const own = await connectAccount(world, { person: account.person })
    const { tweet } = await own.post()
    await own.disconnect()
    expect(await deleteTweet(tweet?.id)).toMatchObject({ tweet: null, userErrors: [{ code: 'ACCOUNT_DISCONNECTED' }] })
  })
})

describe('reading tweets', () => {
  let reader: ConnectedAccount
  let other: ConnectedAccount
  let newestFirst: string[]
  type Page = {
    edges: { node: { id: string; account: { id: string } } }[]
    pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null }
  }
  const read = async (variables: Record<string, unknown> = {}) => {
    const { tweets } = await reader.person.api<{ tweets: Page }>('tweets', variables)
    return { ids: tweets.edges.map(({ node }) => node.id), ...tweets.pageInfo }
  }

  beforeAll(async () => {
    const person = await world.signedIn('tomasz-k')
    reader = await connectAccount(world, { person })
    other = await connectAccount(world, { person })
    const ids: string[] = []
    // Pairs of the same moment, which differ by id alone.
    for (let number = 0; number < 23; number++)
      ids.push(
        await seed(number % 3 === 0 ? other : reader, { createdAt: momentIn(world, Math.floor(number / 2) * 60) }),
      )
    const rows = [...(await reader.tweets()), ...(await other.tweets())]
    const sorted = rows.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (b.id < a.id ? -1 : 1))
    newestFirst = sorted.map(({ id }) => id)
    expect(newestFirst).toHaveLength(23)
  })

  test('returns 20, newest first, by default', async () => {
    expect(await read()).toMatchObject({ ids: newestFirst.slice(0, 20), hasNextPage: true, hasPreviousPage: false })
  })

  test.each([1, 2, 5, 7, 22, 23, 100])('returns each once, %i at a time, forwards and backwards', async (size) => {
    const forwards: string[] = []
    for (let after: string | null = null; ; ) {
      const page = await read({ first: size, after })
      forwards.push(...page.ids)
      expect(page.ids.length).toBeLessThanOrEqual(size)
      expect(page.hasNextPage).toBe(forwards.length < 23)
      if (!page.hasNextPage) break
      after = page.endCursor
    }
    expect(forwards).toEqual(newestFirst)
    const backwards: string[] = []
    for (let before: string | null = null; ; ) {
      const page = await read({ last: size, before })
      backwards.unshift(...page.ids)
      if (!page.hasPreviousPage) break
      before = page.startCursor
    }
    expect(backwards).toEqual(newestFirst)
  })

  test('returns those of one account if asked to, and none for an invalid account id', async () => {
    const { tweets } = await reader.person.api<{ tweets: Page }>('tweets', { first: 100, accountId: other.id })
    expect(tweets.edges).toHaveLength(8)
    expect(new Set(tweets.edges.map(({ node }) => node.account.id))).toEqual(new Set([other.id]))
    for (const accountId of [account.id, 'x', '', '\u0000', '🙂', randomUUID()])
      expect(await read({ accountId })).toMatchObject({ ids: [], hasNextPage: false, hasPreviousPage: false })
  })

  test('returns the user’s own alone', async () => {
    const stranger = await connectAccount(world, { person: await world.signedIn('yuki-ito') })
    const { tweets } = await stranger.person.api<{ tweets: Page }>('tweets')
    expect(tweets.edges).toEqual([])
    const { endCursor } = await read({ first: 1 })
    expect(await stranger.person.api('tweets', { after: endCursor })).toMatchObject({ tweets: { edges: [] } })
  })

  test('refuses invalid sizes and cursors, and names them', async () => {
    const cursor = (text: string) => Buffer.from(text).toString('base64url')
    const id = randomUUID()
    const junk = [
      '',
      'x',
      '\u0000',
      '🙂',
      'a'.repeat(5000),
      cursor('1:x'),
      cursor(`:${id}`),
      cursor(`-1:${id}`),
      cursor(`1e3:${id}`),
      cursor(`999999999999999:${id}`),
      cursor(`99999999999999999999:${id}`),
      cursor(`1:${id}' or 1=1`),
      cursor(`1:${id.toUpperCase()}x`),
      cursor(`1:${'-'.repeat(36)}`),
      cursor(JSON.stringify({ createdAt: 1, id })),
    ]
    const cases: [string, Record<string, unknown>][] = [
      ...junk.map((after): [string, Record<string, unknown>] => ['after', { after }]),
      ...junk.map((before): [string, Record<string, unknown>] => ['before', { before, last: 2 }]),
      ['first', { first: 0 }],
      ['first', { first: -1 }],
      ['first', { first: 101 }],
      ['last', { last: 0 }],
      ['last', { last: 1_000_000 }],
      ['first', { first: 2, last: 2 }],
    ]
    for (const [field, variables] of cases) {
      const result = await reader.person
        .api('tweets', variables)
        .catch((error: { response: unknown }) => error.response)
      expect(result, JSON.stringify(variables)).toMatchObject({
        errors: [{ extensions: { code: 'BAD_USER_INPUT', field: [field] } }],
      })
    }
  })

  test('accepts the cursor of a tweet that was deleted since', async () => {
    const { endCursor, ids } = await read({ first: 3 })
    expect(ids).toHaveLength(3)
    expect(await read({ first: 3, after: endCursor })).toMatchObject({ ids: newestFirst.slice(3, 6) })
    expect(await read({ last: 2, before: endCursor })).toMatchObject({ ids: newestFirst.slice(0, 2) })
  })
})
