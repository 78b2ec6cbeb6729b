// Paging through events, resuming, and the retention.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Browser } from '../../support/browser.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { newPerson, readEvents, readPage } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { ask, expectGraphqlRefusal } from '../../support/raw-graphql.ts'
import { record } from '../../support/recorded-events.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

async function userIdOf(person: Browser): Promise<string> {
  const { viewer } = await person.api<{ viewer: { id: string } }>('viewer')
  return viewer.id
}

/** Gives somebody so many events at once. */
async function seed(person: Browser, count: number): Promise<void> {
  const event = { type: 'session.started' as const, userId: await userIdOf(person) }
  await record(world, ...Array(count).fill(event))
}

/** Everything so far happened so many days earlier. */
async function age(days: number): Promise<void> {
  await world.db().execute(sql`update events set occurred_at = occurred_at - make_interval(days => ${days})`)
}

test('an event leads to its account and its tweet as they are now, and another event to neither', async () => {
  const account = await connectAccount(world, { person: await newPerson(world) })
  const { tweet } = await account.post('Told of')
  await account.disconnect()
  const { events: page } = await account.person.query<{ events: { edges: { node: unknown }[] } }>(
    '{ events { edges { node { type account { id username status } tweet { id text account { id } } } } } }',
  )
  const now = { id: account.id, username: account.username, status: 'DISCONNECTED' }
  expect(page.edges.map(({ node }) => node)).toEqual([
    { type: 'SESSION_STARTED', account: null, tweet: null },
    { type: 'ACCOUNT_CONNECTED', account: now, tweet: null },
    { type: 'TWEET_POSTED', account: now, tweet: { id: tweet?.id, text: 'Told of', account: { id: account.id } } },
    { type: 'ACCOUNT_DISCONNECTED', account: now, tweet: null },
  ])
})

describe('a client that polls', () => {
  test('gets every event once and in order with any page size', async () => {
    const person = await newPerson(world)
    const seen: string[] = []
    let after: string | null = null
    const poll = async (first: number) => {
      const page = await readPage(person, { first, after })
      seen.push(...page.edges.map(({ node }) => node.id))
      after = page.pageInfo.endCursor ?? after
      return page.pageInfo.hasNextPage
    }
    expect(await poll(5)).toBe(false)
    expect(await poll(5)).toBe(false)
    const account = await connectAccount(world, { person })
    for (let round = 0; round < 3; round++) {
      await account.post()
      await seed(person, 4)
      let more: boolean
      do more = await poll(3)
      while (more)
    }
    expect(seen).toEqual((await readEvents(person)).map(({ id }) => id))
    expect(seen).toHaveLength(1 + 1 + 3 + 12)
  })

  test('starts with new events after the cursor of the last one', async () => {
    const person = await newPerson(world)
    await seed(person, 3)
    const { pageInfo } = await readPage(person, { last: 1 })
    expect(pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: false })
    await connectAccount(world, { person })
    const { edges } = await readPage(person, { after: pageInfo.endCursor })
    expect(edges.map(({ node }) => node.type)).toEqual(['ACCOUNT_CONNECTED'])
  })

  test('filters by types or account, and gets nothing of another user’s account', async () => {
    const person = await newPerson(world)
    const accounts = [await connectAccount(world, { person }), await connectAccount(world, { person })]
    for (const account of accounts) await account.post()
    const [first, second] = accounts
    const posted = await readEvents(person, { types: ['TWEET_POSTED', 'TWEET_FAILED'] })
    expect(posted.map(({ accountId }) => accountId)).toEqual([first?.id, second?.id])
    const own = await readEvents(person, { accountId: first?.id })
    expect(own.map(({ type }) => type)).toEqual(['ACCOUNT_CONNECTED', 'TWEET_POSTED'])
    expect(await readEvents(person, { accountId: first?.id, types: ['SESSION_STARTED'] })).toEqual([])
    expect(await readEvents(await newPerson(world), { accountId: first?.id })).toEqual([])
    expect(await readEvents(person, { accountId: 'nobody' })).toEqual([])
  })

  test('pages backward with before', async () => {
    const person = await newPerson(world)
    await seed(person, 9)
    const all = await readEvents(person)
    const newest = await readPage(person, { last: 4 })
    const earlier = await readPage(person, { last: 4, before: newest.pageInfo.startCursor })
    expect([...earlier.edges, ...newest.edges].map(({ node }) => node.id)).toEqual(all.slice(2).map(({ id }) => id))
  })
})

