// The partitions of events and deliveries are created and dropped beside other sessions.
import type { Sql } from 'postgres'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { type Database, openPostgres, openSingleConnection } from '../../src/db/client.ts'
import { createMonthsAhead, maintainPartitions } from '../../src/db/partitions.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let pool: Database
let other: Sql

beforeEach(async () => {
  await close()
  database = await createTestDatabase('postgres')
  const url = database.environment.DATABASE_URL ?? ''
  pool = openPostgres(url)
  other = openSingleConnection(url)
})
afterAll(() => close())

async function close(): Promise<void> {
  await other?.end()
  await pool?.close()
  await database?.remove()
}

/** The month so many months from now, as the names of partitions end. */
function monthIn(months: number): string {
  const now = new Date()
  const first = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months))
  return first.toISOString().slice(0, 7).replace('-', '_')
}

async function isThere(table: string): Promise<boolean> {
  const [row] = await other`select to_regclass(${table}) is not null as yes`
  return row?.yes === true
}

/** Runs a statement in a transaction that is rolled back, and returns how a table was read by it. */
async function readBy(statement: string, table: string) {
  const count = async () => {
    await other`select pg_stat_force_next_flush()`
    const [row] = await other`select pg_stat_get_numscans(${table}::regclass)::int as whole_reads,
      pg_stat_get_blocks_fetched(${table}::regclass)::int as pages`
    return { wholeReads: Number(row?.whole_reads), pages: Number(row?.pages) }
  }
  const before = await count()
  await other.unsafe(`begin; ${statement}`)
  const stays = await isThere(table)
  await other.unsafe('rollback')
  const after = await count()
  return { stays, wholeReads: after.wholeReads - before.wholeReads, pages: after.pages - before.pages }
}

async function createPastMonth(): Promise<void> {
  await other.unsafe(
    `select xconnect_create_month('events', date_trunc('month', now() at time zone 'UTC') - interval '6 months')`,
  )
}

const AT_WORK = `select pg_advisory_xact_lock(hashtextextended('xconnect-partitions', 0))`

test('while another session creates partitions, every other call returns at once', async () => {
  const missing = `events_${monthIn(2)}`
  await other.unsafe(`drop table ${missing}`)
  await other.begin(async (other) => {
    await other.unsafe(AT_WORK)
    const calls = Array.from({ length: 20 }, () => createMonthsAhead(pool))
    expect(new Set(await Promise.all(calls))).toEqual(new Set([false]))
  })
  expect(await isThere(missing)).toBe(false)
  expect(await createMonthsAhead(pool)).toBe(true)
  expect(await isThere(missing)).toBe(true)
})

test('with all partitions there, a call neither waits for a lock nor for another session', async () => {
  await other.begin(async (other) => {
    await other.unsafe(AT_WORK)
    await other.unsafe('lock table users, webhook_endpoints, events, webhook_deliveries in access share mode')
    expect(await createMonthsAhead(pool)).toBe(true)
  })
})

test('a drop that cannot lock its partition leaves those that were created', async () => {
  const [missing, past] = [`events_${monthIn(2)}`, `events_${monthIn(-6)}`]
  await other.unsafe(`drop table ${missing}`)
  await createPastMonth()
  await other.begin(async (other) => {
    await other.unsafe(`lock table ${past} in access share mode`)
    await expect(maintainPartitions(pool)).rejects.toThrow(/xconnect_drop_past_months/)
  })
  expect(await isThere(missing)).toBe(true)
  expect(await isThere(past)).toBe(true)
  await maintainPartitions(pool)
  expect(await isThere(past)).toBe(false)
})

test('the search for rows of a past month reads dead rows once, by the index, and none while the newest is left', async () => {
  const past = `events_${monthIn(-6)}`
  await createPastMonth()
  const [user] =
    await other`insert into users (id, github_id, login) values (gen_random_uuid(), 1, 'mara-holt') returning id`
  await other`insert into events (user_id, id, position, type, occurred_at)
    select ${String(user?.id)}, gen_random_uuid(), n, 'tweet.posted', ${`${monthIn(-6).replace('_', '-')}-01T00:00:00Z`}::timestamptz + n * interval '1 minute'
    from generate_series(1, 5000) as n`
  await other.unsafe(`delete from ${past} where position < 5000`)
  const search = () => readBy('select xconnect_drop_past_months()', past)
  expect(await search()).toEqual({ stays: true, wholeReads: 0, pages: 1 })
  await other.unsafe(`delete from ${past}`)
  const first = await search()
  expect(first).toMatchObject({ stays: false, wholeReads: 0 })
  expect(first.pages).toBeGreaterThan(10)
  expect(await search()).toEqual({ stays: false, wholeReads: 0, pages: 0 })
})
