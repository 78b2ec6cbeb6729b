// What reading events costs where the history is long: rows read are counted, as EXPLAIN finds them.
import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DatabaseTimeoutError } from '../../../src/db/outage.ts'
import { eventTypes } from '../../../src/db/tables.ts'
import { AppError } from '../../../src/errors.ts'
import { MAX_EXAMINED_EVENTS } from '../../../src/events/page-statement.ts'
import type { Event } from '../../../src/events/read.ts'
import { followEvents } from '../../../src/events/streams.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { type EventPage, newPerson, readPage } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, type Instance, openInstance, type SentStatement } from '../../support/instance.ts'
import { record } from '../../support/recorded-events.ts'
import { countRowsRead } from '../../support/rows-read.ts'

const HISTORY = 12_500
/** The first row that each partition offers, of each type. */
const LOOKS = 10

let world: World
let instance: Instance
let person: Browser
let userId: string
/** The account of three tweets: the second, the middle and the last but one of the history. */
const account = randomUUID()
const positions = [2, HISTORY / 2, HISTORY - 1]

beforeAll(async () => {
  world = await startWorld()
  instance = openInstance(world)
  await newHistory()
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

/** Signs in a person with a long history: sessions, which tokens do not read, over two months. */
async function newHistory(): Promise<void> {
  person = await newPerson(world)
  userId = (await person.api<{ viewer: { id: string } }>('viewer')).viewer.id
  const isTweet = sql`n in (${sql.join(
    positions.map((position) => sql`${position}`),
    sql`, `,
  )})`
  await world.db().execute(sql`insert into events (user_id, id, position, type, account_id, occurred_at)
    select ${userId}, gen_random_uuid(), n, case when ${isTweet} then 'tweet.posted' else 'session.started' end,
      case when ${isTweet} then ${account}::uuid end, xconnect_now() - (${HISTORY}::int - n) * interval '7 minutes'
    from generate_series(2, ${HISTORY}::int) n`)
  await world.db().execute(sql`update event_positions set position = ${HISTORY} where user_id = ${userId}`)
  await world.db().execute(sql`analyze events`)
}

const readsEvents = ({ text }: SentStatement) => text.includes('from "events"')

/** Returns the response to a query, and the rows of events that its statements read. */
async function rowsOf(query: string, headers: Record<string, string> = cookieOf(person)) {
  let data: Record<string, EventPage> = {}
  const statements = await instance.statementsOf(async () => {
    const response = await instance.ask(query, headers)
    expect(response.errors).toEqual([])
    data = response.data as Record<string, EventPage>
  })
  return { data, rows: await countRowsRead(world, 'events', statements.filter(readsEvents)) }
}

const FIELDS = 'edges { cursor node { id type } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }'

describe('G-31 a page reads rows in proportion to what it can return', () => {
  test('fifteen lists of two types in one document', async () => {
    const lists = Array.from(
      { length: 15 },
      (_, n) =>
        `e${n}: events(first: 20, types: [TWEET_POSTED, ACCOUNT_NEEDS_REAUTH]) { edges { cursor } pageInfo { hasNextPage } }`,
    )
    const { data, rows } = await rowsOf(`{ ${lists.join(' ')} }`)
    const pages = Object.values(data)
    expect(pages.map(({ edges }) => edges.length)).toEqual(Array(15).fill(positions.length))
    expect(pages[0]?.pageInfo).toMatchObject({ hasNextPage: false })
    expect(rows).toBeGreaterThanOrEqual(15 * positions.length)
    expect(rows).toBeLessThanOrEqual(15 * (positions.length + LOOKS))
  })

  test('a list of any number of types', async () => {
    for (const count of [1, 4, 9, 10, eventTypes.length]) {
      const names = eventTypes.slice(-count).map((type) => type.replace('.', '_').toUpperCase())
      for (const side of ['first', 'last']) {
        const { rows } = await rowsOf(`{ events(${side}: 100, types: [${names}]) { ${FIELDS} } }`)
        expect(rows, `${count} types`).toBeLessThanOrEqual(MAX_EXAMINED_EVENTS + LOOKS)
      }
    }
  })

  test('what an API token may not read', async () => {
    const input = { name: 'poller', scopes: ['events:read'] }
    const { createApiToken } = await person.api('create-api-token', { input })
    const { data, rows } = await rowsOf(`{ events { ${FIELDS} } }`, bearer(createApiToken.secret ?? ''))
    expect(data.events?.edges).toHaveLength(1)
    expect(data.events?.pageInfo.hasNextPage).toBe(true)
    expect(rows).toBeLessThanOrEqual(MAX_EXAMINED_EVENTS + LOOKS)
  })

  test('an account that never was', async () => {
    const { data, rows } = await rowsOf(`{ events(accountId: "${randomUUID()}") { ${FIELDS} } }`)
    expect(data.events).toMatchObject({ edges: [], pageInfo: { hasNextPage: true } })
    expect(rows).toBeLessThanOrEqual(MAX_EXAMINED_EVENTS + LOOKS)
  })
})

describe('a client that pages through what its filter passes over', () => {
  test('gets every matching event once and in order, forward', async () => {
    const seen: string[] = []
    let pages = 0
    let after: string | null = null
    for (let more = true; more; pages++) {
      const page: EventPage = await readPage(person, { first: 2, accountId: account, after })
      seen.push(...page.edges.map(({ cursor }) => cursor))
      after = page.pageInfo.endCursor
      more = page.pageInfo.hasNextPage
    }
    expect(seen).toEqual(positions.map(cursorOf))
    expect(pages).toBe(Math.ceil(HISTORY / MAX_EXAMINED_EVENTS))
  })

  test('gets them backward too', async () => {
    const seen: string[] = []
    let before: string | null = null
    for (let more = true; more; ) {
      const page: EventPage = await readPage(person, { last: 2, accountId: account, before })
      seen.unshift(...page.edges.map(({ cursor }) => cursor))
      before = page.pageInfo.startCursor
      more = page.pageInfo.hasPreviousPage
    }
    expect(seen).toEqual(positions.map(cursorOf))
  })

  test('begins with new events after the cursor of a page without one', async () => {
    await newHistory()
    const none = await readPage(person, { last: 1, accountId: randomUUID() })
    expect(none.pageInfo).toMatchObject({ hasPreviousPage: true, endCursor: cursorOf(HISTORY) })
    const after = none.pageInfo.endCursor
    await record(world, { type: 'tweet.posted', userId, accountId: account })
    const next = await readPage(person, { accountId: account, after })
    expect(next.edges.map(({ cursor }) => cursor)).toEqual([cursorOf(HISTORY + 1)])
  })
})

describe('G-31 an event stream', () => {
  let paid: number
  let streams: AsyncIterableIterator<Event>[]
  beforeEach(async () => {
    await newHistory()
    paid = 0
    streams = []
  })

  const pay = async () => {
    paid += 1
  }

  /** Opens a stream of the account's events from the beginning, and collects what it gets. */
  async function follow(payForPage = pay): Promise<number[]> {
    const got: number[] = []
    const events = await followEvents(instance.deps, {
      reader: { kind: 'USER', userId },
      owner: userId,
      filter: { types: null, accountId: account },
      after: 0,
      credential: { kind: 'SESSION', userId, id: 'any' },
      isAllowed: async () => true,
      payForPage,
    })
    streams.push(events)
    void (async () => {
      for await (const { position } of events) got.push(position)
    })().catch(() => {})
    return got
  }
  const closeAll = () => Promise.all(streams.map((events) => events.return?.()))

  test('reads its history once, pays for each page of it, and no more of it when it is woken', async () => {
    const received: number[][] = []
    for (let count = 0; count < 5; count++) received.push(await follow())
    await expect.poll(() => received).toEqual(Array(5).fill(positions))
    const pages = Math.ceil(HISTORY / MAX_EXAMINED_EVENTS)
    await expect.poll(() => paid).toBe(5 * (pages - 1))
    await expect.poll(() => instance.queriesOf(() => new Promise((resolve) => setTimeout(resolve, 100)))).toEqual([])
    for (let look = 0; look < 3; look++) {
      await record(world, { type: 'session.started', userId })
      const statements = await instance.statementsOf(async () => {
        instance.deps.eventStreams.notify([userId])
        await new Promise((resolve) => setTimeout(resolve, 200))
      })
      const reads = statements.filter(readsEvents)
      expect(reads).toHaveLength(5)
      expect(await countRowsRead(world, 'events', reads)).toBe(5)
    }
    expect(paid).toBe(5 * (pages - 1))
    await record(world, { type: 'tweet.posted', userId, accountId: account })
    instance.deps.eventStreams.notify([userId])
    await expect.poll(() => received).toEqual(Array(5).fill([...positions, HISTORY + 4]))
    await closeAll()
  })

  test.each([
    ['the rate limit is used up', new AppError('RATE_LIMITED')],
    ['the database is unavailable', new DatabaseTimeoutError('no connection')],
  ])('waits while %s when it pays for a page, and then goes on where it was', async (_, error) => {
    let isSpent = true
    const got = await follow(async () => {
      paid += 1
      if (isSpent) throw error
    })
    await expect.poll(() => paid, { timeout: 20_000 }).toBeGreaterThan(1)
    expect(got).toEqual(positions.slice(0, 1))
    isSpent = false
    await expect.poll(() => got, { timeout: 20_000 }).toEqual(positions)
    await closeAll()
  })
})

function cursorOf(position: number): string {
  return Buffer.from(`event:${position}`).toString('base64url')
}
