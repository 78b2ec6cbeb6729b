// Webhooks: signatures, retries, endpoints and their owners.
import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { WebhookDeliveriesQuery } from '../../../src/console/operation-types.ts'
import { events, users, webhookDeliveries, webhookEndpoints, webhookTurns } from '../../../src/db/tables.ts'
import type { Browser } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { record } from '../../support/recorded-events.ts'
import { sweepNow } from '../../support/sweep.ts'
import {
  failsForTenMinutes,
  type Message,
  type Receiver,
  startReceiver,
  tryDue,
  tryEarly,
  verify,
  webhooksOf,
} from '../../support/webhook-receiver.ts'

let world: World
let receiver: Receiver
let person: Browser
let webhooks: ReturnType<typeof webhooksOf>
beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
})
afterAll(() => world.close())
beforeEach(async () => {
  receiver = await startReceiver()
  person = await world.signedIn()
  webhooks = webhooksOf(person)
})
afterEach(async () => {
  await world.db().delete(webhookEndpoints)
  await receiver.close()
})

const TEN_MINUTES_SECONDS = 600
const DAY_SECONDS = 86_400

/** Until so many requests have arrived at the receiver, since it was started. */
async function arrived(count: number, at = receiver): Promise<void> {
  await vi.waitFor(() => expect(at.received).toHaveLength(count), { timeout: 60_000 })
}

/**
 * Until the newest delivery of an endpoint has been tried so often, and it is written down how that
 * ended.
 */
async function tried(endpointId: string, expected: { status: string; attempts: number }) {
  await tryDue(world)
  return vi.waitFor(
    async () => {
      const [delivery] = await webhooks.deliveries(endpointId)
      expect(delivery).toMatchObject(expected)
      if (expected.status === 'PENDING') expect(delivery?.lastError).not.toBeNull()
      if (delivery === undefined) throw new Error('There is no delivery')
      return delivery
    },
    { timeout: 60_000 },
  )
}

/** Events of a user, as if the gateway had recorded them. */
function seedEvents(userId: string, count: number): Promise<void> {
  return record(world, ...Array(count).fill({ type: 'account.connected' as const, userId }))
}

async function userIdOf(login: string): Promise<string> {
  const [user] = await world.db().select().from(users).where(eq(users.login, login))
  if (user === undefined) throw new Error(`There is no ${login}`)
  return user.id
}

