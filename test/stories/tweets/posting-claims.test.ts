// The statements of a post; what is left of a claim that the rate limit refuses; its account.
import { and, eq, sql } from 'drizzle-orm'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { connectedAccounts, events, idempotencyKeys, tweets, webhookDeliveries } from '../../../src/db/tables.ts'
import { claimTweet, withdrawClaim } from '../../../src/tweets/claim.ts'
import { parseIdempotencyKey } from '../../../src/tweets/tweet-input.ts'
import { cookieOf } from '../../support/browser.ts'
import { type ConnectedAccount, connectAccount, postFault, watchX } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { HOUR_SECONDS, startLimited } from '../../support/rate-limited.ts'
import { runTask, sweepNow } from '../../support/sweep.ts'
import { startReceiver, webhooksOf } from '../../support/webhook-receiver.ts'

let world: World
afterEach(() => world.close())

const codeOf = ({ tweet, userErrors }: Awaited<ReturnType<ConnectedAccount['post']>>) =>
  userErrors[0]?.code ?? tweet?.status

test('a request that posts sends at most six statements, five of them for the post, and no transaction', async () => {
  world = await startWorld()
  const account = await connectAccount(world)
  const instance = openInstance(world)
  const transactions = vi.spyOn(instance.deps.db, 'transaction')
  const post = async (input: string) => {
    const query = `mutation { postTweet(input: {text: "${input}", idempotencyKey: "${input}"}) { tweet { status url } userErrors { code } } }`
    const response = await instance.ask(query, cookieOf(account.person))
    const url = expect.stringContaining(`/${account.username}/status/`)
    expect(response.data).toEqual({ postTweet: { tweet: { status: 'POSTED', url }, userErrors: [] } })
  }
  await post('The first takes a slice of the rate limit')
  const sent = await instance.queriesOf(() => post('The second does not'))
  // Other instances are notified of events beside the requests.
  const ofRequest = sent.filter((text) => !text.startsWith('select pg_notify'))
  expect(ofRequest.length).toBeLessThanOrEqual(6)
  const ofPost = ofRequest.filter((text) => !text.includes('"sessions"'))
  expect(ofPost.map((text) => text.match(/^\w+/)?.[0])).toEqual(['with', 'insert', 'select', 'update', 'with'])
  expect(transactions).not.toHaveBeenCalled()
  await instance.close()
})

test('any number of tweets whose process died are ended, each with its event', async () => {
  world = await startWorld()
  const accounts = [
    await connectAccount(world),
    await connectAccount(world, { person: await world.signedIn('yuki-ito') }),
  ]
  for (const { id, userId } of accounts)
    await world.db().execute(
      sql`insert into tweets (user_id, id, account_id, text, status, claimed_until, created_at)
        select ${userId}, gen_random_uuid(), ${id}, 'Tweet ' || number, 'PENDING', now() - interval '1 hour', now() - interval '1 hour'
        from generate_series(1, 150) as number`,
    )
  // More than one batch.
  expect(await runTask(world, 'sweepTweets')).toBe('completed')
  for (const { userId } of accounts) {
    const ended = and(eq(tweets.userId, userId), eq(tweets.status, 'FAILED'), eq(tweets.errorCode, 'POST_INTERRUPTED'))
    expect(await world.db().$count(tweets, ended)).toBe(150)
    expect(await world.db().$count(events, and(eq(events.userId, userId), eq(events.type, 'tweet.failed')))).toBe(150)
  }
})

test('the webhook of a posted tweet is written with its outcome, and sent by another instance if its own does not', async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  const account = await connectAccount(world)
  const receiver = await startReceiver()
  await webhooksOf(account.person).create({ url: receiver.url, types: ['TWEET_POSTED'] })
  // An instance that sends no webhooks.
  const instance = openInstance(world)
  const query = `mutation { postTweet(input: {text: "Sent by another"}) { tweet { status } userErrors { code } } }`
  expect((await instance.ask(query, cookieOf(account.person))).data).toEqual({
    postTweet: { tweet: { status: 'POSTED' }, userErrors: [] },
  })
  expect(await world.db().select().from(webhookDeliveries)).toHaveLength(1)
  await vi.waitFor(() => expect(receiver.types()).toEqual(['tweet.posted']), 30_000)
  await instance.close()
  await receiver.close()
})

