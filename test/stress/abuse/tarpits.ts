// Webhook receivers that never respond, with a flood of deliveries to each, and the webhooks of an
// ordinary user meanwhile.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { listenLocally } from '../../support/local-server.ts'
import { percentile } from '../../support/percentile.ts'
import { atMost, exactly, type Figure } from '../chaos/figures.ts'
import type { Victim } from './victim.ts'

const WEBHOOKS = 40
const LATEST_SECONDS = 20
const MAX_MEDIAN_RATIO = 3
const MAX_P99_RATIO = 10
const PAUSE_MILLISECONDS = 25
// Those of the prompt lane that have moved, and the workers of the slow lane.
const MAX_HANGING = 28

type Waits = { milliseconds: number[]; lost: number }

/**
 * Prepares the endpoints, and measures the webhooks of the ordinary user without abuse.
 * @param count the number of deliveries to all tarpits.
 * @returns the abuse, which ends with its figures.
 */
export async function prepareTarpits(victim: Victim, count: number): Promise<() => Promise<Figure[]>> {
  let hanging = 0
  const tarpit = await startReceiver(() => {
    hanging += 1
  })
  const well = await startReceiver((_, response) => response.writeHead(204).end())
  const [ordinary = '', ...greedy] = victim.cookies
  const endpoint = await createEndpoint(victim, ordinary, well.url)
  const quiet = await timeWebhooks(victim, ordinary, endpoint, well.arrival)
  return async () => {
    const tarpits = await Promise.all(
      greedy.map(async (cookie) => ({ cookie, id: await createEndpoint(victim, cookie, tarpit.url) })),
    )
    const flood = async ({ cookie, id }: (typeof tarpits)[number]) => {
      for (let number = 0; number < count / greedy.length; number++) await sendTest(victim, cookie, id)
    }
    const flooding = Promise.all(tarpits.map(flood))
    const meanwhile = await timeWebhooks(victim, ordinary, endpoint, well.arrival)
    await flooding
    const atOnce = hanging
    await Promise.all([tarpit.close(), well.close()])
    const ratio = (part: number) => percentile(meanwhile.milliseconds, part) / percentile(quiet.milliseconds, part)
    return [
      exactly(`webhooks of ${2 * WEBHOOKS} of another user that did not arrive`, 0, quiet.lost + meanwhile.lost),
      atMost(`requests to the ten tarpits, of ${count} deliveries`, MAX_HANGING, atOnce),
      atMost('median of these webhooks to the quiet one', MAX_MEDIAN_RATIO, ratio(0.5)),
      atMost('p99 of these webhooks to the quiet one', MAX_P99_RATIO, ratio(0.99)),
    ]
  }
}

async function timeWebhooks(
  victim: Victim,
  cookie: string,
  endpointId: string,
  arrival: () => Promise<unknown>,
): Promise<Waits> {
  const milliseconds: number[] = []
  let lost = 0
  for (let number = 0; number < WEBHOOKS; number++) {
    const arrived = arrival()
    const startedAt = performance.now()
    await sendTest(victim, cookie, endpointId)
    const isLate = await Promise.race([arrived, sleep(LATEST_SECONDS * 1000, 'late', { ref: false })])
    if (isLate === 'late') lost += 1
    milliseconds.push(performance.now() - startedAt)
    await sleep(PAUSE_MILLISECONDS)
  }
  return { milliseconds, lost }
}

const payloadShape = z.object({
  data: z.record(z.string(), z.object({ webhookEndpoint: z.object({ id: z.string() }) })),
})

async function createEndpoint(victim: Victim, cookie: string, url: string): Promise<string> {
  return mutate(victim, cookie, 'createWebhookEndpoint', 'CreateWebhookEndpointInput', { url })
}

async function sendTest(victim: Victim, cookie: string, webhookEndpointId: string): Promise<void> {
  await mutate(victim, cookie, 'testWebhookEndpoint', 'TestWebhookEndpointInput', { webhookEndpointId })
}

/** Sends a mutation in a session, and returns the id of its endpoint. */
async function mutate(victim: Victim, cookie: string, field: string, type: string, input: object): Promise<string> {
  const query = `mutation ($input: ${type}!) { ${field}(input: $input) { webhookEndpoint { id } } }`
  const response = await fetch(`${victim.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', cookie },
    body: JSON.stringify({ query, variables: { input } }),
  })
  const { data } = payloadShape.parse(await response.json())
  return data[field]?.webhookEndpoint.id ?? ''
}

async function startReceiver(respond: (request: IncomingMessage, response: ServerResponse) => unknown) {
  const server = createServer((request, response) => {
    request.resume()
    respond(request, response)
    server.emit('arrival')
  })
  const url = `http://127.0.0.1:${await listenLocally(server)}/`
  const close = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return { url, arrival: () => once(server, 'arrival'), close }
}