describe('an event', () => {
  test('W-01 is sent, signed, to the endpoints of its user and to no other', async () => {
    const strangers = await startReceiver()
    const stranger = webhooksOf(await world.signedIn('tomasz-k'))
    await stranger.create({ url: strangers.url })
    const first = await webhooks.create({ url: receiver.url })
    const second = await webhooks.create({ url: `${receiver.url}/second` })
    const account = await connectAccount(world, { person })
    await arrived(2)
    const secrets: Record<string, string> = { '/hook': first.secret, '/hook/second': second.secret }
    for (const request of receiver.received) {
      const [event] = await world
        .db()
        .select()
        .from(events)
        .where(eq(events.id, request.headers['webhook-id'] ?? ''))
      expect(verify(world, secrets[request.path] ?? '', request)).toEqual({
        type: 'account.connected',
        timestamp: event?.occurredAt.toISOString(),
        data: {
          id: event?.id,
          userId: account.userId,
          accountId: account.id,
          tweetId: null,
          apiTokenId: null,
          webhookEndpointId: null,
          reason: null,
        },
      })
      expect(request.headers['content-type']).toBe('application/json')
      const other = request.path === '/hook' ? second : first
      expect(() => verify(world, other.secret, request)).toThrow()
    }
    expect(new Set(receiver.received.map(({ path }) => path))).toEqual(new Set(['/hook', '/hook/second']))
    expect(await tried(first.id, { status: 'DELIVERED', attempts: 1 })).toMatchObject({
      eventType: 'ACCOUNT_CONNECTED',
      lastHttpStatus: 204,
      lastError: null,
      nextAttemptAt: null,
    })
    expect(strangers.received).toEqual([])
    await strangers.close()
  })

  test('is sent when it occurs, without polling', async () => {
    const { id } = await webhooks.create({ url: receiver.url })
    for (const number of [1, 2, 3]) {
      await webhooks.test(id)
      await vi.waitFor(() => expect(receiver.received).toHaveLength(number), { timeout: 30_000 })
    }
  })

  test('is sent only to endpoints that subscribe to its type, and only after their creation', async () => {
    await seedEvents(await userIdOf('mara-holt'), 1)
    world.advance(1)
    const { id } = await webhooks.create({ url: receiver.url, types: ['ACCOUNT_DISCONNECTED', 'TWEET_POSTED'] })
    const account = await connectAccount(world, { person })
    await account.post()
    await account.disconnect()
    await arrived(2)
    expect(receiver.types().toSorted()).toEqual(['account.disconnected', 'tweet.posted'])
    expect(await webhooks.deliveries(id)).toHaveLength(2)
    expect(await webhooks.deliveries(id, { status: 'DEAD' })).toEqual([])
  })

  test('has one delivery for each endpoint, with several instances and several batches', async () => {
    const COUNT = 250
    const { id } = await webhooks.create({ url: receiver.url })
    // The deliveries are only written down here, not sent.
    receiver.respondWith(null)
    await seedEvents(await userIdOf('mara-holt'), COUNT)
    await Promise.all([sweepNow(world), sweepNow(world), sweepNow(world)])
    await sweepNow(world)
    // A sweep does nothing while another run is busy, which then does it.
    const ofEndpoint = eq(webhookDeliveries.endpointId, id)
    await expect.poll(() => world.db().$count(webhookDeliveries, ofEndpoint), { timeout: 60_000 }).toBe(COUNT)
    const rows = await world.db().select().from(webhookDeliveries).where(ofEndpoint)
    expect(rows).toHaveLength(COUNT)
    expect(new Set(rows.map(({ eventId }) => eventId)).size).toBe(COUNT)
    const pages = []
    let after: string | null = null
    do {
      const page: WebhookDeliveriesQuery['webhookDeliveries'] = (
        await person.api('webhook-deliveries', { webhookEndpointId: id, first: 100, after })
      ).webhookDeliveries
      pages.push(page.edges.map(({ node }) => node.id))
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
    } while (after !== null)
    expect(pages.map((page) => page.length)).toEqual([100, 100, 50])
    expect(new Set(pages.flat()).size).toBe(COUNT)
  })
})

