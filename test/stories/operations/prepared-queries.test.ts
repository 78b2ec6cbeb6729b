// Queries whose text is built once for a database, and which run on the pool and in transactions.
import { randomUUID } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prepareForms, prepareQuery } from '../../../src/db/prepared-query.ts'
import { tweets } from '../../../src/db/tables.ts'
import { transaction } from '../../../src/deps.ts'
import { connectAccount } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
let userId: string
let accountId: string
beforeAll(async () => {
  world = await startWorld()
  const account = await connectAccount(world)
  ;({ userId, id: accountId } = account)
})
afterAll(() => world.close())

const depsOf = () => ({ db: world.db(), clock: world.clock })

async function insertTweet(): Promise<{ userId: string; id: string }> {
  const id = randomUUID()
  const now = world.clock.sqlNow()
  const values = { text: 'Good morning', status: 'FAILED' as const, errorCode: 'X_RATE_LIMITED', claimedUntil: now }
  await world
    .db()
    .insert(tweets)
    .values({ ...values, userId, id, accountId, createdAt: now })
  return { userId, id }
}

test('a text is built once for the pool and all transactions of a database, and again for another clock', async () => {
  let built = 0
  const find = prepareQuery(({ db }) => {
    built += 1
    return db
      .select({ text: tweets.text })
      .from(tweets)
      .where(eq(tweets.userId, sql.placeholder('userId')))
  })
  await insertTweet()
  const deps = depsOf()
  for (let round = 0; round < 3; round++) {
    expect(await find(deps, { userId })).toEqual([{ text: 'Good morning' }])
    expect(await transaction(deps, (deps) => find(deps, { userId }))).toEqual([{ text: 'Good morning' }])
  }
  expect(built).toBe(1)
  await find({ ...deps, clock: { ...deps.clock } }, { userId })
  expect(built).toBe(2)
})

test('each form has its own text, and a value reaches its column in the form that Drizzle gives it', async () => {
  const update = prepareForms(
    (column: 'retryAt' | 'text') => column,
    ({ db }, column) =>
      db
        .update(tweets)
        .set({ [column]: sql.placeholder(column) })
        .where(eq(tweets.id, sql.placeholder('id')))
        .returning({ retryAt: tweets.retryAt, text: tweets.text }),
  )
  const { id } = await insertTweet()
  const retryAt = new Date('2026-12-01T10:00:00Z')
  expect(await update(depsOf(), 'retryAt', { id, retryAt })).toEqual([{ retryAt, text: 'Good morning' }])
  expect(await update(depsOf(), 'text', { id, text: 'Good night' })).toEqual([{ retryAt, text: 'Good night' }])
  expect(await update(depsOf(), 'retryAt', { id, retryAt: null })).toEqual([{ retryAt: null, text: 'Good night' }])
})

test('what it writes in a transaction is undone with the transaction', async () => {
  const remove = prepareQuery(({ db }) =>
    db
      .delete(tweets)
      .where(eq(tweets.id, sql.placeholder('id')))
      .returning({ id: tweets.id }),
  )
  const { id } = await insertTweet()
  await expect(
    transaction(depsOf(), async (deps) => {
      expect(await remove(deps, { id })).toEqual([{ id }])
      expect(await deps.db.$count(tweets, eq(tweets.id, id))).toBe(0)
      throw new Error('undone')
    }),
  ).rejects.toThrow('undone')
  expect(await world.db().$count(tweets, eq(tweets.id, id))).toBe(1)
})

test('a value that is missing is an error, and nothing is sent', async () => {
  const find = prepareQuery(({ db }) =>
    db
      .select()
      .from(tweets)
      .where(eq(tweets.id, sql.placeholder('id'))),
  )
  await expect(find(depsOf(), {})).rejects.toThrow('Bug: a query has no value for id')
})
