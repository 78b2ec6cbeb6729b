import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { tweets } from '../../../src/db/tables.ts'
import {
  type ConnectedAccount,
  connectAccount,
  endFaults,
  momentIn,
  postFault,
  queryRows,
  watchX,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sendGraphql } from '../../support/raw-graphql.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
let account: ConnectedAccount
beforeAll(async () => {
  world = await startWorld()
  account = await connectAccount(world)
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

function lastSent(): unknown {
  return world.sandbox.control.received({ method: 'POST', path: '/2/tweets' }).at(-1)?.body
}

describe('the request to X', () => {
  test('contains the text alone, if the input has nothing else', async () => {
    const texts = [
      'Plain',
      '  spaces around and\nlines\r\n\tbetween  ',
      'ﬁ Å (not normalised) Å',
      '👩‍👩‍👧‍👦 家族 — “quotes” \\ </script> & &amp; %00 $' + '{x}',
      'See https://example.com/a?b=c&d=e#f and example.org',
    ]
    for (const text of texts) {
      const { tweet } = await account.post(text)
      expect(tweet).toMatchObject({ status: 'POSTED', text })
      expect(lastSent()).toEqual({ text })
    }
  })

  test('names the tweet replied to, who may reply, and that it was made with AI', async () => {
    const { tweet } = await account.post('The start of a thread')
    await account.post('Its end', {
      replyToXTweetId: tweet?.xTweetId,
      replySettings: 'MENTIONED_USERS',
      madeWithAi: true,
    })
    expect(lastSent()).toEqual({
      text: 'Its end',
      reply: { in_reply_to_tweet_id: tweet?.xTweetId },
      reply_settings: 'mentionedUsers',
      made_with_ai: true,
    })
    expect(world.sandbox.control.tweets(account.username).at(-1)).toMatchObject({
      inReplyToTweetId: tweet?.xTweetId,
      replySettings: 'mentionedUsers',
      madeWithAi: true,
    })
  })

  test.each([
    ['FOLLOWING', 'following'],
    ['MENTIONED_USERS', 'mentionedUsers'],
    ['SUBSCRIBERS', 'subscribers'],
    ['VERIFIED', 'verified'],
  ])('says %s as %s', async (replySettings, reply_settings) => {
    await account.post(`For ${replySettings}`, { replySettings, madeWithAi: false })
    expect(lastSent()).toEqual({ text: `For ${replySettings}`, reply_settings })
  })
})

test('the row is written and marked before X is called, without an open transaction during the call', async () => {
  world.sandbox.control.inject(postFault({ kind: 'delay', milliseconds: 3000 }))
  const x = watchX(world)
  const posting = account.post('Slowly')
  await vi.waitFor(() => expect(x.posts()).toBe(1), { timeout: 30_000 })
  expect((await account.tweets()).at(-1)).toMatchObject({
    text: 'Slowly',
    status: 'PENDING',
    sentAt: expect.any(Date),
    xTweetId: null,
    postedAt: null,
  })
  const open = sql`select 1 from pg_stat_activity where state = 'idle in transaction' and datname = current_database()`
  // A background job may have a transaction of its own, which ends long before X responds.
  await vi.waitFor(async () => expect(await queryRows(world, open)).toEqual([]), { timeout: 30_000, interval: 10 })
  expect((await account.tweets()).at(-1)).toMatchObject({ status: 'PENDING' })
  expect((await posting).tweet).toMatchObject({ status: 'POSTED' })
  expect((await account.tweets()).at(-1)).toMatchObject({ status: 'POSTED', postedAt: expect.any(Date) })
})

describe('refuses what cannot be posted before it costs anything, and leaves no row', () => {
  test.each<[string, string, string]>([
    ['nothing', '', 'TEXT_EMPTY'],
    ['blanks', ' \n\t\u2003', 'TEXT_EMPTY'],
    ['281 letters', 'a'.repeat(281), 'TEXT_TOO_LONG'],
    ['141 kanji', '漢'.repeat(141), 'TEXT_TOO_LONG'],
    ['13 addresses', 'https://a.example.com '.repeat(13), 'TEXT_TOO_LONG'],
    ['25,001 letters', 'a'.repeat(25_001), 'TEXT_TOO_LONG'],
    ['U+FFFE', 'a\uFFFEb', 'TEXT_INVALID_CHARACTERS'],
    ['U+FEFF', '\uFEFFa', 'TEXT_INVALID_CHARACTERS'],
    ['U+FFFF', 'a\uFFFF', 'TEXT_INVALID_CHARACTERS'],
    ['NUL', 'a\u0000b', 'TEXT_INVALID_CHARACTERS'],
    ['half a surrogate pair', 'a\uD83D', 'TEXT_INVALID_CHARACTERS'],
  ])('%s', async (_, text, code) => {
    const [x, rows] = [watchX(world), (await account.tweets()).length]
    expect(await account.post(text)).toEqual({
      tweet: null,
      userErrors: [
        {
          code,
          field: ['input', 'text'],
          retry: 'NEVER',
          retryable: false,
          retryAt: null,
          message: expect.any(String),
        },
      ],
    })
    expect(x.posts()).toBe(0)
    expect(await account.tweets()).toHaveLength(rows)
  })

  test.each(['', 'x', '-1', '1.5', '12345678901234567890', '1\n', '１', 'https://x.com/jack/status/20', '\u0000'])(
    'a reply to %j',
    async (replyToXTweetId) => {
      const x = watchX(world)
      expect(await account.post('Hello', { replyToXTweetId })).toMatchObject({
        tweet: null,
        userErrors: [{ code: 'REPLY_TARGET_INVALID', field: ['input', 'replyToXTweetId'], retryable: false }],
      })
      expect(x.posts()).toBe(0)
    },
  )

  test('but 280 letters are posted, and 25,000 by an account with X Premium', async () => {
    expect((await account.post('b'.repeat(280))).tweet).toMatchObject({ status: 'POSTED' })
    const person = await world.signedIn('tomasz-k')
    expect(await person.connect('tomasz_k')).toMatchObject({ outcome: 'connected' })
    const long = await person.api('post-tweet', { input: { text: 'c'.repeat(25_000) } })
    expect(long).toMatchObject({ postTweet: { tweet: { status: 'POSTED' }, userErrors: [] } })
    expect(await person.api('post-tweet', { input: { text: 'c'.repeat(25_001) } })).toMatchObject({
      postTweet: { tweet: null, userErrors: [{ code: 'TEXT_TOO_LONG' }] },
    })
  })
})

describe('the id of the tweet to reply to', () => {
  const number = '1799000000000000123'
  const reply = (account: ConnectedAccount, input: string, variables: string) =>
    sendGraphql(
      account.person,
      `{"query":"mutation${input} { tweet { id } userErrors { code } } }","variables":${variables}}`,
    )

  test('is refused as a number in the variables, which JSON has rounded, and nothing is sent', async () => {
    const account = await connectAccount(world)
    const posts = world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })
    const responses = [
      await reply(
        account,
        '($i: PostTweetInput!) { postTweet(input: $i)',
        `{"i": {"text": "Hello", "accountId": "${account.id}", "replyToXTweetId": ${number}}}`,
      ),
      await reply(
        account,
        `($id: ID) { postTweet(input: {text: \\"Hello\\", accountId: \\"${account.id}\\", replyToXTweetId: $id})`,
        `{"id": ${number}}`,
      ),
    ]
    for (const { response } of responses)
      expect(response).toMatchObject({
        errors: [
          {
            message: expect.stringMatching(/^"(replyToXTweetId|id)" is a number/),
            extensions: { code: 'BAD_USER_INPUT' },
          },
        ],
      })
    for (const { text } of responses) expect(text).toContain('Send it as a string')
    expect(await account.tweets()).toEqual([])
    expect(world.sandbox.control.countReceived({ method: 'POST', path: '/2/tweets' })).toBe(posts)
  })

  test('arrives digit by digit as a string, and as a number in the document', async () => {
    const account = await connectAccount(world)
    await account.post('To be replied to, as a string', { replyToXTweetId: number })
    await reply(
      account,
      ` { postTweet(input: {text: \\"Hello\\", accountId: \\"${account.id}\\", replyToXTweetId: ${number}})`,
      '{}',
    )
    const sent = world.sandbox.control.received({ method: 'POST', path: '/2/tweets' }).slice(-2)
    expect(sent.map(({ body }) => body)).toMatchObject(Array(2).fill({ reply: { in_reply_to_tweet_id: number } }))
  })
})