describe('a delivery that fails', () => {
  test('is retried with growing delays and the same webhook-id until it is a dead letter; a replay sends it again', async () => {
    const { id, secret } = await webhooks.create({ url: receiver.url, types: ['WEBHOOK_DISABLED'] })
    // Longer than the test needs to see the first attempt.
    receiver.respondWith({ status: 503, headers: { 'retry-after': '25' } })
    await webhooks.test(id)
    const ceilings = [30, 120, 480, 1_920, 7_680, 30_720, 57_600, 57_600, 57_600]
    for (const [index, ceiling] of ceilings.entries()) {
      const delivery = await tried(id, { status: 'PENDING', attempts: index + 1 })
      expect(delivery).toMatchObject({ lastHttpStatus: 503, lastError: 'STATUS', deliveredAt: null })
      const waits = (Date.parse(delivery.nextAttemptAt ?? '') - world.sandbox.control.now()) / 1000
      expect(waits).toBeLessThanOrEqual(ceiling)
      world.advance(ceiling)
    }
    const dead = await tried(id, { status: 'DEAD', attempts: 10 })
    expect(dead).toMatchObject({ eventType: 'WEBHOOK_TEST', lastHttpStatus: 503, nextAttemptAt: null })
    expect((await webhooks.deliveries(id, { status: 'DEAD' })).map((delivery) => delivery.id)).toEqual([dead.id])
    expect(receiver.received).toHaveLength(10)
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([dead.eventId]))
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1)
    const times = receiver.received.map(({ headers }) => Number(headers['webhook-timestamp']))
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(DAY_SECONDS)

    receiver.respondWith({ status: 200 })
    expect(await webhooks.replay(dead.id)).toMatchObject({
      webhookDelivery: { id: dead.id, status: 'PENDING' },
      userErrors: [],
    })
    const delivered = await tried(id, { status: 'DELIVERED', attempts: 1 })
    expect(delivered).toMatchObject({ id: dead.id, lastHttpStatus: 200, lastError: null })
    const last = receiver.received.at(-1)
    if (last === undefined) throw new Error('Nothing arrived')
    expect(verify(world, secret, last)).toMatchObject({ type: 'webhook.test', data: { webhookEndpointId: id } })
    expect(last.headers['webhook-id']).toBe(dead.eventId)
    expect(await webhooks.show(id)).toMatchObject({ status: 'ENABLED', failingSince: null })
  })

  test('honours Retry-After', async () => {
    const { id } = await webhooks.create({ url: receiver.url })
    receiver.respondWith({ status: 429, headers: { 'retry-after': '3600' } })
    await webhooks.test(id)
    const delivery = await tried(id, { status: 'PENDING', attempts: 1 })
    const waits = (Date.parse(delivery.nextAttemptAt ?? '') - world.sandbox.control.now()) / 1000
    expect(waits).toBeGreaterThan(3_500)
    expect(waits).toBeLessThanOrEqual(3_600)
    // A turn that comes before sends nothing, and the next one is at that time.
    await tryEarly(world)
    const turns = await world
      .db()
      .select()
      .from(webhookTurns)
      .where(eq(webhookTurns.userId, await userIdOf('mara-holt')))
    expect(turns).toMatchObject([{ promptAt: new Date(delivery.nextAttemptAt ?? ''), slowAt: null }])
    expect(receiver.received).toHaveLength(1)
  })

  test('W-03 with a redirect is not followed, and is reported as REDIRECT', async () => {
    const inside = await startReceiver()
    const { id } = await webhooks.create({ url: receiver.url })
    receiver.respondWith({ status: 307, headers: { location: inside.url } })
    await webhooks.test(id)
    expect(await tried(id, { status: 'PENDING', attempts: 1 })).toMatchObject({
      lastError: 'REDIRECT',
      lastHttpStatus: 307,
    })
    expect(inside.received).toEqual([])
    await inside.close()
  })

  test('without a connection is distinguished from an error response', async () => {
    const gone = await startReceiver()
    const { id } = await webhooks.create({ url: gone.url })
    await gone.close()
    await webhooks.test(id)
    expect(await tried(id, { status: 'PENDING', attempts: 1 })).toMatchObject({
      lastError: 'CONNECTION',
      lastHttpStatus: null,
    })
  })

  test('with a TLS failure is reported as TLS, and nothing is sent in plain text', async () => {
    const { id } = await webhooks.create({ url: receiver.url.replace('http:', 'https:') })
    await webhooks.test(id)
    expect(await tried(id, { status: 'PENDING', attempts: 1 })).toMatchObject({
      lastError: 'TLS',
      lastHttpStatus: null,
    })
    expect(receiver.received).toEqual([])
  })

  test('cannot be replayed while it is pending, with the time of the next attempt, nor by another user', async () => {
    const { id } = await webhooks.create({ url: receiver.url })
    receiver.respondWith(failsForTenMinutes)
    await webhooks.test(id)
    const pending = await tried(id, { status: 'PENDING', attempts: 1 })
    const retryAt = pending.nextAttemptAt
    expect(await webhooks.replay(pending.id)).toMatchObject({
      webhookDelivery: null,
      userErrors: [
        { code: 'WEBHOOK_DELIVERY_PENDING', field: ['input', 'webhookDeliveryId'], retryable: true, retryAt },
      ],
    })
    expect(await webhooks.deliveries(id)).toMatchObject([{ status: 'PENDING', attempts: 1, nextAttemptAt: retryAt }])
    const stranger = webhooksOf(await world.signedIn('tomasz-k'))
    for (const deliveryId of [pending.id, pending.eventId, 'x', '\u0000'])
      expect(await stranger.replay(deliveryId)).toMatchObject({
        webhookDelivery: null,
        userErrors: [{ code: 'WEBHOOK_DELIVERY_NOT_FOUND', field: ['input', 'webhookDeliveryId'] }],
      })
    expect(await stranger.deliveries(id)).toEqual([])
  })
})

