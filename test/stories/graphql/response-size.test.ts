// The bytes of a response, of its errors, and of one event of a stream.
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tweets } from '../../../src/db/tables.ts'
import { cookieOf } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount, momentIn } from '../../support/connected-account.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'

const MAX_BYTES = 500_000
// Of the usual length and of the greatest.
const USUAL_TEXT = `${'An emoji "🎉" and 10 words.\n'.repeat(10)}`
const LONGEST_TEXT = '👩‍👩‍👧‍👦'.repeat(6_000)
const WAYS = ['/graphql', '/graphql?']

let world: World
let account: ConnectedAccount
beforeAll(async () => {
  world = await startWorld({ MAX_RESPONSE_BYTES: String(MAX_BYTES) })
  account = await connectAccount(world)
})
afterAll(() => world.close())

async function ask(path: string, query: string, variables: unknown = {}) {
  const response = await account.person.request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  })
  const text = await response.text()
  return { status: response.status, bytes: Buffer.byteLength(text), ...JSON.parse(text) }
}

async function seed(count: number, text: string): Promise<string[]> {
  const from = await world.db().$count(tweets)
  const rows = await world
    .db()
    .insert(tweets)
    .values(
      Array.from({ length: count }, (_, index) => ({
        userId: account.userId,
        accountId: account.id,
        text,
        status: 'POSTED' as const,
        xTweetId: String(1_000_000 + from + index),
        claimedUntil: momentIn(world, 0),
        createdAt: momentIn(world, index - 10_000),
      })),
    )
    .returning()
  return rows.map(({ id }) => id)
}

const ALL_FIELDS = `id text status xTweetId url replyToXTweetId replySettings madeWithAi createdAt postedAt
  error { code message field retry retryable retryAt }
  account { id provider username displayName avatarUrl scopes status connectedAt accessTokenExpiresAt }`

describe.each(WAYS)('G-19 at %s', (path) => {
  test('a page of a hundred tweets of the usual length has all fields', async () => {
    await world.db().delete(tweets)
    await seed(100, USUAL_TEXT)
    const { errors, data, bytes } = await ask(path, `{ tweets(first: 100) { nodes { ${ALL_FIELDS} } } }`)
    expect(errors).toBeUndefined()
    expect(data.tweets.nodes).toHaveLength(100)
    expect(bytes).toBeGreaterThan(50_000)
  })

  test('a page that is too large is refused with what to do, and a smaller one is sent', async () => {
    await world.db().delete(tweets)
    await seed(50, LONGEST_TEXT)
    const before = world.logs().length
    const { status, bytes, ...refused } = await ask(path, '{ viewer { id } tweets(first: 50) { nodes { text } } }')
    expect(refused).toEqual({
      data: null,
      errors: [
        {
          message: 'The response has more than 500,000 bytes. Ask for fewer fields, or for a smaller page.',
          path: ['tweets', 'nodes', expect.any(Number), 'text'],
          locations: [{ line: 1, column: 45 }],
          extensions: { code: 'RESPONSE_TOO_LARGE', retry: 'NEVER' },
        },
      ],
    })
    // Most of the page is not built.
    expect(refused.errors[0].path[2]).toBeLessThanOrEqual((2 * MAX_BYTES) / Buffer.byteLength(LONGEST_TEXT))
    expect([status, bytes < 1_000]).toEqual([200, true])
    expect(world.logs().slice(before)).toContain('"errorCodes":["RESPONSE_TOO_LARGE"]')
    expect((await ask(path, '{ tweets(first: 3) { nodes { text } } }')).data.tweets.nodes).toHaveLength(3)
  })

  test('a mutation whose response is too large has taken effect, and those behind it have not', async () => {
    await world.db().delete(tweets)
    const [first, second] = await seed(2, LONGEST_TEXT)
    const texts = Array.from({ length: 13 }, (_, index) => `text${index}: text`).join(' ')
    const document = `mutation($first: ID!, $second: ID!) {
      a: deleteTweet(input: { tweetId: $first }) { tweet { ${texts} } }
      b: deleteTweet(input: { tweetId: $second }) { tweet { id } }
    }`
    const { data, errors } = await ask(path, document, { first, second })
    expect([data, errors.map(({ extensions }: { extensions: { code: string } }) => extensions.code)]).toEqual([
      null,
      ['RESPONSE_TOO_LARGE'],
    ])
    expect(errors[0].message).toContain('may have taken effect')
    const statusOf = async (id = '') => (await world.db().select().from(tweets).where(eq(tweets.id, id)))[0]?.status
    expect([await statusOf(first), await statusOf(second)]).not.toEqual(['POSTED', 'POSTED'])
    expect(await statusOf(second)).toBe('POSTED')
  })

  test.each<[string, string, unknown]>([
    [
      'a variable with fifty wrong fields beside a large one',
      'mutation($input: PostTweetInput!) { postTweet(input: $input) { tweet { id } } }',
      {
        input: {
          text: 'x'.repeat(90_000),
          ...Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`wrong${at}`, 1])),
        },
      },
    ],
    [
      'a list of large values that are no ids',
      'query($ids: [ID!]!) { nodes(ids: $ids) { id } }',
      { ids: Array.from({ length: 100 }, () => ({ large: 'x'.repeat(1_000) })) },
    ],
    [
      'many errors of validation with a long name',
      `query ${'Long'.repeat(1_000)} { viewer { ${Array.from({ length: 100 }, (_, at) => `a${at}`).join(' ')} } a(b: $c) }`,
      {},
    ],
  ])('%s gets errors of few bytes', async (_what, query, variables) => {
    const { errors, bytes } = await ask(path, query, variables)
    for (const { message, extensions } of errors) {
      expect(message.length).toBeLessThanOrEqual(1_001)
      expect(extensions.code).toBe('BAD_USER_INPUT')
    }
    expect(bytes).toBeLessThan(30_000)
  })
})

test('G-19 a variable of a subscription that is wrong gets errors of few bytes', async () => {
  const stream = await openStream(
    world.url,
    cookieOf(account.person),
    { types: Array.from({ length: 100 }, () => 'x'.repeat(1_000)) },
    undefined,
    'subscription($types: [EventType!]) { events(types: $types) { cursor } }',
  )
  const { codes } = await stream.ended
  expect(new Set(codes)).toEqual(new Set(['BAD_USER_INPUT']))
  expect(Buffer.byteLength(stream.messages.join())).toBeLessThan(30_000)
})

test('G-19 an event that is too large is an error of its stream', async () => {
  await world.db().delete(tweets)
  const texts = Array.from({ length: 14 }, (_, index) => `text${index}: text`).join(' ')
  const document = `subscription { events(types: [TWEET_DELETED]) { cursor node { tweet { ${texts} } } } }`
  const stream = await openStream(world.url, cookieOf(account.person), {}, undefined, document)
  expect(stream.status).toBe(200)
  const [large, small] = [...(await seed(1, LONGEST_TEXT)), ...(await seed(1, 'short'))]
  for (const tweetId of [large, small]) {
    const { data } = await ask(
      '/graphql',
      'mutation($id: ID!) { deleteTweet(input: { tweetId: $id }) { tweet { id } } }',
      {
        id: tweetId,
      },
    )
    expect(data.deleteTweet.tweet.id).toBe(tweetId)
  }
  await expect.poll(() => stream.edges.length).toBe(1)
  expect(stream.messages).toEqual([
    'The response has more than 500,000 bytes. Ask for fewer fields, or for a smaller page.',
  ])
  await stream.hangUp()
})
