// A tweet in doubt is compared with what X shows, which differs from what was sent: X puts names in
// front of a reply, truncates long texts, and drops invisible characters. The sandbox's rule
// against duplicates is off here, so a tweet that is sent twice is posted twice.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { connectedAccounts, tweets } from '../../../src/db/tables.ts'
import { MAX_READS } from '../../../src/tweets/reconcile.ts'
import { type ConnectedAccount, connectAccount, endFaults, postFault, watchX } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
  world.sandbox.control.setRefusesDuplicates(false)
})
afterEach(() => {
  endFaults(world)
  world.sandbox.control.setVocabulary('tweet')
})
afterAll(() => world.close())

const LONG = Array.from({ length: 60 }, (_, i) => `word ${i},`).join(' ')

async function readRow(id: string) {
  const [row] = await world.db().select().from(tweets).where(eq(tweets.id, id))
  if (row === undefined) throw new Error('There is no such tweet')
  return row
}

const untilSettled = (id: string) =>
  vi.waitFor(
    async () => {
      const row = await readRow(id)
      expect(row.status).not.toBe('UNKNOWN')
      return row
    },
    { timeout: 45_000, interval: 100 },
  )

const untilLookedFor = (id: string) =>
  vi.waitFor(
    async () => {
      expect(world.logs()).toContain(`"tweetId":"${id}"`)
      const row = await readRow(id)
      expect(row.status !== 'UNKNOWN' || row.timelineReads === MAX_READS).toBe(true)
      return row
    },
    { timeout: 45_000, interval: 100 },
  )

/** X Premium, known to the gateway, so that long texts are allowed. */
async function subscribe({ id, username }: ConnectedAccount) {
  world.sandbox.control.setAccount(username, { subscriptionType: 'Premium' })
  await world.db().update(connectedAccounts).set({ subscriptionType: 'Premium' }).where(eq(connectedAccounts.id, id))
}

/** Posts without a response of X. @param arrives whether X has posted it. */
async function postInDoubt(account: ConnectedAccount, arrives: boolean, text: string, replyToXTweetId?: string) {
  world.sandbox.control.inject(postFault({ kind: arrives ? 'dropAfter' : 'dropBefore' }))
  const input = { idempotencyKey: `${account.username} ${text.slice(0, 40)} ${replyToXTweetId}`, replyToXTweetId }
  const { tweet } = await account.post(text, input)
  expect(tweet).toMatchObject({ status: 'UNKNOWN', xTweetId: null })
  const shown = world.sandbox.control.tweets(account.username).at(-1)
  return { id: tweet?.id ?? '', shown, again: () => account.post(text, input) }
}

type Target = (account: ConnectedAccount) => string
const byTomasz =
  (text: (name: string) => string): Target =>
  ({ username }) =>
    world.sandbox.control.postAs('tomasz_k', text(`@${username}`))

const replies: [title: string, target: Target, text: string, front: RegExp][] = [
  ['to a tweet that names it', byTomasz((name) => `Hello ${name}`), 'Thank you!', /^@tomasz_k Thank/],
  [
    'to a tweet that names several',
    byTomasz((name) => `${name} and @harbourbakery, hello`),
    'Thank you both!',
    /^@tomasz_k @harbourbakery T/,
  ],
  [
    'in its own thread, which names somebody',
    ({ username }) => world.sandbox.control.postAs(username, 'With @harbourbakery, 1/2'),
    'and 2/2',
    /^@harbourbakery and/,
  ],
  ['in its own thread', ({ username }) => world.sandbox.control.postAs(username, '1/2'), '2/2', /^2/],
  [
    'that begins with the name itself',
    byTomasz((name) => `Hello ${name}`),
    '@tomasz_k hello yourself',
    /^@tomasz_k hello/,
  ],
  ['that begins with another name', byTomasz((name) => `Hello ${name}`), '@yuki_ito look', /^@tomasz_k @yuki_ito look/],
  [
    'with links, signs and emoji',
    byTomasz((name) => `Hello ${name}`),
    '@you & <me>: example.com/a?b=c ❤️‍🔥 @tomasz_k',
    /^@tomasz_k @you &amp;/,
  ],
  ['of names alone', byTomasz((name) => `Hello ${name}`), '@you @yuki_ito', /^@tomasz_k @you @yuki_ito$/],
]