describe('an endpoint', () => {
  test('E-06 shows its secret once, and stores it sealed', async () => {
    const { id, secret } = await webhooks.create({ url: receiver.url, description: 'Changelog bot' })
    expect(secret).toMatch(/^whsec_/)
    const responses = person.keepResponses()
    expect(await webhooks.show(id)).toMatchObject({ url: receiver.url, description: 'Changelog bot', types: null })
    const { secret: rotated } = await webhooks.rotate(id)
    await webhooks.list()
    const rows = JSON.stringify(await world.db().select().from(webhookEndpoints))
    expect(rows).toContain('Changelog bot')
    for (const each of [secret, rotated ?? '']) expect(rows).not.toContain(each.slice(6))
    expect(responses.filter(({ body }) => body.includes(secret))).toEqual([])
    expect(world.logs()).not.toContain(secret.slice(6))
  })

  test('W-01 signs with both secrets for a day after a rotation, and then with the new one', async () => {
    const { id, secret } = await webhooks.create({ url: receiver.url })
    const { secret: newer, webhookEndpoint } = await webhooks.rotate(id)
    if (!newer) throw new Error('No secret')
    const overlap = (Date.parse(webhookEndpoint?.previousSecretEndsAt ?? '') - world.sandbox.control.now()) / 1000
    expect(Math.abs(overlap - DAY_SECONDS)).toBeLessThan(60)
    await webhooks.test(id)
    await arrived(1)
    world.advance(DAY_SECONDS + 60)
    await webhooks.test(id)
    await arrived(2)
    const [during, after] = receiver.received
    if (during === undefined || after === undefined) throw new Error('Nothing arrived')
    world.advance(-DAY_SECONDS - 60)
    for (const each of [secret, newer]) expect(verify(world, each, during)).toMatchObject({ type: 'webhook.test' })
    world.advance(DAY_SECONDS + 60)
    expect(verify(world, newer, after)).toMatchObject({ type: 'webhook.test' })
    expect(() => verify(world, secret, after)).toThrow(/signature/)
    expect(after.headers['webhook-signature']).not.toContain(' ')
  })

  test('is disabled after failing for five days; its owner’s other endpoints are notified, and the owner can enable it again', async () => {
    const failing = await startReceiver()
    failing.respondWith(failsForTenMinutes)
    const { id } = await webhooks.create({ url: failing.url })
    const other = await webhooks.create({ url: receiver.url, types: ['WEBHOOK_DISABLED'] })
    await webhooks.test(id)
    await tried(id, { status: 'PENDING', attempts: 1 })
    expect(await webhooks.show(id)).toMatchObject({ status: 'ENABLED', failingSince: expect.any(String) })
    world.advance(4 * DAY_SECONDS)
    await tried(id, { status: 'PENDING', attempts: 2 })
    expect(await webhooks.show(id)).toMatchObject({ status: 'ENABLED' })
    world.advance(DAY_SECONDS + TEN_MINUTES_SECONDS)
    await tried(id, { status: 'DEAD', attempts: 3 })
    expect(await webhooks.show(id)).toMatchObject({ status: 'DISABLED', disabledReason: 'FAILING' })
    await arrived(1)
    expect(receiver.received.map((request) => verify(world, other.secret, request))).toMatchObject([
      { type: 'webhook.disabled', data: { webhookEndpointId: id, reason: 'FAILING' } },
    ] satisfies Partial<Message>[])

    // What happens meanwhile is not sent, not even later.
    expect(await webhooks.test(id)).toMatchObject({ userErrors: [{ code: 'WEBHOOK_ENDPOINT_DISABLED' }] })
    const [dead] = await webhooks.deliveries(id)
    expect(await webhooks.replay(dead?.id ?? '')).toMatchObject({ userErrors: [{ code: 'WEBHOOK_ENDPOINT_DISABLED' }] })
    await seedEvents(await userIdOf('mara-holt'), 1)
    world.advance(1)
    failing.respondWith({ status: 200 })
    expect(await webhooks.update({ webhookEndpointId: id, enabled: true })).toMatchObject({
      webhookEndpoint: { status: 'ENABLED', disabledReason: null, failingSince: null },
    })
    await webhooks.test(id)
    await tried(id, { status: 'DELIVERED', attempts: 1 })
    expect((await webhooks.deliveries(id)).map(({ eventType }) => eventType)).toEqual(['WEBHOOK_TEST', 'WEBHOOK_TEST'])
    await failing.close()
  })

  test('that responds with 410 Gone is disabled at once', async () => {
    const { id } = await webhooks.create({ url: receiver.url })
    receiver.respondWith({ status: 410 })
    await webhooks.test(id)
    expect(await tried(id, { status: 'DEAD', attempts: 1 })).toMatchObject({ lastHttpStatus: 410, lastError: 'STATUS' })
    expect(await webhooks.show(id)).toMatchObject({ status: 'DISABLED', disabledReason: 'GONE' })
  })

  test('that its owner disables or deletes receives nothing more, not even pending deliveries', async () => {
    const disabled = await webhooks.create({ url: `${receiver.url}/disabled` })
    const deleted = await webhooks.create({ url: `${receiver.url}/deleted` })
    receiver.respondWith(failsForTenMinutes)
    for (const { id } of [disabled, deleted]) {
      await webhooks.test(id)
      await tried(id, { status: 'PENDING', attempts: 1 })
    }
    expect(await webhooks.update({ webhookEndpointId: disabled.id, enabled: false })).toMatchObject({
      webhookEndpoint: { status: 'DISABLED', disabledReason: 'BY_OWNER' },
    })
    expect(await webhooks.remove(deleted.id)).toMatchObject({ deletedWebhookEndpointId: deleted.id, userErrors: [] })
    world.advance(TEN_MINUTES_SECONDS)
    await seedEvents(await userIdOf('mara-holt'), 1)
    await tryEarly(world)
    expect(receiver.received).toHaveLength(2)
    expect(await webhooks.deliveries(disabled.id)).toMatchObject([{ status: 'DEAD', lastError: 'ENDPOINT_DISABLED' }])
    expect(await webhooks.deliveries(deleted.id)).toEqual([])
    // The owner's own decision is no news.
    const told = await world.db().select().from(events).where(eq(events.webhookEndpointId, disabled.id))
    expect(told.map(({ type }) => type)).toEqual(['webhook.test'])
  })

  test('that is disabled while a delivery is created does not receive it', async () => {
    const { id } = await webhooks.create({ url: receiver.url })
    receiver.respondWith(failsForTenMinutes)
    await webhooks.test(id)
    await tried(id, { status: 'PENDING', attempts: 1 })
    await world
      .db()
      .update(webhookEndpoints)
      .set({ status: 'DISABLED', disabledReason: 'BY_OWNER' })
      .where(eq(webhookEndpoints.id, id))
    world.advance(TEN_MINUTES_SECONDS)
    await tried(id, { status: 'DEAD', attempts: 2 })
    expect(await webhooks.deliveries(id)).toMatchObject([{ lastError: 'ENDPOINT_DISABLED' }])
    expect(receiver.received).toHaveLength(1)
  })

  test('of another user is not found by any operation', async () => {
    const { id } = await webhooks.create({ url: receiver.url })
    const stranger = webhooksOf(await world.signedIn('tomasz-k'))
    const userErrors = [
      { code: 'WEBHOOK_ENDPOINT_NOT_FOUND', field: ['input', 'webhookEndpointId'], retry: 'NEVER', retryable: false },
    ]
    const notFound = { webhookEndpoint: null, userErrors }
    for (const webhookEndpointId of [id, '', 'x', '\u0000', crypto.randomUUID()]) {
      expect(await stranger.update({ webhookEndpointId, description: 'Mine' })).toMatchObject(notFound)
      expect(await stranger.update({ webhookEndpointId, enabled: false })).toMatchObject(notFound)
      expect(await stranger.rotate(webhookEndpointId)).toMatchObject({ ...notFound, secret: null })
      expect(await stranger.remove(webhookEndpointId)).toMatchObject({ deletedWebhookEndpointId: null, userErrors })
      expect(await stranger.test(webhookEndpointId)).toMatchObject(notFound)
    }
    expect(await stranger.list()).toEqual([])
    expect(await webhooks.show(id)).toMatchObject({ status: 'ENABLED', description: null, previousSecretEndsAt: null })
  })

  test('changes only the given settings', async () => {
    const { id } = await webhooks.create({ url: receiver.url, description: 'One', types: ['TWEET_POSTED'] })
    const same = { url: receiver.url, description: 'One', types: ['TWEET_POSTED'], status: 'ENABLED' }
    expect((await webhooks.update({ webhookEndpointId: id })).webhookEndpoint).toMatchObject(same)
    const elsewhere = `${receiver.url}/elsewhere`
    expect((await webhooks.update({ webhookEndpointId: id, url: elsewhere })).webhookEndpoint).toMatchObject({
      ...same,
      url: elsewhere,
    })
    expect(
      (await webhooks.update({ webhookEndpointId: id, types: null, description: null })).webhookEndpoint,
    ).toMatchObject({
      url: elsewhere,
      types: null,
      description: null,
    })
    for (const [field, value] of [
      ['description', 'x'.repeat(201)],
      ['description', '\u0000'],
      ['description', 'a\ud800b'],
      ['types', []],
    ] as const)
      expect(await webhooks.update({ webhookEndpointId: id, [field]: value })).toMatchObject({
        webhookEndpoint: null,
        userErrors: [{ code: 'BAD_USER_INPUT', field: ['input', field] }],
      })
  })

  test('is one of at most ten, also when twelve are created at once', async () => {
    const responses = await Promise.all(Array.from({ length: 12 }, () => webhooks.tryToCreate({ url: receiver.url })))
    expect(responses.filter(({ webhookEndpoint }) => webhookEndpoint !== null)).toHaveLength(10)
    expect(responses.flatMap(({ userErrors }) => userErrors.map(({ code }) => code))).toEqual(
      Array(2).fill('TOO_MANY_WEBHOOK_ENDPOINTS'),
    )
    const [first] = await webhooks.list()
    await webhooks.remove(first?.id ?? '')
    expect((await webhooks.tryToCreate({ url: receiver.url })).webhookEndpoint).not.toBeNull()
  })
})

