// Rows that were written under an earlier name of a code, after the migration that renames it.
import { readFileSync } from 'node:fs'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectAttempts, events, tweets, xBlocks } from '../../../src/db/tables.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

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

async function renameCodes(): Promise<void> {
  const file = new URL('../../../drizzle/0018_rename_error_codes.sql', import.meta.url)
  for (const statement of readFileSync(file, 'utf8').split('--> statement-breakpoint'))
    await world.db().execute(sql.raw(statement))
}

test('a code that is stored under its earlier name is renamed in tweets, attempts, blocks and events', async () => {
  const { id: accountId, userId, providerAccountId } = await connectAccount(world)
  const now = world.clock.now()
  const aDay = new Date(now.getTime() + 86_400_000)
  await world.db().delete(events)
  for (const [index, [before]] of RENAMED.entries()) {
    const tweet = { requestHash: before, text: before, status: 'FAILED', claimedUntil: now, createdAt: now } as const
    await world
      .db()
      .insert(tweets)
      .values({ userId, accountId, errorCode: before, ...tweet })
    const event = { type: 'tweet.failed', occurredAt: new Date(now.getTime() + index) } as const
    await world
      .db()
      .insert(events)
      .values({ userId, accountId, reason: before, ...event })
  }
  await world.db().insert(events).values({ type: 'token.revoked', userId, reason: 'BURNED', occurredAt: aDay })
  const attempt = { kind: 'X_CONNECT', userId, sessionId: 'none', createdAt: now, expiresAt: aDay } as const
  for (const errorCode of ['RATE_LIMITED', 'ACCOUNT_LINKED_TO_ANOTHER_USER', 'ACCESS_DENIED']) {
    const row = { ...attempt, stateHash: errorCode, status: 'FAILED', errorCode } as const
    await world
      .db()
      .insert(connectAttempts)
      .values({ ...row, scopes: [] })
  }
  const block = { subject: providerAccountId, until: now } as const
  await world
    .db()
    .insert(xBlocks)
    .values({ ...block, endpoint: 'POST_TWEET', errorCode: 'RATE_LIMITED' })
  await world
    .db()
    .insert(xBlocks)
    .values({ ...block, endpoint: 'READ_PROFILE', errorCode: 'X_USAGE_CAPPED' })

  await renameCodes()

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