describe.each(replies)('a reply %s, without a response of X', (_, target, text, front) => {
  test.each(['tweet', 'post'] as const)(
    'is found, and its key posts nothing more (X says "%s")',
    async (vocabulary) => {
      const account = await connectAccount(world)
      world.sandbox.control.setVocabulary(vocabulary)
      const doubt = await postInDoubt(account, true, text, target(account))
      expect(doubt.shown?.text).toMatch(front)
      expect(await untilSettled(doubt.id)).toMatchObject({
        status: 'POSTED',
        xTweetId: doubt.shown?.id,
        errorCode: null,
      })
      const x = watchX(world)
      expect(await doubt.again()).toMatchObject({ tweet: { xTweetId: doubt.shown?.id }, userErrors: [] })
      expect(x.posts()).toBe(0)
    },
  )
})

test('a long reply is found by its whole text', async () => {
  const account = await connectAccount(world)
  await subscribe(account)
  const doubt = await postInDoubt(account, true, LONG, byTomasz((name) => `Hello ${name}`)(account))
  expect(await untilSettled(doubt.id)).toMatchObject({ status: 'POSTED', xTweetId: doubt.shown?.id })
})

test('a reply that never arrived is not confused with a tweet elsewhere, and its key then posts it', async () => {
  const account = await connectAccount(world)
  const { control } = world.sandbox
  const [one, other] = [1, 2].map((number) => control.postAs('tomasz_k', `Hello @${account.username}, ${number}`))
  control.postAs(account.username, 'Thank you!', other)
  const doubt = await postInDoubt(account, false, 'Thank you!', one)
  expect(await untilSettled(doubt.id)).toMatchObject({ status: 'FAILED', errorCode: 'NOT_POSTED', xTweetId: null })
  expect((await doubt.again()).tweet).toMatchObject({ status: 'POSTED' })
  expect(control.tweets(account.username).filter((shown) => shown.inReplyToTweetId === one)).toHaveLength(1)
})

test('a tweet that never arrived is not confused with a reply of the same text', async () => {
  const account = await connectAccount(world)
  const { control } = world.sandbox
  control.postAs(account.username, 'Thank you!', control.postAs(account.username, 'A beginning'))
  const doubt = await postInDoubt(account, false, 'Thank you!')
  expect(await untilSettled(doubt.id)).toMatchObject({ status: 'FAILED', errorCode: 'NOT_POSTED' })
})

test('of two replies in doubt with one text each gets its own, in either order', async () => {
  const account = await connectAccount(world)
  const { control } = world.sandbox
  const [one, other] = [1, 2].map((number) => control.postAs('tomasz_k', `Hello @${account.username}, ${number}`))
  const lost = await postInDoubt(account, false, 'Thank you!', one)
  const arrived = await postInDoubt(account, true, 'Thank you!', other)
  const rows = await Promise.all([lost, arrived].map(({ id }) => untilSettled(id)))
  expect(rows).toMatchObject([
    { status: 'FAILED', errorCode: 'NOT_POSTED', xTweetId: null },
    { status: 'POSTED', xTweetId: arrived.shown?.id },
  ])
})

test('a tweet that is lost a second time is looked up twice again before it may be sent a third time', async () => {
  const account = await connectAccount(world)
  const reads = () => world.sandbox.control.countReceived({ path: `/2/users/${account.providerAccountId}/tweets` })
  const doubt = await postInDoubt(account, false, 'Lost twice')
  await untilSettled(doubt.id)
  expect(reads()).toBe(2)
  world.sandbox.control.inject(postFault({ kind: 'dropBefore' }))
  expect((await doubt.again()).tweet).toMatchObject({ status: 'UNKNOWN' })
  expect(await untilSettled(doubt.id)).toMatchObject({ status: 'FAILED', errorCode: 'NOT_POSTED' })
  expect(reads()).toBe(4)
})

type Open = [title: string, arrange: (account: ConnectedAccount) => Promise<{ id: string; again(): Promise<unknown> }>]
const inDoubt: Open[] = [
  ['whose text X shows cut', (account) => postInDoubt(account, true, LONG)],
  [
    'whose text X shows cut, with links',
    (account) => postInDoubt(account, true, `example.com/1 ${LONG} example.com/2`),
  ],
  [
    'whose reply X shows cut',
    (account) => postInDoubt(account, true, LONG, byTomasz((name) => `Hello ${name}`)(account)),
  ],
  ['from which X dropped a zero-width space', (account) => postInDoubt(account, true, 'Zero\u200bwidth')],
  ['from which X dropped a control character', (account) => postInDoubt(account, true, 'A bell\u0007 rings')],
  [
    'from whose link X dropped a zero-width space',
    (account) => postInDoubt(account, true, 'See example.com/pa\u200bge'),
  ],
  [
    'which was edited meanwhile',
    async (account) => {
      const doubt = await postInDoubt(account, true, 'With a tpyo')
      world.sandbox.control.editTweet(doubt.shown?.id ?? '', 'With a typo')
      return doubt
    },
  ],
]

