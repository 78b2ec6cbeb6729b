// Thousands of open event streams of one instance while nothing happens, and while little does.
import { and, eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recheckStreams } from '../../../src/auth/stream-recheck.ts'
import { productionTiming } from '../../../src/config/timing.ts'
import { apiTokens, sessions } from '../../../src/db/tables.ts'
import type { EventStream, Followed } from '../../../src/process/event-streams.ts'
import { growTables, userIdOf } from '../../support/grown-tables.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { type Instance, openInstance } from '../../support/instance.ts'
import { recordSilently } from '../../support/recorded-events.ts'

const STREAMS = 10_000
const USERS = 2_000

let world: World
let instance: Instance
/** The users of streams that were woken, in the order of their streams. */
const woken: string[] = []

beforeAll(async () => {
  world = await startWorld({ MAX_EVENT_STREAMS: String(STREAMS) })
  await growTables((statement) => world.db().execute(sql.raw(statement)), {
    connections: USERS,
    tweets: 1,
    events: USERS,
  })
  instance = openInstance(world)
  const bySession = await world.db().select().from(sessions)
  const byToken = await world.db().select().from(apiTokens)
  const credentials = [
    ...bySession.map(({ userId, id }) => ({ kind: 'SESSION' as const, userId, id })),
    ...byToken.map(({ userId, id }) => ({ kind: 'API_TOKEN' as const, userId, id })),
  ]
  for (let number = 0; number < STREAMS; number++) {
    const credential = credentials[number % credentials.length] ?? expect.fail()
    void follow(
      instance.deps.eventStreams.open(credential.userId, { userId: credential.userId, credential }),
      credential,
    )
  }
})
afterAll(async () => {
  await instance.close()
  await world.close()
})

async function follow(stream: EventStream, { userId }: Followed['credential']): Promise<void> {
  stream.startAt(1)
  for (;;) {
    await stream.wait()
    woken.push(userId)
  }
}

async function recheck(): Promise<{ queries: string[]; woken: string[] }> {
  woken.length = 0
  const queries = await instance.queriesOf(() => recheckStreams(instance.deps))
  await new Promise((resolve) => setImmediate(resolve))
  return { queries, woken: [...woken] }
}

test('an instance with 10,000 idle streams asks less than one query a second, and wakes none', async () => {
  expect(instance.deps.eventStreams.list()).toHaveLength(STREAMS)
  const { queries, woken } = await recheck()
  expect(woken).toEqual([])
  expect(queries.length).toBeGreaterThan(0)
  expect(queries.length / productionTiming.streamRecheckSeconds).toBeLessThan(1)
})

test('the text of its queries does not depend on the number of streams', async () => {
  const few = openInstance(world)
  const [session] = await world.db().select().from(sessions).limit(1)
  const [token] = await world.db().select().from(apiTokens).limit(1)
  if (session === undefined || token === undefined) throw new Error('The tables are empty')
  const { eventStreams } = few.deps
  for (const credential of [
    { kind: 'SESSION' as const, userId: session.userId, id: session.id },
    { kind: 'API_TOKEN' as const, userId: token.userId, id: token.id },
  ])
    eventStreams.open(credential.userId, { userId: credential.userId, credential })
  expect(await few.queriesOf(() => recheckStreams(few.deps))).toEqual((await recheck()).queries)
  await few.close()
})

test('an event whose notification was lost wakes the streams of its user alone, once', async () => {
  const userId = userIdOf(7)
  await recordSilently(world, { type: 'session.started', userId })
  expect((await recheck()).woken).toEqual(Array(STREAMS / USERS).fill(userId))
  expect((await recheck()).woken).toEqual([])
})

test('the end of a session wakes its streams, and the end of a token those of the token', async () => {
  const [session, token] = [userIdOf(8), userIdOf(9)]
  await world.db().delete(sessions).where(eq(sessions.userId, session))
  await world
    .db()
    .update(apiTokens)
    .set({ revokedAt: sql`now()` })
    .where(and(eq(apiTokens.userId, token)))
  const { woken } = await recheck()
  expect(new Set(woken)).toEqual(new Set([session, token]))
  expect(woken.length).toBeLessThanOrEqual(STREAMS / USERS + 2)
})
