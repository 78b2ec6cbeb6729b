// The rows of a user who has posted for half a year, by SQL alone.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type SQL, sql } from 'drizzle-orm'
import type { World } from './harness.ts'

const PART = 25_000

export type History = { tweets: number; events: number; deliveries: number; keys: number }

/**
 * Inserts the history of one account: tweets, events and deliveries that are spread over half a year,
 * and idempotency keys. Foreign keys are not checked, because the rows fit.
 */
export async function addHistory(
  world: Pick<World, 'db'>,
  { userId, accountId }: { userId: string; accountId: string },
  { tweets, events, deliveries, keys }: History,
): Promise<void> {
  const insert = (count: number, values: (from: number, to: number) => SQL) => insertInParts(world, count, values)
  await insert(
    tweets,
    (from, to) => sql`
      insert into tweets (user_id, id, account_id, text, status, claimed_until, sent_at, x_tweet_id, created_at, posted_at)
      select ${userId}::uuid, gen_random_uuid(), ${accountId}::uuid, 'Number ' || n, 'POSTED', now(), now(), n,
        now() - ${secondsAgo(180, tweets)}, now()
      from generate_series(${from}::int, ${to}::int) n`,
  )
  await insert(
    keys,
    (from, to) => sql`
      insert into idempotency_keys (user_id, key_hash, request_hash, tweet_id, expires_at)
      select ${userId}::uuid, md5(n::text), 'a hash', gen_random_uuid(), now() + interval '20 days'
      from generate_series(${from}::int, ${to}::int) n`,
  )
  await insert(
    events,
    (from, to) => sql`
      insert into events (user_id, id, position, type, account_id, occurred_at)
      select ${userId}::uuid, gen_random_uuid(), 1000000 + n, 'tweet.posted', ${accountId}::uuid, now() - ${secondsAgo(90, events)}
      from generate_series(${from}::int, ${to}::int) n`,
  )
  await insert(
    1,
    () => sql`
      insert into webhook_endpoints (user_id, id, url, secret_sealed, created_at)
      select ${userId}::uuid, md5('endpoint')::uuid, 'https://example.com', 'sealed', now()`,
  )
  await insert(
    1,
    () => sql`
      insert into event_positions as known (user_id, position, endpoints_version) values (${userId}::uuid, 0, 1)
      on conflict (user_id) do update set endpoints_version = 1`,
  )
  await insert(
    deliveries,
    (from, to) => sql`
      insert into webhook_deliveries (user_id, id, endpoint_id, event_id, status, attempts, created_at, delivered_at)
      select ${userId}::uuid, gen_random_uuid(), md5('endpoint')::uuid, gen_random_uuid(), 'DELIVERED', 1,
        now() - ${secondsAgo(60, deliveries)}, now()
      from generate_series(${from}::int, ${to}::int) n`,
  )
}

// Spreads the rows over some days.
function secondsAgo(days: number, rows: number): SQL {
  return sql`make_interval(secs => n * ${sql.raw(String((days * 86_400) / rows))})`
}

// Each part is far from the time limit of statements.
async function insertInParts(
  world: Pick<World, 'db'>,
  count: number,
  values: (from: number, to: number) => SQL,
): Promise<void> {
  for (let from = 1; from <= count; from += PART) {
    await world.db().transaction(async (db) => {
      await db.execute(sql`set local session_replication_role = replica`)
      await db.execute(values(from, Math.min(from + PART - 1, count)))
    })
    // PGlite runs in this process, and its promises let no socket have a turn: a kept connection that
    // times out meanwhile would be used once more.
    await nextTurn()
  }
}