describe('a claim that the rate limit refuses', () => {
  const state = async () => [await world.db().$count(tweets), await world.db().$count(idempotencyKeys)]

  test('leaves no tweet and no key, also when several requests wait for its outcome', async () => {
    world = await startLimited(`post=1/${HOUR_SECONDS}`)
    const account = await connectAccount(world)
    expect(codeOf(await account.post())).toBe('POSTED')
    const x = watchX(world)
    const refused = await Promise.all(
      Array.from({ length: 8 }, () => account.post('Refused', { idempotencyKey: 'refused' })),
    )
    expect(new Set(refused.map(codeOf))).toEqual(new Set(['RATE_LIMITED']))
    expect(codeOf(await account.post('Without a key'))).toBe('RATE_LIMITED')
    expect(await state()).toEqual([1, 0])
    expect(x.posts()).toBe(0)
    world.advance(HOUR_SECONDS)
    expect(codeOf(await account.post('Refused', { idempotencyKey: 'refused' }))).toBe('POSTED')
    expect(await state()).toEqual([2, 1])
  })

  test('keeps the order of the errors: a key that is used, then the account, then the text, then the limit', async () => {
    world = await startLimited(`post=1/${HOUR_SECONDS}`)
    const account = await connectAccount(world)
    const posted = await account.post('Once', { idempotencyKey: 'once' })
    const late = () => account.post('Late', { idempotencyKey: 'late' })
    // The first finds out that the limit is used up, the second knows it.
    for (const _ of [1, 2]) {
      expect(await account.post('Once', { idempotencyKey: 'once' })).toEqual(posted)
      expect(codeOf(await account.post('Else', { idempotencyKey: 'once' }))).toBe('IDEMPOTENCY_KEY_REUSED')
      expect(codeOf(await account.post('x'.repeat(281)))).toBe('TEXT_TOO_LONG')
      expect(codeOf(await account.post('No account', { accountId: crypto.randomUUID() }))).toBe('ACCOUNT_NOT_FOUND')
      expect(codeOf(await account.post('No id', { accountId: 'none' }))).toBe('ACCOUNT_NOT_FOUND')
      expect(codeOf(await late())).toBe('RATE_LIMITED')
    }
    await account.disconnect()
    expect(codeOf(await late())).toBe('ACCOUNT_DISCONNECTED')
    expect(await account.post('Once', { idempotencyKey: 'once' })).toEqual(posted)
  })

  test('is withdrawn too when the limit cannot be asked', async () => {
    world = await startWorld()
    const account = await connectAccount(world)
    // Takes the slices of the other limits.
    expect(codeOf(await account.post())).toBe('POSTED')
    const x = watchX(world)
    await world.db().execute(sql`alter table rate_limits rename to mislaid`)
    try {
      await expect(account.post('Interrupted', { idempotencyKey: 'interrupted' })).rejects.toThrow('INTERNAL')
    } finally {
      await world.db().execute(sql`alter table mislaid rename to rate_limits`)
    }
    expect(await state()).toEqual([1, 0])
    expect(x.posts()).toBe(0)
    expect(codeOf(await account.post('Interrupted', { idempotencyKey: 'interrupted' }))).toBe('POSTED')
  })

  test('keeps its key when it was refused so late that another request has sent the tweet', async () => {
    world = await startWorld()
    const account = await connectAccount(world)
    const [text, idempotencyKey] = ['Once', 'late']
    const input = { text, accountId: account.id, replyToXTweetId: null, replySettings: null, madeWithAi: false }
    const key = parseIdempotencyKey(idempotencyKey, Object.values(input))
    const frozen = openInstance(world)
    const claim = await claimTweet(frozen.deps, { ...input, userId: account.userId, isLong: false }, key)
    if (claim === null) throw new Error('The tweet was not claimed')
    const { tweetClaimSeconds, lapseMarginSeconds } = frozen.deps.timing
    world.advance(tweetClaimSeconds + lapseMarginSeconds + 1)
    await sweepNow(world)
    await withdrawClaim(frozen.deps, claim.tweet, key)
    expect(await state()).toEqual([1, 1])
    const x = watchX(world)
    expect(codeOf(await account.post(text, { idempotencyKey }))).toBe('POSTED')
    await withdrawClaim(frozen.deps, claim.tweet, key)
    const repeated = await account.post(text, { idempotencyKey })
    expect(repeated.tweet).toMatchObject({ id: claim.tweet.id, status: 'POSTED' })
    expect(x.posts()).toBe(1)
    expect(await state()).toEqual([1, 1])
    await frozen.close()
  })

  test('is not repeated from memory once the limit has refilled', async () => {
    world = await startLimited(`post=1/${HOUR_SECONDS}`)
    const account = await connectAccount(world)
    for (const _ of [1, 2]) {
      expect(codeOf(await account.post())).toBe('POSTED')
      for (const _ of [1, 2]) expect(codeOf(await account.post())).toBe('RATE_LIMITED')
      world.advance(HOUR_SECONDS)
    }
  })
})

