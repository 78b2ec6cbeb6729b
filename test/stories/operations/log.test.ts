// The log lines for operators: ids and codes, and no texts of users.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { webhookDeliveries } from '../../../src/db/tables.ts'
import {
  connectAccount,
  endFaults,
  postFault,
  refreshFault,
  UNTIL_ENDED_SECONDS,
} from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { startReceiver, tryDue, webhooksOf } from '../../support/webhook-receiver.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
})
afterEach(() => endFaults(world))
afterAll(() => world.close())

type Line = Record<string, unknown> & { level: string; msg: string }

function lines(message: string): Line[] {
  const all = world.logs().trimEnd().split('\n')
  return all.map((line) => JSON.parse(line) as Line).filter(({ msg }) => msg.startsWith(message))
}

function requestsOf(field: string): Line[] {
  return lines('request').filter(({ fields }) => Array.isArray(fields) && fields.includes(field))
}

test('a tweet that failed or is in doubt is logged with its code and the id of its request', async () => {
  const account = await connectAccount(world)
  world.sandbox.control.inject(postFault({ kind: 'problem', name: 'locked' }))
  const failed = await account.post('A secret text')
  expect(failed).toMatchObject({ tweet: { status: 'FAILED' } })
  world.sandbox.control.inject(postFault({ kind: 'dropAfter' }))
  const unknown = await account.post('Another secret text')
  expect(unknown).toMatchObject({ tweet: { status: 'UNKNOWN' } })
  await account.post('A third secret text')

  const about = { level: 'warn', accountId: account.id, requestId: expect.any(String) }
  const [told, ...more] = lines('A tweet was not posted').filter(({ tweetId }) => tweetId === failed.tweet?.id)
  expect(told).toMatchObject({ ...about, errorCode: 'ACCOUNT_SUSPENDED' })
  expect(more).toEqual([])
  expect(lines('X did not report').filter(({ tweetId }) => tweetId === unknown.tweet?.id)).toMatchObject([
    { ...about, errorCode: 'OUTCOME_UNKNOWN' },
  ])
  expect(world.logs()).not.toContain('secret text')
  // The line of the request has the same id and code. The third tweet has no such line.
  const requests = requestsOf('postTweet')
  expect(requests.map(({ operation, errorCodes }) => [operation, errorCodes])).toEqual([
    ['PostTweet', ['ACCOUNT_SUSPENDED']],
    ['PostTweet', ['OUTCOME_UNKNOWN']],
    ['PostTweet', undefined],
  ])
  expect(requests[0]?.requestId).toBe(told?.requestId)
})

test('the error codes of a document are logged even if it does not select them, and so are refusals before execution', async () => {
  const person = await world.signedIn()
  const send = (query: string, cookie?: string) =>
    person.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(cookie && { cookie }) },
      body: JSON.stringify({ query }),
    })
  await send('mutation Quiet { gone: deleteTweet(input: { tweetId: "nobody-knows" }) { tweet { id } } }')
  await send(`query ${'N'.repeat(500)} { viewer { id } }`)
  await send('{ tweets { edges { node { id } } } }', 'none=1')
  await send('{ nobodysField }')
  const [quiet, long, signedOut, invalid] = lines('request').slice(-4)
  expect(quiet).toMatchObject({ operation: 'Quiet', fields: ['deleteTweet'], errorCodes: ['TWEET_NOT_FOUND'] })
  expect(long).toMatchObject({ operation: 'N'.repeat(64), fields: ['viewer'] })
  expect(long).not.toHaveProperty('errorCodes')
  expect(signedOut).toMatchObject({ fields: ['tweets'], errorCodes: ['UNAUTHENTICATED'] })
  expect(signedOut).not.toHaveProperty('operation')
  expect(invalid).toMatchObject({ errorCodes: ['BAD_USER_INPUT'] })
  expect(world.logs()).not.toMatch(/nobody-knows|nobodysField/)
})

test('an account that becomes NEEDS_REAUTH is logged once', async () => {
  const account = await connectAccount(world)
  world.advance(UNTIL_ENDED_SECONDS)
  world.sandbox.control.inject(refreshFault({ kind: 'problem', name: 'invalid-token' }))
  for (let time = 0; time < 2; time++)
    expect(await account.post()).toMatchObject({ userErrors: [{ code: 'ACCOUNT_NEEDS_REAUTH' }] })
  expect(lines('An account needs reauthorization').filter(({ accountId }) => accountId === account.id)).toMatchObject([
    { level: 'warn', reason: 'GRANT_REVOKED' },
  ])
})

test('failed webhook deliveries are one line for each endpoint, and one warning when they are dead', async () => {
  const receiver = await startReceiver()
  try {
    // With any jitter, the next attempt is later.
    receiver.respondWith({ status: 500, headers: { 'retry-after': '3600' } })
    const webhooks = webhooksOf(await world.signedIn())
    const { id: endpointId } = await webhooks.create({
      url: `${receiver.url}?key=only-its-owner`,
      // A test event is sent regardless of the types; other events would disturb.
      types: ['LINK_VISIBILITY_CHANGED'],
    })
    await webhooks.test(endpointId)
    await webhooks.test(endpointId)
    const rows = () => world.db().select().from(webhookDeliveries).where(eq(webhookDeliveries.endpointId, endpointId))
    const untilAll = (done: object) =>
      vi.waitFor(async () => expect(await rows()).toMatchObject([done, done]), { timeout: 30_000 })
    const told = () => lines('A webhook').filter((line) => line.endpointId === endpointId)
    const untilTold = (count: number) => vi.waitFor(() => expect(told()).toHaveLength(count), { timeout: 30_000 })
    await untilAll({ attempts: 1, lastError: 'STATUS' })
    await untilTold(1)
    await world.db().update(webhookDeliveries).set({ attempts: 9 }).where(eq(webhookDeliveries.endpointId, endpointId))
    world.advance(3_700)
    await tryDue(world)
    await untilAll({ status: 'DEAD' })
    await untilTold(2)
    expect(told()).toMatchObject([
      { level: 'info', attempt: 1 },
      { level: 'warn', attempt: 10 },
    ])
    expect(told()[0]).toMatchObject({ errorCode: 'STATUS', httpStatus: 500, deliveryId: expect.any(String) })
    expect(told()[0]).toMatchObject({ owner: 'USER', userId: expect.any(String), host: new URL(receiver.url).host })
    expect(told()[0]?.nextAttemptInSeconds).toBeGreaterThanOrEqual(3600)
    expect(world.logs()).not.toContain('only-its-owner')
  } finally {
    await receiver.close()
  }
})