describe('the account that posts', () => {
  test("O-12 the viewer's only active one; one without the scope, none and several have codes of their own", async () => {
    const person = await world.signedIn('yuki-ito')
    const post = (input: Record<string, unknown> = {}) =>
      person.api('post-tweet', { input: { text: `By whom? ${randomUUID()}`, ...input } })
    const refused = (code: string) => ({
      postTweet: { tweet: null, userErrors: [{ code, field: ['input', 'accountId'], retryable: false }] },
    })
    expect(await post()).toMatchObject(refused('NO_ACTIVE_ACCOUNT'))

    const first = await connectAccount(world, { person })
    expect(await post()).toMatchObject({ postTweet: { tweet: { status: 'POSTED' } } })
    const second = await connectAccount(world, { person })
    expect(await post()).toMatchObject(refused('ACCOUNT_AMBIGUOUS'))
    expect(await post({ accountId: second.id })).toMatchObject({ postTweet: { tweet: { status: 'POSTED' } } })

    await first.disconnect()
    expect(await post()).toMatchObject({ postTweet: { tweet: { status: 'POSTED' } } })
    expect(await post({ accountId: first.id })).toMatchObject(refused('ACCOUNT_DISCONNECTED'))
    expect(await second.tweets()).toHaveLength(2)
    for (const accountId of [account.id, 'x', '', '\u0000', second.providerAccountId])
      expect(await post({ accountId })).toMatchObject(refused('ACCOUNT_NOT_FOUND'))

    const readOnly = await connectAccount(world, { person, scopes: ['tweet.read', 'users.read', 'offline.access'] })
    expect(await readOnly.show()).toMatchObject({ status: 'LIMITED', missingScopes: ['tweet.write'] })
    expect(await post({ accountId: readOnly.id })).toMatchObject(refused('SCOPES_MISSING'))
    expect(await readOnly.tweets()).toEqual([])
    // A limited account does not make the choice ambiguous.
    expect(await post()).toMatchObject({ postTweet: { tweet: { status: 'POSTED' } } })
  })
})

