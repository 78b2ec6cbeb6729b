// Events and webhook deliveries have a partition for each month. A month without one fails no write.
import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { createMonthsAhead } from '../../../src/db/partitions.ts'
import { type ConnectedAccount, connectAccount, queryRows } from '../../support/connected-account.ts'
import { readEvents } from '../../support/event-reader.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { runTask } from '../../support/sweep.ts'

const PARENTS = ['events', 'webhook_deliveries'] as const
type Parent = (typeof PARENTS)[number]

let world: World
beforeEach(async () => {
  await world?.close()
  world = await startWorld()
})
afterAll(() => world.close())

/** The month so many months from now, as the names of partitions end. */
function monthIn(months: number): string {
  const now = new Date()
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months))
    .toISOString()
    .slice(0, 7)
    .replace('-', '_')
}

const firstDay = (months: number) => `${monthIn(months).replace('_', '-')}-01T00:00:00Z`
const expected = (parent: Parent, ...more: number[]) =>
  [...[...more, 0, 1, 2].map((months) => `${parent}_${monthIn(months)}`), `${parent}_default`].toSorted()

async function partitionsOf(parent: Parent): Promise<string[]> {
  const rows = await queryRows(
    world,
    sql`select relname from pg_inherits join pg_class on pg_class.oid = inhrelid where inhparent = ${parent}::regclass`,
  )
  return rows.map(({ relname }) => String(relname)).toSorted()
}

/** The partitions with rows. */
async function filled(parent: Parent): Promise<string[]> {
  const rows = await queryRows(world, sql`select distinct tableoid::regclass::text as name from ${sql.raw(parent)}`)
  return rows.map(({ name }) => String(name)).toSorted()
}

async function addMonth(parent: Parent, months: number): Promise<void> {
  await world
    .db()
    .execute(
      sql.raw(
        `create table ${parent}_${monthIn(months)} partition of ${parent} for values from ('${firstDay(months)}') to ('${firstDay(months + 1)}')`,
      ),
    )
}

/** Moves an account's events, and a delivery of the first, to the middle of an earlier month. */
async function moveTo(account: ConnectedAccount, months: number): Promise<void> {
  const moment = sql`${firstDay(months)}::timestamptz + interval '14 days'`
  const { userId } = account
  await world.db().execute(sql`update events set occurred_at = ${moment} where user_id = ${userId}`)
  const endpointId = randomUUID()
  await world.db().execute(
    sql`insert into webhook_endpoints (user_id, id, url, secret_sealed, created_at)
      values (${userId}, ${endpointId}, 'https://example.com/', 'sealed', ${moment})`,
  )
  await world.db().execute(
    sql`insert into webhook_deliveries (user_id, id, endpoint_id, event_id, status, attempts, created_at, delivered_at)
      select user_id, gen_random_uuid(), ${endpointId}, id, 'DELIVERED', 1, occurred_at, occurred_at
      from events where user_id = ${userId}`,
  )
}

/** The number of times that a table was read as a whole. */
async function countWholeReads(table: string): Promise<number> {
  await queryRows(world, sql`select pg_stat_force_next_flush()`)
  const [row] = await queryRows(world, sql`select pg_stat_get_numscans(${table}::regclass)::int as count`)
  return Number(row?.count)
}

/** Waits until no session has this advisory lock. */
async function waitForSession(lock: string): Promise<void> {
  await queryRows(world, sql`select pg_advisory_xact_lock(hashtextextended(${lock}, 0))`)
}

const maintain = async () => expect(await runTask(world, 'maintainPartitions')).toBe('completed')

describe.each(PARENTS)('%s', (parent) => {
  test('have partitions for this month and the next two, and one for all other times', async () => {
    expect(await partitionsOf(parent)).toEqual(expected(parent))
    await maintain()
    expect(await partitionsOf(parent)).toEqual(expected(parent))
  })

  test('get a missing partition by the maintenance, and at the next start', async () => {
    const missing = `${parent}_${monthIn(2)}`
    const drop = () => world.db().execute(sql.raw(`drop table ${missing}`))
    await drop()
    await maintain()
    expect(await partitionsOf(parent)).toContain(missing)
    await drop()
    await world.restart()
    expect(await partitionsOf(parent)).toContain(missing)
  })
})

test('an event is stored in the partition of its month', async () => {
  await connectAccount(world)
  expect(await filled('events')).toEqual([`events_${monthIn(0)}`])
})

test('without a partition of the month events are written and read as ever, and further months are created', async () => {
  for (const parent of PARENTS)
    for (const months of [0, 1]) await world.db().execute(sql.raw(`drop table ${parent}_${monthIn(months)}`))
  const account = await connectAccount(world)
  expect(await account.post()).toMatchObject({ tweet: { status: 'POSTED' } })
  const types = async () => (await readEvents(account.person)).map(({ type }) => type)
  expect(await filled('events')).toEqual(['events_default'])
  const before = await types()
  expect(before.slice(-2)).toEqual(['ACCOUNT_CONNECTED', 'TWEET_POSTED'])
  await maintain()
  expect(await partitionsOf('events')).toEqual(expected('events').filter((name) => name !== `events_${monthIn(0)}`))
  expect(await partitionsOf('webhook_deliveries')).toEqual(expected('webhook_deliveries'))
  await account.post()
  expect(await types()).toEqual([...before, 'TWEET_POSTED'])
})

