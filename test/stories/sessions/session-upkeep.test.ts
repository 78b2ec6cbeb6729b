// The queries that sessions cost, and how expired ones are deleted.
import { eq, ne, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { events, sessions } from '../../../src/db/tables.ts'
import { cookieOf, isSignedIn } from '../../support/browser.ts'
import { queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { openInstance } from '../../support/instance.ts'
import { isSessionOf } from '../../support/session-row.ts'
import { sweepNow } from '../../support/sweep.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const HOUR = 3_600_000
const DAY = 24 * HOUR
const WHO = '{ viewer { login } }'

describe('S-06 of many requests, fifty at once,', () => {
  const ago = (milliseconds: number) => new Date(Date.now() - milliseconds)
  test.each([
    ['a thousand, one writes the last use', () => ({ lastUsedAt: ago(2 * HOUR) }), 20, 1],
    ['one writes the new end at half-life', () => ({ lastUsedAt: ago(20 * DAY), expiresAt: ago(-10 * DAY) }), 2, 1],
    ['one writes the new end at half-life, also soon after a use', () => ({ expiresAt: ago(-10 * DAY) }), 2, 1],
    ['none writes what was written less than an hour ago', () => ({ lastUsedAt: ago(0.9 * HOUR) }), 2, 0],
  ])('%s', async (_what, change, rounds, writes) => {
    const person = await world.signedIn()
    await world.db().update(sessions).set(change()).where(isSessionOf(person))
    await world.db().execute(sql`create table writes (id text)`)
    await world
      .db()
      .execute(
        sql`create function note_write() returns trigger language plpgsql as $$ begin insert into writes values (new.id); return new; end $$`,
      )
    await world
      .db()
      .execute(sql`create trigger note_writes after update on sessions for each row execute function note_write()`)
    const instance = openInstance(world)
    try {
      for (let round = 0; round < rounds; round++) {
        const responses = await Promise.all(Array.from({ length: 50 }, () => instance.ask(WHO, cookieOf(person))))
        expect(responses.map(({ data }) => data)).toEqual(Array(50).fill({ viewer: { login: 'mara-holt' } }))
      }
      expect(await queryRows(world, sql`select id from writes`)).toHaveLength(writes)
      // No write is attempted in vain either.
      const later = await instance.queriesOf(() => instance.ask(WHO, cookieOf(person)))
      expect(later.filter((text) => /^update/i.test(text))).toEqual([])
    } finally {
      await world.db().execute(sql`drop table writes cascade`)
      await world.db().execute(sql`drop function note_write cascade`)
      await instance.close()
    }
  })
})

test('S-11 one sweep deletes ten thousand expired sessions in batches, and no other', async () => {
  await world.db().delete(sessions)
  const person = await world.signedIn()
  const [mine] = await world.db().select().from(sessions).where(isSessionOf(person))
  const userId = mine?.userId ?? ''
  // Half by the sliding end, the rest by the absolute one.
  await world.db().execute(sql`
    insert into sessions (id, user_id, created_at, expires_at)
    select 'old ' || number, ${userId},
      now() - make_interval(days => case when number % 2 = 0 then 40 else 91 end),
      now() + make_interval(days => case when number % 2 = 0 then -10 else 10 end)
    from generate_series(1, 10000) as number`)
  await world.db().execute(sql`create table batches (size int)`)
  await world
    .db()
    .execute(
      sql`create function note_batch() returns trigger language plpgsql as $$ begin insert into batches select count(*) from gone; return null; end $$`,
    )
  await world
    .db()
    .execute(
      sql`create trigger note_batches after delete on sessions referencing old table as gone for each statement execute function note_batch()`,
    )
  const before = await world.db().$count(events, eq(events.reason, 'EXPIRED'))
  await sweepNow(world)
  expect(await world.db().$count(sessions, ne(sessions.id, mine?.id ?? ''))).toBe(0)
  expect(await isSignedIn(person)).toBe(true)
  const sizes = (await queryRows(world, sql`select size from batches`)).map(({ size }) => Number(size))
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(10_000)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(500)
  expect((await world.db().$count(events, eq(events.reason, 'EXPIRED'))) - before).toBe(10_000)
  await world.db().execute(sql`drop table batches cascade`)
  await world.db().execute(sql`drop function note_batch cascade`)
})
