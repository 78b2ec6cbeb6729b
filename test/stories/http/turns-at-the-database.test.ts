// Greedy callers and their neighbours at a database that has become slow, with the pool and the queue
// of a gateway.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../../../src/app.ts'
import { createUserSecret } from '../../../src/auth/user-secret.ts'
import { cookieOf } from '../../support/browser.ts'
import { databaseKind } from '../../support/database.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openListeningInstance } from '../../support/instance.ts'
import { serveInstance } from '../../support/served-instance.ts'

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
    // A slow machine takes long to send what has to wait.
    await transaction.execute(sql`set local idle_in_transaction_session_timeout = 0`)
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
    if (databaseKind() === 'postgres')
      // The first time its connection is opened, within two seconds or at the next try.
      await expect.poll(async () => (await send(NEIGHBOUR, { path: '/readyz' })).status, { timeout: 60_000 }).toBe(200)
    else await new Promise((resolve) => setTimeout(resolve, 50))
  })

  const responses = await Promise.all(neighbours)
  expect(responses.map(({ status }) => status)).toEqual(Array(NEIGHBOURS_REQUESTS + 1).fill(200))
  expect(responses.filter(({ text }) => text.includes('errors'))).toEqual([])
  expect(await send(NEIGHBOUR, { path: '/readyz' })).toMatchObject({ status: 200 })
  await Promise.all(greedy)
  expect(ofGreedy).toBe(450)
  // Each turn of theirs is followed by one of the other kinds and callers. Without turns they would
  // be behind all that waited.
  const before = Math.max(...responses.map(({ ofGreedy }) => ofGreedy))
  expect(before).toBeLessThan((450 - refused.length) / 3)
  expect(new Set(refused.map(({ retryAfter }) => retryAfter))).toEqual(new Set(['5']))
  expect(refused.length).toBeLessThan(200)
  // One line in ten seconds, and not one for each of them.
  const lines = instance
    .logs()
    .split('\n')
    .filter((line) => line.includes('too many queries wait for the database'))
  expect(lines.length).toBeGreaterThan(0)
  expect(lines.length).toBeLessThanOrEqual(refused.length / 10)
  expect(instance.logs()).not.toContain('A request failed with an internal error')
})

describe('G-23 each query has the turns of its caller', () => {
  const ACCOUNTS = JSON.stringify({ query: '{ connectedAccounts { id } }' })
  const WHO = JSON.stringify({ query: '{ viewer { id } }' })
  const json = { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' }
  let served: Awaited<ReturnType<typeof serveInstance>>
  let person: Awaited<ReturnType<World['signedIn']>>
  let userId: string
  let token: string
  beforeAll(async () => {
    served = await serveInstance(instance)
    person = await world.signedIn()
    userId = (await person.api('viewer')).viewer?.id ?? ''
    token = await makeToken(person, ['accounts:read', 'events:read'])
    // From here on the instance knows both secrets.
    for (const headers of [cookieOf(person), bearer(token)]) await post('/graphql', headers, WHO)
  })
  afterAll(() => served.close())

  const post = async (path: string, headers: Record<string, string>, body: string) => {
    const response = await fetch(`${served.url}${path}`, { method: 'POST', headers: { ...json, ...headers }, body })
    await response.text()
  }

  test.each(['/graphql', '/graphql?from=router'])('by %s, whether its viewer is in memory or not', async (path) => {
    for (const headers of [cookieOf(person), bearer(token)]) {
      const { viewers } = instance.deps
      viewers.stopKeeping()
      const lookedUp = await instance.callersOf(() => post(path, headers, ACCOUNTS))
      for (const listener of viewers.listeners.values()) listener(null, async () => {})
      await post(path, headers, ACCOUNTS)
      const kept = await instance.callersOf(() => post(path, headers, ACCOUNTS))
      // The look-up itself has the turns of the secret, which the instance knows.
      expect(new Set([...lookedUp, ...kept].map(({ kind }) => kind))).toEqual(new Set(['IDENTIFIED']))
      for (const queries of [lookedUp, kept]) expect(queries.at(-1)).toMatchObject({ subject: userId })
    }
  })

  test.each(['/graphql', '/graphql?from=router'])('by %s of nobody: those of the address', async (path) => {
    const queries = await instance.callersOf(() => post(path, madeUp(), WHO))
    expect(queries.length).toBeGreaterThan(0)
    for (const { kind, subject } of queries) expect([kind, subject]).toEqual(['ANONYMOUS', '127.0.0.1'])
  })

  test('of /readyz: its own', async () => {
    const queries = await instance.callersOf(() => instance.request('/readyz'))
    expect(new Set(queries.map(({ kind }) => kind))).toEqual(new Set(['PROBE']))
  })

  test('of an event stream for as long as it is open: those of its user', async () => {
    const stream = await openStream(served.url, bearer(token))
    await expect.poll(() => instance.deps.eventStreams.list().length).toBe(1)
    const queries = await instance.callersOf(async () => {
      await makeToken(person, ['accounts:read'])
      instance.deps.eventStreams.notify([userId])
      await expect.poll(() => stream.edges.length).toBeGreaterThan(0)
    })
    await stream.hangUp()
    const reads = queries.filter(({ text }) => /from "(events|api_tokens)"/.test(text))
    expect(reads.length).toBeGreaterThan(0)
    for (const { kind, subject } of reads) expect([kind, subject]).toEqual(['IDENTIFIED', userId])
  })
})

async function makeToken(person: Awaited<ReturnType<World['signedIn']>>, scopes: string[]): Promise<string> {
  const { createApiToken } = await person.api('create-api-token', { input: { name: 'bot', scopes } })
  return createApiToken.secret ?? ''
}