describe('the partition of a past month', () => {
  test('of events is dropped when the sweep has deleted its rows, and not before', async () => {
    await addMonth('events', -6)
    const account = await connectAccount(world)
    await moveTo(account, -6)
    await maintain()
    expect(await filled('events')).toContain(`events_${monthIn(-6)}`)
    const { userId } = account
    const [last] = await queryRows(
      world,
      sql`select max(position)::int as position from events where user_id = ${userId}`,
    )
    expect(await runTask(world, 'sweepEvents')).toBe('completed')
    await maintain()
    expect(await partitionsOf('events')).toEqual(expected('events'))
    const [horizon] = await queryRows(
      world,
      sql`select max(position)::int as position from event_horizons where user_id = ${userId}`,
    )
    expect(horizon).toEqual(last)
  })

  test('of deliveries is dropped with its rows after 30 days, unless one is pending', async () => {
    await addMonth('webhook_deliveries', -3)
    const account = await connectAccount(world)
    await moveTo(account, -3)
    const setStatus = (status: string, next: string | null) =>
      world.db().execute(
        sql`update webhook_deliveries set status = ${status}, delivered_at = ${status === 'DELIVERED' ? sql`now()` : null},
          next_attempt_at = ${next === null ? null : sql`now() + ${next}::interval`}`,
      )
    await setStatus('PENDING', '1 day')
    await maintain()
    expect(await filled('webhook_deliveries')).toEqual([`webhook_deliveries_${monthIn(-3)}`])
    await setStatus('DELIVERED', null)
    await maintain()
    expect(await partitionsOf('webhook_deliveries')).toEqual(expected('webhook_deliveries'))
    expect(await filled('webhook_deliveries')).toEqual([])
  })

  test('of deliveries is deleted by the sweep where it has no partition of its own', async () => {
    const account = await connectAccount(world)
    await moveTo(account, -3)
    await maintain()
    expect(await filled('webhook_deliveries')).toEqual(['webhook_deliveries_default'])
    expect(await runTask(world, 'sweepWebhookDeliveries')).toBe('completed')
    expect(await filled('webhook_deliveries')).toEqual([])
  })
})

test('a partition of the last month stays, also when it is empty', async () => {
  for (const parent of PARENTS) await addMonth(parent, -1)
  await maintain()
  for (const parent of PARENTS) expect(await partitionsOf(parent)).toEqual(expected(parent, -1))
})

test('an event that is swept takes its deliveries with it, also a pending one', async () => {
  const account = await connectAccount(world)
  await moveTo(account, -4)
  await world
    .db()
    .execute(
      sql`update webhook_deliveries set status = 'PENDING', delivered_at = null, next_attempt_at = now() + interval '1 day'`,
    )
  expect(await runTask(world, 'sweepWebhookDeliveries')).toBe('completed')
  expect(await filled('webhook_deliveries')).toHaveLength(1)
  expect(await runTask(world, 'sweepEvents')).toBe('completed')
  expect(await filled('webhook_deliveries')).toEqual([])
})

test('beside a large default partition no month is created for its table, until the owner has emptied it', async () => {
  const account = await connectAccount(world)
  const months = PARENTS.map((parent) => `${parent}_${monthIn(2)}`)
  for (const month of months) await world.db().execute(sql.raw(`drop table ${month}`))
  const [before] = await queryRows(world, sql`select count(*)::int as rows from events`)
  await world.db().execute(
    sql`insert into events (user_id, id, position, type, reason, occurred_at)
      select ${account.userId}, gen_random_uuid(), 1000 + number, 'tweet.failed', 'A' || repeat(upper(md5(number::text)), 60),
        ${firstDay(-3)}::timestamptz + number * interval '1 minute'
      from generate_series(1, 5000) as number`,
  )
  const reads = () => countWholeReads('events_default')
  const readBefore = await reads()
  expect(await runTask(world, 'maintainPartitions')).toBe('failed')
  expect(world.logs()).toContain('More than 8 MB are in events_default, so its table gets no further months.')
  expect(await reads()).toBe(readBefore)
  expect(await partitionsOf('events')).not.toContain(months[0])
  expect(await partitionsOf('webhook_deliveries')).toContain(months[1])
  await world.db().execute(sql`select xconnect_empty_default_partitions()`)
  await maintain()
  expect(await partitionsOf('events')).toEqual(expected('events', -3))
  expect(await filled('events')).toEqual([monthIn(-3), monthIn(0)].map((month) => `events_${month}`))
  expect(await queryRows(world, sql`select count(*)::int as rows from events`)).toEqual([
    { rows: Number(before?.rows) + 5_000 },
  ])
})

test('twenty calls at once create each partition once', async () => {
  for (const parent of PARENTS) await world.db().execute(sql.raw(`drop table ${parent}_${monthIn(2)}`))
  await Promise.all(Array.from({ length: 20 }, () => createMonthsAhead({ db: world.db() })))
  // The first of them may have been a task of the gateway, which the calls do not wait for.
  await waitForSession('xconnect-partitions')
  for (const parent of PARENTS) expect(await partitionsOf(parent)).toEqual(expected(parent))
})
