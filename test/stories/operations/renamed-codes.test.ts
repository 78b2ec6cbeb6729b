// Rows that were written under an earlier name of a code or value, after the migration that renames
// it.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectAttempts, eventHorizons, events, tweets, webhookEndpoints, xBlocks } from '../../../src/db/tables.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { record } from '../../support/recorded-events.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const RENAMED = [
  ['RATE_LIMITED', 'X_RATE_LIMITED'],
  ['SCOPE_MISSING', 'SCOPES_MISSING'],
  ['X_REJECTED_REQUEST', 'X_REQUEST_INVALID'],
  ['TEXT_TOO_LONG', 'TEXT_TOO_LONG'],
] as const

async function migrate(name: string): Promise<void> {
  const statements = readFileSync(new URL(`../../../drizzle/${name}.sql`, import.meta.url), 'utf8')
  // The columns have their new names already.
  // Partitions get the text of a check too: it cannot name their table.
  for (const statement of statements.split('--> statement-breakpoint').filter((one) => !/ RENAME /.test(one)))
    await world.db().execute(sql.raw(statement.replaceAll('"events"."', '"')))
}

test('a code that is stored under its earlier name is renamed in tweets, attempts, blocks and events', async () => {
  const { id: accountId, userId } = await connectAccount(world)
  const now = world.clock.now()
  const aDay = new Date(now.getTime() + 86_400_000)
  await world.db().delete(events)
  for (const [index, [before]] of RENAMED.entries()) {
    const tweet = { text: before, status: 'FAILED', claimedUntil: now, createdAt: now } as const
    await world
      .db()
      .insert(tweets)
      .values({ userId, accountId, errorCode: before, ...tweet })
    const event = { type: 'tweet.failed', occurredAt: new Date(now.getTime() + index) } as const
    await world
      .db()
      .insert(events)
      .values({ userId, id: randomUUID(), position: index + 100, accountId, reason: before, ...event })
  }
  const burned = { type: 'token.revoked', reason: 'BURNED', occurredAt: aDay } as const
  await world
    .db()
    .insert(events)
    .values({ userId, id: randomUUID(), position: 200, ...burned })
  const attempt = { userId, sessionId: 'none', createdAt: now, expiresAt: aDay } as const
  for (const errorCode of ['RATE_LIMITED', 'ACCOUNT_LINKED_TO_ANOTHER_USER', 'ACCESS_DENIED']) {
    const row = { ...attempt, stateHash: errorCode, status: 'FAILED', errorCode } as const
    await world
      .db()
      .insert(connectAttempts)
      .values({ ...row, scopes: [] })
  }
  const block = { userId, subject: accountId, until: now } as const
  await world
    .db()
    .insert(xBlocks)
    .values({ ...block, endpoint: 'POST_TWEET', errorCode: 'RATE_LIMITED' })
  await world
    .db()
    .insert(xBlocks)
    .values({ ...block, endpoint: 'READ_PROFILE', errorCode: 'X_USAGE_CAPPED' })

  await migrate('0018_rename_error_codes')

  const tweetRows = await world.db().select().from(tweets)
  expect(new Map(tweetRows.map(({ text, errorCode }) => [text, errorCode]))).toEqual(new Map(RENAMED))
  const eventRows = await world.db().select().from(events).orderBy(events.occurredAt)
  expect(eventRows.map(({ reason }) => reason)).toEqual([...RENAMED.map(([, after]) => after), 'LEAKED'])
  const attemptRows = await world.db().select().from(connectAttempts)
  const attemptCodes = attemptRows.flatMap(({ stateHash, errorCode }) => (errorCode ? [[stateHash, errorCode]] : []))
  expect(Object.fromEntries(attemptCodes)).toEqual({
    RATE_LIMITED: 'X_RATE_LIMITED',
    ACCOUNT_LINKED_TO_ANOTHER_USER: 'ACCOUNT_CONNECTED_TO_ANOTHER_USER',
    ACCESS_DENIED: 'ACCESS_DENIED',
  })
  const blockRows = await world.db().select().from(xBlocks).orderBy(xBlocks.endpoint)
  expect(blockRows.map(({ errorCode }) => errorCode)).toEqual(['X_RATE_LIMITED', 'X_USAGE_CAPPED'])
})

test('an event type or a token event that is stored under its earlier name is renamed', async () => {
  const account = await connectAccount(world)
  const { id: accountId, userId } = account
  const now = world.clock.now()
  await world.db().delete(events)
  await record(world, { type: 'tweet.reconciled', userId, accountId })
  await world.db().insert(eventHorizons).values({ type: 'tweet.reconciled', userId, position: 1 })
  await world
    .db()
    .insert(webhookEndpoints)
    .values({
      userId,
      id: randomUUID(),
      url: 'https://hooks.example/events',
      secretSealed: 'sealed',
      eventTypes: ['tweet.posted', 'tweet.reconciled'],
      createdAt: now,
    })
  // The stored values as they were before, under constraints that allow them.
  for (const statement of [
    'alter table events drop constraint events_type, add constraint events_type check (true)',
    'alter table oauth_tokens drop constraint oauth_tokens_last_event, add constraint oauth_tokens_last_event check (true)',
    'alter table webhook_endpoints drop constraint webhook_endpoints_event_types, add constraint webhook_endpoints_event_types check (true)',
    "update events set type = 'tweet.unknown_settled'",
    "update event_horizons set type = 'tweet.unknown_settled'",
    "update webhook_endpoints set event_types = array['tweet.posted', 'tweet.unknown_settled']",
    "update oauth_tokens set last_event = 'ANSWER_LOST', cause = 'ANSWER_LOST'",
  ])
    await world.db().execute(sql.raw(statement))

  await migrate('0020_rename_columns')

  expect(await world.db().select({ type: events.type }).from(events)).toEqual([{ type: 'tweet.reconciled' }])
  expect(await world.db().select({ type: eventHorizons.type }).from(eventHorizons)).toEqual([
    { type: 'tweet.reconciled' },
  ])
  const [endpoint] = await world.db().select().from(webhookEndpoints)
  expect(endpoint?.eventTypes).toEqual(['tweet.posted', 'tweet.reconciled'])
  expect(await account.tokens()).toMatchObject({ lastEvent: 'RESPONSE_LOST', cause: 'RESPONSE_LOST' })
  await expect(
    world.db().execute(sql`update events set type = 'tweet.unknown_settled'`),
    'the constraints are in force again',
  ).rejects.toThrow()
})
