import { createServer } from 'node:http'
import { sql } from 'drizzle-orm'
import { Webhook } from 'standardwebhooks'
import { expect, vi } from 'vitest'
import { webhookTurns } from '../../src/db/tables.ts'
import type { Browser, UserError } from './browser.ts'
import type { World } from './harness.ts'
import { closeServer, listenLocally } from './local-server.ts'
import { wakeJobs } from './sweep.ts'

/** One received request. */
export type Received = { path: string; headers: Record<string, string>; body: string }

/** The payload of a message. */
export type Message = { type: string; timestamp: string; data: Record<string, string | null> }

export type EndpointView = {
  id: string
  url: string
  description: string | null
  types: string[] | null
  status: string
  disabledReason: string | null
  failingSince: string | null
  slowUntil: string | null
  previousSecretEndsAt: string | null
}

export type DeliveryView = {
  id: string
  eventId: string
  eventType: string
  status: string
  attempts: number
  lastHttpStatus: number | null
  lastError: string | null
  nextAttemptAt: string | null
  deliveredAt: string | null
}

/** Sets the receiver's response; null: it never responds. */
type ReceivedResponse = { status: number; headers?: Record<string, string> } | null

/**
 * A failure after which no attempt is made for ten minutes. Without the header the first retry
 * comes after a random delay from 0 to 30 seconds, perhaps before the test has looked.
 */
export const failsForTenMinutes = { status: 503, headers: { 'retry-after': '600' } } as const

export type Receiver = Awaited<ReturnType<typeof startReceiver>>

/** Starts a receiver that responds with 204 until `respondWith` changes that. */
export async function startReceiver() {
  const received: Received[] = []
  let respond: (request: Received) => ReceivedResponse = () => ({ status: 204 })
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const arrived = {
        path: request.url ?? '',
        headers: request.headers as Record<string, string>,
        body: Buffer.concat(chunks).toString(),
      }
      received.push(arrived)
      const given = respond(arrived)
      if (given !== null) response.writeHead(given.status, given.headers).end()
    })
  })
  return {
    url: `http://127.0.0.1:${await listenLocally(server)}/hook`,
    received,
    types: () => received.map(({ body }) => (JSON.parse(body) as Message).type),
    respondWith: (next: ReceivedResponse | ((request: Received) => ReceivedResponse)) => {
      respond = typeof next === 'function' ? next : () => next
    },
    close: () => closeServer(server),
  }
}

/**
 * Returns a message's payload, if its signature is valid at the world's time.
 * @throws WebhookVerificationError otherwise.
 */
export function verify(world: World, secret: string, { body, headers }: Received): Message {
  vi.useFakeTimers({ now: world.sandbox.control.now(), toFake: ['Date'] })
  try {
    return new Webhook(secret).verify(body, headers) as Message
  } finally {
    vi.useRealTimers()
  }
}

/** Makes the gateway look for the deliveries that are due, since the test has moved the clock. */
export async function tryDue(world: World): Promise<void> {
  await wakeJobs(world)
}

/** Gives all users a turn now, and waits until the gateway has taken them. */
export async function tryEarly(world: World): Promise<void> {
  const early = sql`${world.clock.sqlNow()} - interval '1 second'`
  await world.db().update(webhookTurns).set({ promptAt: early })
  await wakeJobs(world)
  const isEarly = sql`${webhookTurns.promptAt} <= ${early}`
  await vi.waitFor(async () => expect(await world.db().$count(webhookTurns, isEarly)).toBe(0), { timeout: 30_000 })
}

type EndpointPayload = {
  webhookEndpoint: EndpointView | null
  secret?: string | null
  userErrors: UserError[]
}

/** Manages a user's webhooks through the API. */
export function webhooksOf(person: Browser) {
  const endpointOf = async (name: string, field: string, input: Record<string, unknown>) => {
    const result = await person.api<Record<string, EndpointPayload>>(name, { input })
    const payload = result[field]
    if (payload === undefined) throw new Error(`No ${field} in the response`)
    return payload
  }
  const list = async () => (await person.api('webhook-endpoints')).webhookEndpoints
  return {
    tryToCreate: (input: Record<string, unknown>) =>
      endpointOf('create-webhook-endpoint', 'createWebhookEndpoint', input),
    async create(input: Record<string, unknown>): Promise<{ id: string; secret: string }> {
      const { webhookEndpoint: endpoint, secret, userErrors } = await this.tryToCreate(input)
      if (endpoint === null || !secret) throw new Error(`Refused: ${userErrors[0]?.code}`)
      return { id: endpoint.id, secret }
    },
    list,
    show: async (id: string) => (await list()).find((endpoint) => endpoint.id === id),
    update: (input: Record<string, unknown>) => endpointOf('update-webhook-endpoint', 'updateWebhookEndpoint', input),
    rotate: (webhookEndpointId: string) =>
      endpointOf('rotate-webhook-secret', 'rotateWebhookSecret', { webhookEndpointId }),
    remove: (webhookEndpointId: string) =>
      endpointOf('delete-webhook-endpoint', 'deleteWebhookEndpoint', { webhookEndpointId }),
    test: (webhookEndpointId: string) =>
      endpointOf('test-webhook-endpoint', 'testWebhookEndpoint', { webhookEndpointId }),
    async deliveries(webhookEndpointId: string, page: Record<string, unknown> = {}): Promise<DeliveryView[]> {
      const { webhookDeliveries } = await person.api('webhook-deliveries', { webhookEndpointId, ...page })
      return webhookDeliveries.edges.map(({ node }) => node)
    },
    async replay(webhookDeliveryId: string) {
      const { replayWebhookDelivery } = await person.api('replay-webhook-delivery', { input: { webhookDeliveryId } })
      return replayWebhookDelivery
    },
  }
}