describe('what is refused', () => {
  test.each([
    ['a cursor that is none', '{ events(after: "junk") { edges { cursor } } }'],
    [
      'a cursor of another list',
      `{ events(after: "${Buffer.from('1795464887605:1').toString('base64url')}") { edges { cursor } } }`,
    ],
    [
      'a position beyond all numbers',
      `{ events(after: "${Buffer.from(`event:${'9'.repeat(30)}`).toString('base64url')}") { edges { cursor } } }`,
    ],
    ['no types at all', '{ events(types: []) { edges { cursor } } }'],
    ['a type that is none', '{ events(types: [ACCOUNT_SOLD]) { edges { cursor } } }'],
    ['a page too large', '{ events(first: 101) { edges { cursor } } }'],
  ])('%s', async (_, query) => {
    await expectGraphqlRefusal(await newPerson(world), ask(query))
  })

  test('a request without a session', async () => {
    await expectGraphqlRefusal(world.browser(), ask('{ events { edges { cursor } } }'), 'UNAUTHENTICATED')
  })
})

describe('events older than 90 days', () => {
  test('are deleted, and younger ones are not', async () => {
    const person = await newPerson(world)
    await seed(person, 2_500)
    await age(2)
    await seed(person, 2)
    await age(89)
    await sweepNow(world)
    expect(await readEvents(person)).toHaveLength(2)
    await sweepNow(world)
    expect(await readEvents(person)).toHaveLength(2)
  })

  test('cause an error when a client resumes before them', async () => {
    const person = await newPerson(world)
    const { pageInfo } = await readPage(person)
    await seed(person, 3)
    const between = await readPage(person, { after: pageInfo.endCursor, first: 2 })
    const last = await readPage(person, { last: 1 })
    await age(91)
    await sweepNow(world)
    for (const after of [pageInfo.endCursor, between.pageInfo.endCursor])
      await expectGraphqlRefusal(person, ask(`{ events(after: "${after}") { edges { cursor } } }`), 'CURSOR_EXPIRED')
    // Who had read them all has missed nothing.
    expect((await readPage(person, { after: last.pageInfo.endCursor })).edges).toEqual([])
  })

  test('of other users do not invalidate a cursor', async () => {
    const quiet = await newPerson(world)
    const { pageInfo } = await readPage(quiet)
    await seed(await newPerson(world), 3)
    await age(91)
    await sweepNow(world)
    expect((await readPage(quiet, { after: pageInfo.endCursor })).edges).toEqual([])
  })
})

test('a client that filters by a rare type can keep an old cursor while events of other types are deleted', async () => {
  const person = await newPerson(world)
  const account = await connectAccount(world, { person })
  const { pageInfo } = await readPage(person, { last: 1 })
  await seed(person, 3)
  await age(91)
  await sweepNow(world)
  const after = pageInfo.endCursor
  expect((await readPage(person, { after, types: ['ACCOUNT_NEEDS_REAUTH', 'ACCOUNT_CONNECTED'] })).edges).toEqual([])
  await account.disconnect()
  await age(91)
  await sweepNow(world)
  const query = `{ events(after: "${after}", types: [ACCOUNT_DISCONNECTED]) { edges { cursor } } }`
  await expectGraphqlRefusal(person, ask(query), 'CURSOR_EXPIRED')
})

test('a cursor that is newer than a restored backup is refused', async () => {
  const person = await newPerson(world)
  await seed(person, 1)
  const { pageInfo } = await readPage(person, { last: 1 })
  const userId = await userIdOf(person)
  await world.db().execute(sql`update event_positions set position = position - 1 where user_id = ${userId}`)
  await world
    .db()
    .execute(
      sql`delete from events where user_id = ${userId} and position > (select position from event_positions where user_id = ${userId})`,
    )
  await expectGraphqlRefusal(
    person,
    ask(`{ events(after: "${pageInfo.endCursor}") { edges { cursor } } }`),
    'CURSOR_EXPIRED',
  )
})
