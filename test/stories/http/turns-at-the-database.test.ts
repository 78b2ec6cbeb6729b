// Greedy callers and their neighbours at a database that has become slow, with the pool and the queue
// of a gateway.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { createUserSecret } from '../../../src/auth/user-secret.ts'
import { cookieOf } from '../../support/browser.ts'
import { databaseKind } from '../../support/database.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { type Instance, openListeningInstance } from '../../support/instance.ts'

const GREEDY = '203.0.113.1'
const NEIGHBOUR = '203.0.113.2'
const NEIGHBOURS_REQUESTS = 10

let world: World
let instance: Instance
let app: ReturnType<typeof createApp>
beforeAll(async () => {
  world = await startWorld()
  instance = await openListeningInstance(world)
  // An instance with the pool of the world's gateway, and its queue.
  app = createApp({ ...instance.deps, db: world.db() })
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

type Sent = { headers?: Record<string, string>; path?: string; query?: string }

async function send(address: string, { headers = {}, path = '/graphql', query }: Sent) {
  const init =
    query === undefined
      ? { method: path === '/graphql' ? 'POST' : 'GET', headers }
      : {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', ...headers },
          body: JSON.stringify({ query }),
        }
  const env = { incoming: { socket: { remoteAddress: address } } }
  const response = await app.fetch(new Request(`${world.url}${path}`, init), env)
  return { status: response.status, retryAfter: response.headers.get('retry-after'), text: await response.text() }
}

const madeUp = () => ({ cookie: `xconnect_session=${createUserSecret(crypto.randomUUID())}` })

/**
 * Keeps the tables that the greedy callers read locked while `work` runs. The embedded database does
 * nothing else meanwhile.
 */
async function whileLocked(work: () => Promise<void>): Promise<void> {
  const locked = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const holding = world.db().transaction(async (transaction) => {
    await transaction.execute(sql`lock table connected_accounts, sessions in access exclusive mode`)
    locked.resolve()
    await released.promise
  })
  await locked.promise
  await work().finally(() => released.resolve())
  await holding
}

test('G-23 while a greedy user and 300 requests of a greedy address wait, the next turns are those of their neighbours, and none of these fails', async () => {
  const [greedyUser, neighbour] = [await world.signedIn(), await world.signedIn('tomasz-k')]
  const ACCOUNTS = '{ connectedAccounts { id } }'
  const TWEETS = '{ tweets(first: 1) { edges { cursor } } }'
  // From here on it is known who they are, and their rate limits are in memory.
  await send(GREEDY, { headers: cookieOf(greedyUser), query: ACCOUNTS })
  await send(NEIGHBOUR, { headers: cookieOf(neighbour), query: TWEETS })
  await send(GREEDY, { headers: madeUp(), query: '{ viewer { id } }' })
  await send(NEIGHBOUR, { headers: madeUp(), query: '{ viewer { id } }' })

  let ofGreedy = 0
  const refused: Awaited<ReturnType<typeof send>>[] = []
  const neighbours: Promise<{ status: number; text: string; ofGreedy: number }>[] = []
  const greedy: Promise<unknown>[] = []
  const note = async (sent: ReturnType<typeof send>) => {
    const response = await sent
    ofGreedy += 1
    if (response.status === 503) refused.push(response)
  }
  const asNeighbour = async (sent: ReturnType<typeof send>) => ({
    ...(await sent),
    ofGreedy: ofGreedy - refused.length,
  })
  await whileLocked(async () => {
    for (let count = 0; count < 150; count++)
      greedy.push(note(send(GREEDY, { headers: cookieOf(greedyUser), query: ACCOUNTS })))
    for (let count = 0; count < 300; count++)
      greedy.push(note(send(GREEDY, { headers: madeUp(), query: '{ viewer { id } }' })))
    // More than the room has for one caller: all others wait.
    await expect.poll(() => refused.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(80)
    for (let count = 0; count < NEIGHBOURS_REQUESTS; count++)
      neighbours.push(asNeighbour(send(NEIGHBOUR, { headers: cookieOf(neighbour), query: TWEETS })))
    neighbours.push(asNeighbour(send(NEIGHBOUR, { headers: madeUp(), query: '{ viewer { id } }' })))
    // The embedded database does not respond while its only connection is in use.
    if (databaseKind() === 'postgres') expect(await send(NEIGHBOUR, { path: '/readyz' })).toMatchObject({ status: 200 })
    else await new Promise((resolve) => setTimeout(resolve, 50))
  })

  const responses = await Promise.all(neighbours)
  expect(responses.map(({ status }) => status)).toEqual(Array(NEIGHBOURS_REQUESTS + 1).fill(200))
  expect(responses.filter(({ text }) => text.includes('errors'))).toEqual([])
  // Each turn of theirs is followed by one of the other kinds and callers.
  const before = Math.max(...responses.map(({ ofGreedy }) => ofGreedy))
  expect(before).toBeLessThanOrEqual(NEIGHBOURS_REQUESTS * 4)
  expect(await send(NEIGHBOUR, { path: '/readyz' })).toMatchObject({ status: 200 })
  await Promise.all(greedy)
  expect(ofGreedy).toBe(450)
  expect(new Set(refused.map(({ retryAfter }) => retryAfter))).toEqual(new Set(['5']))
  expect(refused.length).toBeLessThan(200)
})
