// What listing webhook deliveries costs where the history is long: rows read are counted, as EXPLAIN
// finds them.
import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MAX_EXAMINED_DELIVERIES } from '../../../src/webhooks/deliveries.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { newPerson } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance } from '../../support/instance.ts'
import { countRowsRead } from '../../support/rows-read.ts'

const HISTORY = 2_500
/** The first row that each partition offers. */
const LOOKS = 10
/** Where little more than a page is left, the planner may as well sort all of it. */
const MAX_SORTED = 2 * MAX_EXAMINED_DELIVERIES
// The newest has the number 1. Few are dead, few are pending, and few are not of sessions.
const DEAD = [2, 1_200, 2_400]
const PENDING = [1_500, 2_300]
const TWEETS = [3, 1_100, 2_499]

type Page = {
  edges: { node: { id: string; status: string; eventType: string } }[]
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null }
}

const endpointId = randomUUID()
/** Other endpoints, with as many deliveries at the same times. */
const otherIds = Array.from({ length: 12 }, () => randomUUID())
let world: World
let instance: Instance
let person: Browser
let token: string

beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  person = await newPerson(world)
  const userId = (await person.api<{ viewer: { id: string } }>('viewer')).viewer.id
  const input = { name: 'poller', scopes: ['events:read'] }
  token = (await person.api('create-api-token', { input })).createApiToken.secret ?? ''
  const isIn = (numbers: number[]) => sql`n in (${sql.raw(numbers.join())})`
  const run = (query: ReturnType<typeof sql>) => world.db().execute(query)
  for (const id of [endpointId, ...otherIds])
    await run(sql`insert into webhook_endpoints (user_id, id, url, secret_sealed, created_at)
      values (${userId}, ${id}, 'https://example.com', 'sealed', now())`)
  const moment = sql`xconnect_now() - n * interval '7 minutes'`
  await run(sql`insert into events (user_id, id, position, type, occurred_at)
    select ${userId}, md5(n::text)::uuid, 1000000 - n, case when ${isIn(TWEETS)} then 'tweet.posted' else 'session.started' end, ${moment}
    from generate_series(1, ${HISTORY}::int) n`)
  await run(sql`insert into webhook_deliveries (user_id, id, endpoint_id, event_id, status, attempts, created_at, next_attempt_at, delivered_at)
    select ${userId}, gen_random_uuid(), endpoint.id, md5(n::text)::uuid,
      case when ${isIn(DEAD)} then 'DEAD' when ${isIn(PENDING)} then 'PENDING' else 'DELIVERED' end, 1, ${moment},
      case when ${isIn(PENDING)} then now() + interval '1 day' end,
      case when not ${isIn([...DEAD, ...PENDING])} then now() end
    from generate_series(1, ${HISTORY}::int) n cross join webhook_endpoints endpoint`)
  await run(sql`analyze`)
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

/** Returns a page, and the rows of deliveries and events that its statements read. */
async function read(list: string, headers: Record<string, string> = cookieOf(person)) {
  let page: Page | undefined
  const statements = await instance.statementsOf(async () => {
    const { data, errors } = await instance.ask(
      `{ webhookDeliveries(webhookEndpointId: "${endpointId}", ${list}) {
        edges { node { id status eventType } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
      headers,
    )
    expect(errors).toEqual([])
    page = data?.webhookDeliveries as Page
  })
  if (page === undefined) throw new Error('There is no page')
  const lists = statements.filter(({ text }) => text.includes('from "webhook_deliveries"'))
  const rows = await countRowsRead(world, 'webhook_deliveries', lists)
  return { ...page, rows, events: await countRowsRead(world, 'events', lists) }
}

/** Reads a list page by page, and returns what it has, with the number of pages. */
async function readAll(list: string, side: 'first' | 'last', headers?: Record<string, string>) {
  const nodes: Page['edges'][number]['node'][] = []
  let cursor: string | null = null
  for (let pages = 1; ; pages++) {
    const at: string = cursor === null ? '' : `, ${side === 'first' ? 'after' : 'before'}: "${cursor}"`
    const { edges, pageInfo, rows } = await read(`${list} ${side}: 2${at}`, headers)
    expect(rows).toBeLessThanOrEqual(MAX_SORTED + LOOKS)
    const page = edges.map(({ node }) => node)
    if (side === 'first') nodes.push(...page)
    else nodes.unshift(...page)
    cursor = side === 'first' ? pageInfo.endCursor : pageInfo.startCursor
    if (!(side === 'first' ? pageInfo.hasNextPage : pageInfo.hasPreviousPage)) return { nodes, pages }
  }
}

describe('G-33 a page of webhook deliveries reads a bounded part of the history', () => {
  test('dead ones are found by an index, and all are on one page', async () => {
    const { edges, pageInfo, rows } = await read('status: DEAD, first: 100')
    expect(edges.map(({ node }) => node.status)).toEqual(Array(DEAD.length).fill('DEAD'))
    expect(pageInfo).toMatchObject({ hasNextPage: false })
    expect(rows).toBeLessThanOrEqual(DEAD.length + LOOKS)
  })

  test('without a filter it reads what it returns', async () => {
    const { edges, rows, events } = await read('first: 20')
    expect(edges).toHaveLength(20)
    expect(rows).toBeLessThanOrEqual(MAX_EXAMINED_DELIVERIES + LOOKS)
    expect(events).toBeLessThanOrEqual(21 + LOOKS)
  })

  test.each(['PENDING', 'DELIVERED'])('with status %s it passes over a thousand at most', async (status) => {
    const { rows, events } = await read(`status: ${status}, last: 100`)
    expect(rows).toBeLessThanOrEqual(MAX_EXAMINED_DELIVERIES + LOOKS)
    expect(events).toBeLessThanOrEqual(101 + LOOKS)
  })

  test('and so does a page for an API token, which reads none of sessions', async () => {
    const { edges, pageInfo, rows, events } = await read('first: 20', bearer(token))
    expect(edges.map(({ node }) => node.eventType)).toEqual(['TWEET_POSTED'])
    expect(pageInfo.hasNextPage).toBe(true)
    expect(rows).toBeLessThanOrEqual(MAX_EXAMINED_DELIVERIES + LOOKS)
    expect(events).toBeLessThanOrEqual(MAX_EXAMINED_DELIVERIES + LOOKS)
  })
})

describe('a client that pages through what its filter passes over', () => {
  test.each(['first', 'last'] as const)('gets every matching delivery once and in order, with %s', async (side) => {
    const { nodes, pages } = await readAll('status: PENDING,', side)
    expect(nodes.map(({ status }) => status)).toEqual(Array(PENDING.length).fill('PENDING'))
    expect(pages).toBe(Math.ceil(HISTORY / MAX_EXAMINED_DELIVERIES))
    const all = await readAll('', side, bearer(token))
    expect(all.nodes.map(({ eventType }) => eventType)).toEqual(Array(TWEETS.length).fill('TWEET_POSTED'))
    expect(new Set(all.nodes.map(({ id }) => id)).size).toBe(TWEETS.length)
  })
})
