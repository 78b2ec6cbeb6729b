// Makes two really meet: each has read what it judges by, and both stand before the statement that decides.
import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { sha256 } from '../../src/crypto.ts'
import type { Db } from '../../src/db/client.ts'
import { databaseKind } from './database.ts'
import type { World } from './harness.ts'

/** Starts `work` while the attempt of this callback URL is locked, and lets go once two of its statements wait for the lock. */
export async function whileAttemptIsHeld<T>(world: World, callback: string, work: () => Promise<T>): Promise<T> {
  const stateHash = sha256(new URL(callback).searchParams.get('state') ?? '')
  return world
    .db()
    .transaction(async (held) => {
      const locked = await held.execute(sql`select id from connect_attempts where state_hash = ${stateHash} for update`)
      expect(readRows(locked)).toHaveLength(1)
      const working = work()
      // PGlite has one connection, for which all wait until this transaction is over.
      if (databaseKind() === 'postgres') await untilTwoWait(held)
      return { working }
    })
    .then(({ working }) => working)
}

/** Lets nobody write a tweet's row until two statements wait for it. PGlite has one connection: there it does nothing. */
export async function untilTwoWriteTweets(world: World): Promise<void> {
  if (databaseKind() !== 'postgres') return
  await world.db().transaction(async (held) => {
    await held.execute(sql`lock table tweets in share mode`)
    await untilTwoWait(held)
  })
}

// Of this database only: the cluster has those of other tests.
const WAITING = sql`select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

async function untilTwoWait(held: Pick<Db, 'execute'>): Promise<void> {
  const countWaiting = async () => {
    // Within a transaction the view is otherwise read once.
    await held.execute(sql`select pg_stat_clear_snapshot()`)
    return Number(new Map(Object.entries(readRows(await held.execute(WAITING))[0] ?? {})).get('waiting'))
  }
  await expect.poll(countWaiting, { interval: 2, timeout: 15_000 }).toBeGreaterThanOrEqual(2)
}

// postgres.js gives the rows, PGlite an object with rows.
function readRows(result: unknown): unknown[] {
  if (Array.isArray(result)) return [...result]
  return typeof result === 'object' && result !== null && 'rows' in result && Array.isArray(result.rows)
    ? result.rows
    : []
}