describe('a tweet that X has but shows changed,', () => {
  const doubts = new Map<string, Awaited<ReturnType<Open[1]>>>()
  beforeAll(async () => {
    world.sandbox.control.setShowsNotes(false)
    for (const [title, arrange] of inDoubt) {
      const account = await connectAccount(world)
      await subscribe(account)
      doubts.set(title, await arrange(account))
    }
  })
  afterAll(() => world.sandbox.control.setShowsNotes(true))

  test.each(inDoubt)('%s stays in doubt, and its key posts nothing more', async (title) => {
    const doubt = doubts.get(title)
    expect(await untilLookedFor(doubt?.id ?? '')).toMatchObject({ status: 'UNKNOWN', errorCode: 'OUTCOME_UNKNOWN' })
    const x = watchX(world)
    expect(await doubt?.again()).toMatchObject({
      tweet: { status: 'UNKNOWN' },
      userErrors: [{ code: 'OUTCOME_UNKNOWN', retryable: false, message: expect.stringContaining('x.com') }],
    })
    expect(x.posts()).toBe(0)
  })
})

test('a long tweet that never arrived is told apart from another one that X shows truncated', async () => {
  const account = await connectAccount(world)
  const { control } = world.sandbox
  await subscribe(account)
  control.setShowsNotes(false)
  control.postAs(account.username, `Another beginning. ${LONG}`)
  control.postAs(account.username, 'Hmm…')
  const doubt = await postInDoubt(account, false, LONG)
  expect(await untilSettled(doubt.id)).toMatchObject({ status: 'FAILED', errorCode: 'NOT_POSTED' })
  control.setShowsNotes(true)
})

test('a reply stays in doubt if X does not say what it replies to', async () => {
  const account = await connectAccount(world)
  const { control } = world.sandbox
  control.setShowsReferences(false)
  const [one, other] = [1, 2].map((number) => control.postAs('tomasz_k', `Hello @${account.username}, ${number}`))
  const arrived = await postInDoubt(account, true, 'Thank you!', one)
  const lost = await postInDoubt(account, false, 'Thank you!', other)
  const rows = await Promise.all([arrived, lost].map(({ id }) => untilLookedFor(id)))
  expect(rows.map(({ status }) => status)).toEqual(['UNKNOWN', 'UNKNOWN'])
  await Promise.all([arrived.again(), lost.again()])
  expect(control.tweets(account.username)).toHaveLength(1)
  // Not before: the last read is counted when it begins, and would then prove more than is asked here.
  control.setShowsReferences(true)
})

describe('an empty timeline proves nothing', () => {
  test.each<[string, Record<string, unknown>]>([
    ['where X holds posts back', { errors: [{ title: 'Authorization Error', type: 'about:blank' }], meta: {} }],
    ['where X counts more than it shows', { meta: { result_count: 1 } }],
    ['where there is another page', { meta: { result_count: 0, next_token: 'more' } }],
  ])('%s', async (_, body) => {
    const account = await connectAccount(world)
    const path = `/2/users/${account.providerAccountId}/tweets`
    world.sandbox.control.inject({ kind: 'response', times: null, match: { path }, body, omit: ['data'] })
    const doubt = await postInDoubt(account, true, 'Not shown')
    expect(await untilLookedFor(doubt.id)).toMatchObject({ status: 'UNKNOWN' })
    await doubt.again()
    expect(world.sandbox.control.tweets(account.username)).toHaveLength(1)
  })

  test.each([-300, 300])('if its clock is off by %d seconds: the lookup uses X’s clock', async (seconds) => {
    const account = await connectAccount(world)
    world.sandbox.control.setClockOffset(seconds)
    const doubt = await postInDoubt(account, true, `Posted ${seconds} seconds from now`)
    expect(await untilSettled(doubt.id)).toMatchObject({ status: 'POSTED', xTweetId: doubt.shown?.id })
    world.sandbox.control.setClockOffset(0)
  })
})
