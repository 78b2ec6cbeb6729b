// Figures of the whole deployment. What grows with it is not counted to the end.
import { sql } from 'drizzle-orm'
import { queryRows } from '../db/client.ts'
import { type JobName, jobNames } from '../db/jobs.ts'
import type { Deps } from '../deps.ts'

/** A number of rows. Above `COUNTED_AT_MOST` it is PostgreSQL's estimate, and `isExact` false. */
export type RowCount = { count: number; isExact: boolean }

/** The figures. */
export type Stats = {
  users: RowCount
  /** Connected and disconnected. */
  accounts: RowCount
  tweets: RowCount
  pendingTweets: RowCount
  unknownTweets: RowCount
  /** The deletions of users that are under way. */
  deletions: RowCount
  jobs: (RowCount & { queue: JobName; failed: number })[]
}

/** The rows of a table that are counted. */
export const COUNTED_AT_MOST = 10_000

// By an index each, in its order.
const counted = {
  users: sql`select id from users order by id`,
  accounts: sql`select id from connected_accounts order by id`,
  tweets: sql`select id from tweets order by user_id, id`,
  pendingTweets: sql`select id from tweets where status = 'PENDING' order by claimed_until`,
  unknownTweets: sql`select id from tweets where status = 'UNKNOWN' order by timeline_reads`,
  deletions: sql`select id from user_deletions where finished_at is null order by user_id, id`,
}
const estimated: ReadonlyMap<string, string> = new Map([
  ['users', 'users'],
  ['accounts', 'connected_accounts'],
  ['tweets', 'tweets'],
])

/** Returns the figures: some statements that read up to `COUNTED_AT_MOST` entries of an index each. */
export async function readStats({ db }: Pick<Deps, 'db'>): Promise<Stats> {
  const count = async (name: keyof typeof counted): Promise<RowCount> => {
    const [row] = await queryRows(
      db,
      sql`select count(*)::int as count from (${counted[name]} limit ${COUNTED_AT_MOST + 1}) as bounded`,
    )
    const found = Number(row?.count)
    if (found <= COUNTED_AT_MOST) return { count: found, isExact: true }
    const table = estimated.get(name)
    return { count: table === undefined ? COUNTED_AT_MOST : await estimate(db, table), isExact: false }
  }
  const people = await count('users')
  return {
    // Without the operator, who is a row.
    users: { ...people, count: people.count - 1 },
    accounts: await count('accounts'),
    tweets: await count('tweets'),
    pendingTweets: await count('pendingTweets'),
    unknownTweets: await count('unknownTweets'),
    deletions: await count('deletions'),
    jobs: await Promise.all(jobNames.map((queue) => countJobs(db, queue))),
  }
}

async function estimate(db: Deps['db'], table: string): Promise<number> {
  const [row] = await queryRows(db, sql`select reltuples::bigint as rows from pg_class where oid = ${table}::regclass`)
  // -1 before the first ANALYZE.
  return Math.max(Number(row?.rows), COUNTED_AT_MOST)
}

async function countJobs(db: Deps['db'], queue: JobName): Promise<Stats['jobs'][number]> {
  const [row] = await queryRows(
    db,
    sql`select count(*)::int as count, (count(*) filter (where state = 'failed'))::int as failed
      from (select state from pgboss.job where name = ${queue} order by id limit ${COUNTED_AT_MOST + 1}) as bounded`,
  )
  const found = Number(row?.count)
  const isExact = found <= COUNTED_AT_MOST
  return { queue, count: Math.min(found, COUNTED_AT_MOST), isExact, failed: Number(row?.failed) }
}
