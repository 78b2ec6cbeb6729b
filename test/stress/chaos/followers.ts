// Readers that follow the events of each user while faults strike: one polls, one streams, one
// receives webhooks.
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { z } from 'zod'
import { openStream } from '../../support/event-stream.ts'
import { readOperation } from '../../support/operations.ts'
import { startReceiver } from '../../support/webhook-receiver.ts'
import type { ChaosAccount } from './accounts.ts'
import type { Arena } from './arena.ts'

/** The readers of all users. */
export type Followers = {
  /**
   * Waits until the readers have everything that was written, and ends them. Returns a sentence for
   * each of them that has missed an event, got one twice, or got one after a later one.
   */
  stop(): Promise<string[]>
}

type Reader = {
  cookie: string
  userId: string
  /** The cursor and the position from which it reads. */
  after: string | null
  position: number
  polled: string[]
  streamed: string[]
}

type Ask = (operation: string, variables: object) => Promise<unknown>

const PAUSE_MILLISECONDS = 200
const PAGE = 20
const REQUEST_MILLISECONDS = 10_000
// The next try of a delivery whose process was killed comes after the deadline of the first.
const SETTLE_SECONDS = 240

const viewerShape = z.object({ data: z.object({ viewer: z.object({ id: z.string() }) }) })
const pageShape = z.object({
  data: z.object({
    events: z.object({
      edges: z.array(z.object({ node: z.object({ id: z.string() }) })),
      pageInfo: z.object({ endCursor: z.string().nullable() }),
    }),
  }),
})
const endpointShape = z.object({
  data: z.object({ createWebhookEndpoint: z.object({ webhookEndpoint: z.object({ id: z.string() }) }) }),
})

/** Starts the readers, each of whose requests goes to a random process. */
export async function startFollowers(arena: Arena, accounts: readonly ChaosAccount[]): Promise<Followers> {
  const receiver = await startReceiver()
  const ended = new AbortController()
  const pickUrl = () => arena.random.pick(arena.fleet.slots).url
  const askAs =
    (cookie: string): Ask =>
    (operation, variables) =>
      send(pickUrl(), cookie, operation, variables, ended.signal)
  const cookies = [...new Set(accounts.map(({ cookie }) => cookie))]
  const readers = await Promise.all(cookies.map((cookie) => createReader(arena, cookie, askAs(cookie), receiver.url)))
  const running = readers.flatMap((reader) => [
    poll(reader, askAs(reader.cookie), ended.signal),
    stream(reader, pickUrl, ended.signal),
  ])
  const judgeReader = async ({ userId, position, polled, streamed }: Reader) => {
    const written = await arena.sql<{ id: string; type: string }[]>`
      select id, type from events where user_id = ${userId} and position > ${position} order by position`
    const ids = written.map(({ id }) => id)
    const own = receiver.received.filter(({ path }) => path.endsWith(userId))
    const received = new Set(own.map(({ headers }) => headers['webhook-id'] ?? ''))
    return [
      describeDifference(`A poll of user ${userId}`, polled, ids),
      describeDifference(`A stream of user ${userId}`, streamed, ids),
      ...ids.filter((id) => !received.has(id)).map((id) => `The endpoint of user ${userId} has not received ${id}.`),
    ].filter((fault) => fault !== null)
  }
  return {
    async stop() {
      let faults: string[] = []
      for (const endsAt = performance.now() + SETTLE_SECONDS * 1000; performance.now() < endsAt; await sleep(1_000)) {
        faults = (await Promise.all(readers.map(judgeReader))).flat()
        if (faults.length === 0) break
      }
      ended.abort()
      await Promise.all(running)
      await receiver.close()
      return faults
    },
  }
}

async function createReader({ sql }: Arena, cookie: string, ask: Ask, receiverUrl: string): Promise<Reader> {
  const userId = viewerShape.parse(await ask('viewer', {})).data.viewer.id
  endpointShape.parse(await ask('create-webhook-endpoint', { input: { url: `${receiverUrl}/${userId}` } }))
  const { pageInfo } = pageShape.parse(await ask('events', { last: 1 })).data.events
  const [counter] = await sql<{ position: number }[]>`
    select position::int as position from event_positions where user_id = ${userId}`
  return { cookie, userId, after: pageInfo.endCursor, position: counter?.position ?? 0, polled: [], streamed: [] }
}

async function poll(reader: Reader, ask: Ask, ended: AbortSignal): Promise<void> {
  let { after } = reader
  while (!ended.aborted) {
    try {
      const { edges, pageInfo } = pageShape.parse(await ask('events', { first: PAGE, after })).data.events
      reader.polled.push(...edges.map(({ node }) => node.id))
      after = pageInfo.endCursor ?? after
    } catch {
      // The process or the database is away: the same page is read again.
    }
    await sleep(PAUSE_MILLISECONDS)
  }
}

async function stream(reader: Reader, pickUrl: () => string, ended: AbortSignal): Promise<void> {
  let { after } = reader
  while (!ended.aborted) {
    try {
      const opened = await openStream(pickUrl(), { cookie: reader.cookie }, { after }, ended)
      const earlier = reader.streamed
      const taking = setInterval(() => {
        reader.streamed = [...earlier, ...opened.edges.map(({ node }) => node.id)]
      }, PAUSE_MILLISECONDS)
      await opened.ended
      clearInterval(taking)
      reader.streamed = [...earlier, ...opened.edges.map(({ node }) => node.id)]
      after = opened.cursor() ?? after
    } catch {
      // The process is away: the stream is opened at another.
    }
    await sleep(PAUSE_MILLISECONDS)
  }
}

async function send(
  url: string,
  cookie: string,
  operation: string,
  variables: object,
  ended: AbortSignal,
): Promise<unknown> {
  const response = await request(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie, 'sec-fetch-site': 'same-origin' },
    body: JSON.stringify({ query: readOperation(operation), variables }),
    signal: AbortSignal.any([ended, AbortSignal.timeout(REQUEST_MILLISECONDS)]),
  })
  return response.body.json()
}

function describeDifference(name: string, read: readonly string[], written: readonly string[]): string | null {
  const at = written.findIndex((id, index) => read[index] !== id)
  if (at === -1 && read.length === written.length) return null
  const index = at === -1 ? written.length : at
  return `${name} has ${read.length} of ${written.length} events, and at ${index} ${read[index]} instead of ${written[index]}.`
}
