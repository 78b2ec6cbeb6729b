// The subscription to events.
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createApiToken, revokeApiToken } from '../../../src/auth/api-token.ts'
import { events } from '../../../src/db/tables.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { connectAccount, queryRows } from '../../support/connected-account.ts'
import { databaseKind } from '../../support/database.ts'
import { newPerson, readEvents, readPage } from '../../support/event-reader.ts'
import { type OpenStream, openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, openInstance } from '../../support/instance.ts'
import { ask, expectGraphqlRefusal, sendGraphql } from '../../support/raw-graphql.ts'
import { record } from '../../support/recorded-events.ts'

let world: World
const streams: OpenStream[] = []
beforeAll(async () => {
  // So long that nothing here is found by looking now and then: what arrives was told.
  world = await startWorld({}, { streamRecheckSeconds: 600, streamLifetimeSeconds: 3600 })
})
afterEach(async () => {
  await Promise.all(streams.splice(0).map((stream) => stream.hangUp()))
})
afterAll(() => world.close())

async function follow(person: Browser, variables: Record<string, unknown> = {}): Promise<OpenStream> {
  const stream = await openStream(world.url, cookieOf(person), variables)
  streams.push(stream)
  return stream
}

const arrives = (stream: OpenStream, types: string[]) =>
  expect.poll(() => stream.types(), { timeout: 20_000, interval: 10 }).toEqual(types)

async function seed(person: Browser, count: number): Promise<void> {
  const { viewer } = await person.api<{ viewer: { id: string } }>('viewer')
  await record(world, ...Array(count).fill({ type: 'session.started' as const, userId: viewer.id }))
}

describe('a stream', () => {
  test('sends the events from now on, in the form of the list', async () => {
    const account = await connectAccount(world, { person: await newPerson(world) })
    const stream = await follow(account.person)
    expect([stream.status, stream.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    expect(stream.headers.get('cache-control')).toBe('no-store')
    await account.post()
    await arrives(stream, ['TWEET_POSTED'])
    await account.disconnect()
    await arrives(stream, ['TWEET_POSTED', 'ACCOUNT_DISCONNECTED'])
    const { edges } = await readPage(account.person, { last: 2 })
    expect(stream.edges).toEqual(edges)
  })

  test('shows with each event the account as it is then', async () => {
    const account = await connectAccount(world, { person: await newPerson(world) })
    const document = 'subscription { events { cursor node { type account { id status } tweet { status } } } }'
    const stream = await openStream(world.url, cookieOf(account.person), {}, undefined, document)
    streams.push(stream)
    await account.post()
    await arrives(stream, ['TWEET_POSTED'])
    await account.disconnect()
    await arrives(stream, ['TWEET_POSTED', 'ACCOUNT_DISCONNECTED'])
    expect(stream.edges.map(({ node }) => node)).toEqual([
      { type: 'TWEET_POSTED', account: { id: account.id, status: 'ACTIVE' }, tweet: { status: 'POSTED' } },
      { type: 'ACCOUNT_DISCONNECTED', account: { id: account.id, status: 'DISCONNECTED' }, tweet: null },
    ])
  })

  test('sends no events of other users, and filters by account and type', async () => {
    const person = await newPerson(world)
    const [first, second] = [await connectAccount(world, { person }), await connectAccount(world, { person })]
    const stranger = await follow(await newPerson(world))
    const [all, one, posted] = [
      await follow(person),
      await follow(person, { accountId: first.id }),
      await follow(person, { types: ['TWEET_POSTED'] }),
    ]
    await first.post()
    await second.disconnect()
    await second.person.connect(second.username)
    await first.disconnect()
    await arrives(all, ['TWEET_POSTED', 'ACCOUNT_DISCONNECTED', 'ACCOUNT_CONNECTED', 'ACCOUNT_DISCONNECTED'])
    await arrives(one, ['TWEET_POSTED', 'ACCOUNT_DISCONNECTED'])
    await arrives(posted, ['TWEET_POSTED'])
    expect(stranger.edges).toEqual([])
  })

  test('resumes after its last cursor or a cursor of the list, without gaps or repetitions', async () => {
    const account = await connectAccount(world, { person: await newPerson(world) })
    const { pageInfo } = await readPage(account.person, { first: 1 })
    const first = await follow(account.person, { after: pageInfo.endCursor })
    await account.post()
    await arrives(first, ['ACCOUNT_CONNECTED', 'TWEET_POSTED'])
    await first.hangUp()
    await account.post()
    await seed(account.person, 120)
    const second = await follow(account.person, { after: first.cursor() })
    await account.disconnect()
    await expect.poll(() => second.edges.length, { timeout: 20_000 }).toBe(1 + 120 + 1)
    const all = await world
      .db()
      .select({ id: events.id })
      .from(events)
      .where(eq(events.userId, account.userId))
      .orderBy(events.position)
    expect([...first.edges, ...second.edges].map(({ node }) => node.id)).toEqual(all.slice(1).map(({ id }) => id))
  })

  test('G-12 reads no further than its client', async () => {
    const person = await newPerson(world)
    await seed(person, 1_000)
    const instance = openInstance(world)
    const { pageInfo } = await readPage(person, { first: 1 })
    const response = await instance.request('/graphql', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        'sec-fetch-site': 'same-origin',
        ...cookieOf(person),
      },
      body: ask('subscription ($after: String) { events(after: $after) { cursor } }', { after: pageInfo.endCursor }),
    })
    const reader = response.body?.getReader()
    let text = ''
    const take = async (count: number) => {
      while (text.split('data: ').length <= count) {
        const chunk = await reader?.read()
        if (chunk === undefined || chunk.done) throw new Error(`The stream ended too early: ${response.status} ${text}`)
        text += new TextDecoder().decode(chunk.value)
      }
    }
    const reads = (queries: string[]) =>
      queries.filter((query) => /^select .* from "events".* order by/.test(query)).length
    // A page is read for the first, and no other before that is used up: however long nobody takes
    // them.
    expect(reads(await instance.queriesOf(() => take(1)))).toBe(1)
    expect(reads(await instance.queriesOf(() => new Promise((resolve) => setTimeout(resolve, 300))))).toBe(0)
    expect(reads(await instance.queriesOf(() => take(1_000)))).toBe(19)
    await reader?.cancel()
    await instance.close()
  })

  test.skipIf(databaseKind() === 'pglite')(
    'misses nothing when the connection that tells of events is cut, again and again',
    async () => {
      const account = await connectAccount(world, { person: await newPerson(world) })
      const stream = await follow(account.person)
      const cut = () =>
        queryRows(
          world,
          sql`select pg_terminate_backend(pid) as cut from pg_stat_activity where datname = current_database() and application_name = 'xconnect-gateway-events'`,
        )
      for (let round = 0; round < 5; round++) {
        // While it is not there, and while it is.
        expect(await cut()).toEqual([{ cut: true }])
        await account.post()
        await expect.poll(() => stream.edges.length, { timeout: 20_000, interval: 10 }).toBe(2 * round + 1)
        await account.post()
        await expect.poll(() => stream.edges.length, { timeout: 20_000, interval: 10 }).toBe(2 * round + 2)
      }
      expect(stream.edges.map(({ node }) => node.tweetId)).toEqual((await account.tweets()).map(({ id }) => id))
    },
  )
})

