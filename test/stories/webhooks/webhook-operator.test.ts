// The operator's webhook endpoints.
import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { OPERATOR_ID, webhookDeliveries, webhookEndpoints } from '../../../src/db/tables.ts'
import { transaction } from '../../../src/deps.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { disableEndpoint } from '../../../src/webhooks/endpoint-end.ts'
import { createWebhookEndpoint, listWebhookEndpoints, testWebhookEndpoint } from '../../../src/webhooks/endpoints.ts'
import type { Browser } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { sweepNow } from '../../support/sweep.ts'
import {
  failsForTenMinutes,
  type Receiver,
  startReceiver,
  tryDue,
  verify,
  webhooksOf,
} from '../../support/webhook-receiver.ts'

let world: World
let receiver: Receiver
beforeEach(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  receiver = await startReceiver()
})
afterEach(async () => {
  await world.close()
  await receiver.close()
})

/** Makes an endpoint as `xconnect webhook create` does. */
async function create(): Promise<{ id: string; secret: string }> {
  const webhookEgress = createWebhookEgress({ policy: 'LOOPBACK', deadlineSeconds: 5 })
  const deps = { db: world.db(), clock: world.clock, config: world.config, webhookEgress }
  const input = { url: receiver.url, description: null, types: null }
  const { endpoint, secret } = await createWebhookEndpoint(deps, OPERATOR_ID, input)
  await webhookEgress.close()
  return { id: endpoint.id, secret }
}

const show = (person: Browser, visibility: string) => person.api('set-link-visibility', { input: { visibility } })
const arrived = (count: number) => vi.waitFor(() => expect(receiver.received).toHaveLength(count), { timeout: 30_000 })
const deliveries = () => world.db().select().from(webhookDeliveries)

test('the operator’s endpoint receives account events while the user shows their accounts, and no other events', async () => {
  const { secret } = await create()
  const person = await world.signedIn()
  const hidden = await connectAccount(world, { person })
  await show(person, 'INTEGRATORS')
  const shown = await connectAccount(world, { person })
  await shown.post()
  await hidden.disconnect()
  await arrived(2)
  expect(await deliveries()).toHaveLength(2)
  await show(person, 'NOBODY')
  await shown.disconnect()
  await sweepNow(world)
  // Those of the time in which the accounts were shown are deleted too.
  expect(await deliveries()).toEqual([])
  expect(receiver.received).toHaveLength(2)
  const messages = receiver.received.map((request) => verify(world, secret, request))
  expect(messages.map(({ type, data }) => [type, data.accountId]).toSorted()).toEqual([
    ['account.connected', shown.id],
    ['account.disconnected', hidden.id],
  ])
})

test('pending deliveries are dropped when the user hides their accounts', async () => {
  await create()
  const person = await world.signedIn()
  await show(person, 'INTEGRATORS')
  receiver.respondWith(failsForTenMinutes)
  await connectAccount(world, { person })
  await arrived(1)
  await vi.waitFor(async () => expect(await deliveries()).toMatchObject([{ status: 'PENDING', lastError: 'STATUS' }]), {
    timeout: 30_000,
  })
  await show(person, 'NOBODY')
  receiver.respondWith({ status: 204 })
  world.advance(600)
  await tryDue(world)
  await vi.waitFor(async () => expect(await deliveries()).toEqual([]), { timeout: 30_000 })
  expect(receiver.received).toHaveLength(1)
})

test('an endpoint of the operator belongs to no person, and receives the operator’s own events', async () => {
  const { id, secret } = await create()
  const webhooks = webhooksOf(await world.signedIn())
  expect(await webhooks.list()).toEqual([])
  expect(await webhooks.rotate(id)).toMatchObject({ userErrors: [{ code: 'WEBHOOK_ENDPOINT_NOT_FOUND' }] })
  expect(await webhooks.remove(id)).toMatchObject({ userErrors: [{ code: 'WEBHOOK_ENDPOINT_NOT_FOUND' }] })
  const other = await create()
  const deps = { db: world.db(), clock: world.clock }
  await testWebhookEndpoint(deps, OPERATOR_ID, id)
  // A command tells no gateway, which finds its deliveries within seconds.
  await arrived(1)
  const [endpoint] = (await listWebhookEndpoints(deps, OPERATOR_ID)).filter((found) => found.id === other.id)
  if (endpoint === undefined) throw new Error('It is not listed')
  await transaction(deps, (deps) => disableEndpoint(deps, endpoint, 'GONE'))
  await arrived(2)
  expect(receiver.received.map((request) => verify(world, secret, request))).toMatchObject([
    { type: 'webhook.test', data: { userId: null, webhookEndpointId: id } },
    { type: 'webhook.disabled', data: { userId: null, webhookEndpointId: other.id, reason: 'GONE' } },
  ])
  expect(await world.db().$count(webhookEndpoints, eq(webhookEndpoints.userId, OPERATOR_ID))).toBe(2)
})