test('the sweep reconciles what a killed process left, and leaves running posts alone', async () => {
  const seed = async (values: Partial<typeof tweets.$inferInsert>) => {
    const [row] = await world
      .db()
      .insert(tweets)
      .values({
        userId: account.userId,
        accountId: account.id,
        text: `Left behind ${randomUUID()}`,
        status: 'PENDING',
        claimedUntil: momentIn(world, -11),
        createdAt: momentIn(world, -71),
        ...values,
      })
      .returning()
    return row?.id
  }
  const neverSent = await seed({})
  const maybeSent = await seed({ sentAt: momentIn(world, -70) })
  const underWay = await seed({ claimedUntil: momentIn(world, 3600), sentAt: momentIn(world, 0) })
  const x = watchX(world)
  await sweepNow(world)
  const rowOf = async (id: string | undefined) => (await account.tweets()).find((tweet) => tweet.id === id)
  await vi.waitFor(
    async () => expect(await rowOf(neverSent)).toMatchObject({ status: 'FAILED', errorCode: 'POST_INTERRUPTED' }),
    { timeout: 15_000 },
  )
  // In doubt, and looked up in the timeline, where it is not.
  await vi.waitFor(
    async () => expect(await rowOf(maybeSent)).toMatchObject({ status: 'FAILED', errorCode: 'NOT_POSTED' }),
    { timeout: 15_000 },
  )
  expect(await rowOf(underWay)).toMatchObject({ status: 'PENDING', errorCode: null })
  expect(x.posts()).toBe(0)
  expect(await account.person.api('tweet', { tweetId: neverSent })).toMatchObject({
    tweet: { status: 'FAILED', error: { code: 'POST_INTERRUPTED', retryable: true } },
  })
})
