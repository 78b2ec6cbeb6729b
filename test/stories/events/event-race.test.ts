// Many transactions write events of a few users at once, while readers poll, stream and receive.
import { setTimeout as sleep } from 'node:timers/promises'
import { and, eq, gt } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiToken } from '../../../src/auth/api-token.ts'
import { events, OPERATOR_ID } from '../../../src/db/tables.ts'
import { transaction } from '../../../src/deps.ts'
import { recordEvent } from '../../../src/events/events.ts'
import { createWebhookEgress } from '../../../src/outbound/webhook-egress.ts'
import { createWebhookEndpoint } from '../../../src/webhooks/endpoints.ts'
import { type Browser, cookieOf } from '../../support/browser.ts'
import { databaseKind } from '../../support/database.ts'
import { gives, poll, readPosition, readWholeOrder } from '../../support/event-followers.ts'
import { type EventPage, newPerson, readPage } from '../../support/event-reader.ts'
import { openStream } from '../../support/event-stream.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { bearer, openInstance } from '../../support/instance.ts'
import { readOperation } from '../../support/operations.ts'
import { sweepNow } from '../../support/sweep.ts'
import { startReceiver, webhooksOf } from '../../support/webhook-receiver.ts'

const WRITERS = 12
const ROUNDS = databaseKind() === 'postgres' ? 4 : 2
const PEOPLE = 5

let world: World
let receiver: Awaited<ReturnType<typeof startReceiver>>
beforeAll(async () => {
  world = await startWorld({ WEBHOOK_EGRESS: 'loopback' })
  receiver = await startReceiver()
})
afterAll(async () => {
  await world.close()
  await receiver.close()
})

type Follower = {
  userId: string
  position: number
  polled: Promise<string[]>
  streamed(): string[]
  received(): string[]
}

async function followAsPerson(person: Browser, isShown: boolean, isDone: () => boolean): Promise<Follower> {
  const { viewer } = await person.api<{ viewer: { id: string } }>('viewer')
  if (isShown) await person.api('set-link-visibility', { input: { visibility: 'INTEGRATORS' } })
  await webhooksOf(person).create({ url: `${receiver.url}/${viewer.id}`, types: ['ACCOUNT_PROFILE_CHANGED'] })
  const cursor = (await readPage(person, { last: 1 })).pageInfo.endCursor
  const read = (variables: Record<string, unknown>) => readPage(person, variables)
  return follow(viewer.id, cursor, read, cookieOf(person), isDone)
}

async function followAsOperator(isDone: () => boolean, ask: (after: object) => Promise<EventPage>, secret: string) {
  const webhookEgress = createWebhookEgress({ policy: 'LOOPBACK', deadlineSeconds: 5 })
  const deps = { db: world.db(), clock: world.clock, config: world.config, webhookEgress }
  const input = {
    url: `${receiver.url}/${OPERATOR_ID}`,
    description: null,
    types: ['account.profile_changed' as const],
  }
  await createWebhookEndpoint(deps, OPERATOR_ID, input)
  await webhookEgress.close()
  return follow(OPERATOR_ID, (await ask({ last: 1 })).pageInfo.endCursor, ask, bearer(secret), isDone)
}

async function follow(
  userId: string,
  cursor: string | null,
  read: (variables: { first: number; after: string | null }) => Promise<EventPage>,
  headers: Record<string, string>,
  isDone: () => boolean,
): Promise<Follower> {
  const position = await readPosition(world.db(), userId)
  const stream = await openStream(world.url, headers, { after: cursor })
  return {
    userId,
    position,
    polled: poll(read, cursor, isDone),
    streamed: () => stream.edges.map(({ node }) => node.id),
    received: () =>
      receiver.received
        .filter(({ path }) => path.endsWith(userId))
        .map(({ headers }) => headers['webhook-id'] ?? '')
        .toSorted(),
  }
}

/** The ids of the events that the endpoints subscribe to. */
async function readIdsOf(userId: string, after: number): Promise<string[]> {
  const isSent = and(eq(events.userId, userId), gt(events.position, after), eq(events.type, 'account.profile_changed'))
  return (await world.db().select().from(events).where(isSent)).map(({ id }) => id).toSorted()
}

/** Writes transactions with events of one user or two, in an order that differs between writers. */
async function write(writer: number, userIds: readonly string[]): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const [first = '', second = ''] = [userIds[(writer + round) % PEOPLE], userIds[(writer * 3 + round * 2) % PEOPLE]]
    const type = round % 2 === 0 ? ('account.profile_changed' as const) : ('session.started' as const)
    await transaction({ db: world.db(), clock: world.clock }, async (deps) => {
      await recordEvent(deps, { type, userId: first, reason: `W${writer}_R${round}_A` })
      await sleep(Math.random() * 5)
      await recordEvent(deps, { type, userId: second, reason: `W${writer}_R${round}_B` })
      await transaction(deps, (deps) => recordEvent(deps, { type, userId: first, reason: `W${writer}_R${round}_C` }))
    })
  }
}

test('each reader gets each event once and in order, and positions have no hole', { timeout: 240_000 }, async () => {
  let done = false
  const isDone = () => done
  const deps = { db: world.db(), clock: world.clock }
  const token = { name: 'monitor', scopes: ['events:read'], expiresInDays: 1 }
  const { secret } = await createApiToken(deps, { userId: OPERATOR_ID }, token)
  const instance = openInstance(world)
  const ask = async (variables: object) =>
    (await instance.ask(readOperation('events'), bearer(secret), variables)).data?.events as EventPage
  const people = []
  for (let number = 0; number < PEOPLE; number++) people.push(await newPerson(world))
  const followers = await Promise.all(people.map((person, number) => followAsPerson(person, number < 2, isDone)))
  const userIds = followers.map(({ userId }) => userId)
  followers.push(await followAsOperator(isDone, ask, secret))

  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer, userIds)))
  done = true
  await sweepNow(world)

  for (const { userId, position, polled, streamed, received } of followers) {
    const ids = await readWholeOrder(world.db(), userId, position)
    expect(ids.length).toBeGreaterThanOrEqual(WRITERS)
    expect(await polled).toEqual(ids)
    await gives(streamed, ids)
    await gives(received, await readIdsOf(userId, position))
  }
  const rows = await world.db().select().from(events).orderBy(events.userId, events.position)
  for (let writer = 0; writer < WRITERS; writer++) {
    for (const userId of userIds) {
      const own = rows.filter((row) => row.userId === userId && row.reason?.startsWith(`W${writer}_`))
      expect(own.map(({ reason }) => reason)).toEqual(own.map(({ reason }) => reason ?? '').toSorted())
    }
  }
  expect(rows.filter(({ reason, userId }) => reason?.startsWith('W') && userId !== OPERATOR_ID)).toHaveLength(
    WRITERS * ROUNDS * 3,
  )
  const copied = rows.filter(
    ({ userId, type }) => userIds.slice(0, 2).includes(userId) && type === 'account.profile_changed',
  )
  expect(
    rows
      .filter(({ subjectUserId }) => subjectUserId !== null)
      .map(({ id }) => id)
      .toSorted(),
  ).toEqual(copied.map(({ id }) => id).toSorted())
  await instance.close()
})