test.each([
  ...['http://example.com/', 'https://10.0.0.1/', 'https://169.254.169.254/latest/meta-data/', 'https://[fd00::1]/'],
  ...[
    'https://metadata/',
    'https://user:password@127.0.0.1/',
    'file:///etc/passwd',
    'not a URL',
    '',
    'https://0xa000001/',
    'http://127.0.0.1/\ud800',
  ],
])('W-03 an endpoint at %s is refused, and the message says which URLs are allowed', async (url) => {
  const refused = {
    webhookEndpoint: null,
    userErrors: [
      {
        code: 'WEBHOOK_URL_NOT_ALLOWED',
        field: ['input', 'url'],
        message: expect.stringMatching(/^Webhooks cannot be sent to this URL\. \S.+\.$/),
        retryable: false,
      },
    ],
  }
  expect(await webhooks.tryToCreate({ url })).toMatchObject({ ...refused, secret: null })
  const { id } = await webhooks.create({ url: receiver.url })
  expect(await webhooks.update({ webhookEndpointId: id, url })).toMatchObject(refused)
  expect(await webhooks.show(id)).toMatchObject({ url: receiver.url })
})

test('finished deliveries are deleted after thirty days, pending ones are kept', async () => {
  const { id } = await webhooks.create({ url: receiver.url })
  await webhooks.test(id)
  await tried(id, { status: 'DELIVERED', attempts: 1 })
  receiver.respondWith({ status: 500, headers: { 'retry-after': '86400' } })
  await webhooks.test(id)
  const { id: pendingId } = await tried(id, { status: 'PENDING', attempts: 1 })
  const inFortyDays = new Date(world.sandbox.control.now() + 40 * DAY_SECONDS * 1000)
  await world
    .db()
    .update(webhookDeliveries)
    .set({ nextAttemptAt: inFortyDays })
    .where(eq(webhookDeliveries.id, pendingId))
  world.advance(29 * DAY_SECONDS)
  await sweepNow(world)
  expect(await webhooks.deliveries(id)).toHaveLength(2)
  world.advance(2 * DAY_SECONDS)
  await sweepNow(world)
  expect(await webhooks.deliveries(id)).toMatchObject([{ status: 'PENDING' }])
})