describe('a stream ends', () => {
  test('with its session', async () => {
    const person = await newPerson(world)
    const stream = await follow(person)
    await person.api('sign-out')
    expect(await stream.ended).toEqual({ completed: true, codes: ['UNAUTHENTICATED'] })
    expect(stream.edges).toEqual([])
  })

  test('with its API token, and sends no later events', async () => {
    const account = await connectAccount(world, { person: await newPerson(world) })
    const deps = { db: world.db(), clock: world.clock }
    const made = await createApiToken(deps, account, { name: 'a bot', scopes: ['events:read'], expiresInDays: 1 })
    const stream = await openStream(world.url, bearer(made.secret))
    await account.post()
    await arrives(stream, ['TWEET_POSTED'])
    await revokeApiToken(deps, account, made.apiToken.id)
    expect(await stream.ended).toEqual({ completed: true, codes: ['UNAUTHENTICATED'] })
    expect(stream.types()).toEqual(['TWEET_POSTED'])
  })

  test('G-09 on an internal error, which is masked', async () => {
    const account = await connectAccount(world, { person: await newPerson(world) })
    const stream = await follow(account.person)
    await world.db().execute(sql`alter table events rename column reason to renamed`)
    try {
      await world.db().execute(sql`select pg_notify('xconnect_events', ${account.userId})`)
      expect(await stream.ended).toEqual({ completed: true, codes: ['INTERNAL'] })
    } finally {
      await world.db().execute(sql`alter table events rename column renamed to reason`)
    }
    expect(stream.messages).toEqual([expect.stringMatching(/^The gateway failed\./)])
    expect(world.logs()).toContain('A request failed with an internal error')
  })

  test('at a shutdown, at once and with STREAM_ENDED; the client resumes at another instance', async () => {
    const account = await connectAccount(world, { person: await newPerson(world) })
    const open = [await follow(account.person), await follow(account.person)]
    await account.post()
    for (const stream of open) await arrives(stream, ['TWEET_POSTED'])
    const startedAt = performance.now()
    await world.restart()
    expect(performance.now() - startedAt).toBeLessThan(15_000)
    for (const stream of open) expect(await stream.ended).toEqual({ completed: true, codes: ['STREAM_ENDED'] })
    await account.post()
    await arrives(await follow(account.person, { after: open[0]?.cursor() }), ['TWEET_POSTED'])
  })
})