describe('the account of a claim', () => {
  const setAccount = (account: ConnectedAccount, values: Partial<typeof connectedAccounts.$inferInsert>) =>
    world.db().update(connectedAccounts).set(values).where(eq(connectedAccounts.id, account.id))

  test('has to work, and may post long texts only with a premium subscription', async () => {
    world = await startWorld()
    const account = await connectAccount(world)
    const long = 'a long text '.repeat(30).trim()
    expect(codeOf(await account.post(long))).toBe('TEXT_TOO_LONG')
    await setAccount(account, { subscriptionType: 'None' })
    expect(codeOf(await account.post(long))).toBe('TEXT_TOO_LONG')
    await setAccount(account, { subscriptionType: 'Premium' })
    // X refuses it all the same: there the account has no such subscription.
    const x = watchX(world)
    expect(codeOf(await account.post(long))).toBe('TWEET_REFUSED')
    expect(codeOf(await account.post(long, { accountId: null }))).toBe('TWEET_REFUSED')
    expect(x.posts()).toBe(2)
    await setAccount(account, { status: 'LIMITED', statusReason: 'SCOPES_NOT_GRANTED' })
    expect(codeOf(await account.post())).toBe('POSTED')
    await setAccount(account, { scopes: ['tweet.read', 'users.read'] })
    expect(codeOf(await account.post())).toBe('SCOPES_MISSING')
    await setAccount(account, { status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
    expect(codeOf(await account.post())).toBe('ACCOUNT_NEEDS_REAUTH')
    expect(codeOf(await account.post('None is active', { accountId: null }))).toBe('NO_ACTIVE_ACCOUNT')
  })

  test('is the only ACTIVE one when none is named', async () => {
    world = await startWorld()
    const account = await connectAccount(world)
    const other = await connectAccount(world, { person: account.person })
    expect(codeOf(await account.post('Which', { accountId: null }))).toBe('ACCOUNT_AMBIGUOUS')
    await setAccount(other, { status: 'NEEDS_REAUTH', statusReason: 'GRANT_REVOKED' })
    expect(codeOf(await account.post('This one', { accountId: null }))).toBe('POSTED')
    expect((await account.tweets()).map(({ text }) => text)).toEqual(['This one'])
  })

  test('that has a token which X rejects is refreshed, and the tweet is posted once', async () => {
    world = await startWorld()
    const account = await connectAccount(world)
    world.sandbox.control.inject(postFault({ kind: 'problem', name: 'unauthorized' }))
    expect(codeOf(await account.post())).toBe('POSTED')
    expect((await account.tokens())?.version).toBe(2)
    expect(world.sandbox.control.tweets(account.username)).toHaveLength(1)
  })
})