test('the deletion of users does not wait for the deliveries of their last events', async () => {
  const people = await Promise.all(['yuki-ito', 'tomasz-k'].map((login) => world.signedIn(login)))
  for (const leaving of people) {
    for (const path of ['one', 'two']) await webhooksOf(leaving).create({ url: `${receiver.url}/${path}` })
    for (const _ of [1, 2]) await connectAccount(world, { person: leaving })
  }
  const { id } = await webhooks.create({ url: receiver.url })
  // Each disconnects two accounts first, and their webhooks receive these events.
  const leave = async (leaving: Browser) => {
    const { viewer } = await leaving.api<{ viewer: { login: string } }>('viewer')
    return leaving.api<{ deleteViewer: unknown }>('delete-viewer', { input: { login: viewer.login } })
  }
  const left = await Promise.all(people.map(leave))
  expect(left).toMatchObject([{ deleteViewer: { userErrors: [] } }, { deleteViewer: { userErrors: [] } }])
  await webhooks.test(id)
  await tried(id, { status: 'DELIVERED', attempts: 1 })
  const listEndpoints = async () => (await world.db().select().from(webhookEndpoints)).map((endpoint) => endpoint.id)
  await vi.waitFor(async () => expect(await listEndpoints()).toEqual([id]), { timeout: 60_000 })
  expect(world.logs()).not.toMatch(/deadlock/)
})

test('the deletion of a user deletes endpoints and deliveries', async () => {
  const yuki = await world.signedIn('yuki-ito')
  const { id } = await webhooksOf(yuki).create({ url: receiver.url })
  await webhooksOf(yuki).test(id)
  await arrived(1)
  await world.db().delete(users).where(eq(users.login, 'yuki-ito'))
  expect(await world.db().select().from(webhookEndpoints).where(eq(webhookEndpoints.id, id))).toEqual([])
  expect(await world.db().select().from(webhookDeliveries).where(eq(webhookDeliveries.endpointId, id))).toEqual([])
})