describe('what is refused', () => {
  test('G-12 a sixth stream of one user, until one is closed; other users can open streams', async () => {
    const person = await newPerson(world)
    const open = await Promise.all(Array.from({ length: 5 }, () => follow(person)))
    expect(await (await follow(person)).ended).toEqual({ completed: true, codes: ['TOO_MANY_STREAMS'] })
    const other = await follow(await newPerson(world))
    expect(other.headers.get('content-type')).toBe('text/event-stream')
    await open[3]?.hangUp()
    await expect
      .poll(async () => {
        const again = await openStream(world.url, cookieOf(person))
        streams.push(again)
        return Promise.race([again.ended, new Promise((resolve) => setTimeout(() => resolve('open'), 100))])
      })
      .toBe('open')
  })

  test('G-12 a client that disconnects while its stream is opened occupies no place', async () => {
    const person = await newPerson(world)
    const left = Array.from({ length: 40 }, async (_, number) => {
      const stream = openStream(world.url, cookieOf(person), {}, AbortSignal.timeout(number % 20))
      await stream.then(({ ended }) => ended).catch(() => {})
    })
    await Promise.all(left)
    // All five places are free again, at once or nearly.
    await expect
      .poll(
        async () => {
          const open = await Promise.all(Array.from({ length: 5 }, () => follow(person)))
          const refused = await Promise.race([
            ...open.map(({ ended }) => ended),
            new Promise((resolve) => setTimeout(() => resolve('none'), 200)),
          ])
          await Promise.all(open.map((stream) => stream.hangUp()))
          return refused
        },
        { timeout: 20_000 },
      )
      .toBe('none')
  })

  test.each([
    ['a cursor that is none', { after: 'junk' }, 'BAD_USER_INPUT'],
    ['no types at all', { types: [] }, 'BAD_USER_INPUT'],
    [
      'a cursor after which events are gone',
      { after: Buffer.from('event:999999999').toString('base64url') },
      'CURSOR_EXPIRED',
    ],
  ])('%s', async (_, variables, code) => {
    const stream = await follow(await newPerson(world), variables)
    expect(await stream.ended).toEqual({ completed: true, codes: [code] })
  })

  test('a request without a session, and a token without the scope', async () => {
    const nobody = await openStream(world.url, {})
    expect([nobody.status, await nobody.ended]).toEqual([401, { completed: true, codes: ['UNAUTHENTICATED'] }])
    const account = await connectAccount(world, { person: await newPerson(world) })
    const deps = { db: world.db(), clock: world.clock }
    const { secret } = await createApiToken(deps, account, { name: 'a bot', scopes: ['tweets:read'], expiresInDays: 1 })
    const narrow = await openStream(world.url, bearer(secret))
    expect([narrow.status, await narrow.ended]).toEqual([403, { completed: true, codes: ['FORBIDDEN'] }])
  })

  test('a client that does not accept event streams, without occupying a place', async () => {
    const person = await newPerson(world)
    const query = ask('subscription { events { cursor } }')
    for (let round = 0; round < 12; round++) {
      const { status, response } = await sendGraphql(person, query, { accept: 'application/json' })
      expect([status, response.errors?.[0]?.extensions?.code]).toEqual([406, 'NOT_ACCEPTABLE'])
    }
    const stream = await follow(person)
    await seed(person, 1)
    await arrives(stream, ['SESSION_STARTED'])
  })

  test('a document that may select nothing to stream', async () => {
    const person = await newPerson(world)
    for (const query of [
      'subscription { events @skip(if: true) { cursor } }',
      'subscription { ...Root } fragment Root on Subscription { events @include(if: false) { cursor } }',
    ])
      await expectGraphqlRefusal(person, ask(query), 'BAD_USER_INPUT', { accept: 'application/json' })
  })

  test('a stream by GET', async () => {
    const person = await newPerson(world)
    const url = `/graphql?query=${encodeURIComponent('subscription { events { cursor } }')}`
    const response = await person.request(url, { headers: { accept: 'text/event-stream' } })
    expect(response.headers.get('content-type')).not.toContain('text/event-stream')
    expect(response.status).toBeGreaterThanOrEqual(400)
    expect(await readEvents(person)).toHaveLength(1)
  })
})
