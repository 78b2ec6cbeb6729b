// The rows of a copied database are in the partitions of their months.
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { pgliteDirectory, postgresAt } from '../../src/config/database-config.ts'
import { type Db, openForLong, queryRows } from '../../src/db/client.ts'
import { copyDatabase } from '../../src/db/copy.ts'
import { createTestDatabase, type DatabaseKind } from '../support/database.ts'

async function openEmpty(kind: DatabaseKind): Promise<Db> {
  const { environment, dataDir, remove } = await createTestDatabase(kind)
  onTestFinished(() => remove())
  const opened = await openForLong(
    kind === 'postgres'
      ? postgresAt(environment.DATABASE_URL ?? '')
      : { kind: 'pglite', directory: pgliteDirectory(dataDir) },
  )
  onTestFinished(() => opened.close())
  return opened.db
}

const MONTHS = 6

/** Inserts an event and its delivery in the middle of this month and of each of the five before. */
async function insertMonths(db: Db): Promise<void> {
  const [user] = await queryRows(
    db,
    sql`insert into users (id, github_id, login) values (gen_random_uuid(), 7, 'mara-holt') returning id`,
  )
  const [endpoint] = await queryRows(
    db,
    sql`insert into webhook_endpoints (user_id, id, url, secret_sealed, created_at)
      values (${user?.id}, gen_random_uuid(), 'https://example.com/', 'sealed', now()) returning id`,
  )
  await db.execute(
    sql`insert into events (user_id, id, position, type, occurred_at)
      select ${user?.id}, gen_random_uuid(), number, 'tweet.posted',
        date_trunc('month', now()) + interval '14 days' - make_interval(months => number - 1)
      from generate_series(1, ${MONTHS}::int) as number`,
  )
  await db.execute(
    sql`insert into webhook_deliveries (user_id, id, endpoint_id, event_id, status, created_at, delivered_at)
      select user_id, gen_random_uuid(), ${endpoint?.id}, id, 'DELIVERED', occurred_at, occurred_at from events`,
  )
}

/** Returns the rows of each partition that has any. */
function countByPartition(db: Db): Promise<Record<string, unknown>[]> {
  return queryRows(
    db,
    sql`select tableoid::regclass::text as partition, count(*)::int as rows from events group by 1
      union all select tableoid::regclass::text, count(*)::int from webhook_deliveries group by 1 order by 1`,
  )
}

test.each<[DatabaseKind, DatabaseKind]>([
  ['pglite', 'postgres'],
  ['postgres', 'pglite'],
])('a copy from %s to %s has a partition for each month, and an empty default partition', async (from, to) => {
  const [source, target] = await Promise.all([openEmpty(from), openEmpty(to)])
  await insertMonths(source)
  await copyDatabase(source, target)
  const copied = await countByPartition(target)
  expect(copied.map(({ rows }) => rows)).toEqual(Array.from({ length: MONTHS * 2 }, () => 1))
  expect(copied.map(({ partition }) => partition)).not.toContain('events_default')
  expect(copied.map(({ partition }) => partition)).not.toContain('webhook_deliveries_default')
})
