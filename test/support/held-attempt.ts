// Forces two requests into a race: both have read the state before either runs the statement that
// decides.
import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { sha256 } from '../../src/crypto.ts'
import type { Db } from '../../src/db/client.ts'
import { databaseKind } from './database.ts'
import type { World } from './harness.ts'

/**
 * Runs `work` while the attempt of this callback URL is locked, and releases the lock once two
 * statements wait for it.
 */
export async function whileAttemptIsHeld<T>(world: World, callback: string, work: () => Promise<T>): Promise<T> {
  const url = new URL(callback)
  const table = sql.identifier(url.pathname.startsWith('/auth/x') ? 'connect_attempts' : 'sign_in_attempts')
  const stateHash = sha256(url.searchParams.get('state') ?? '')
  return world
    .db()
    .transaction(async (held) => {
      const locked = await held.execute(sql`select id from ${table} where state_hash = ${stateHash} for update`)
      expect(readRows(locked)).toHaveLength(1)
      const working = work()
      // PGlite has one connection, which is taken until this transaction ends.
      if (databaseKind() === 'postgres') await untilTwoWait(held)
      return { working }
    })
    .then(({ working }) => working)
}

/**
 * Locks the tweets table until two statements wait for it. On PGlite, with its one connection, it
 * does nothing.
 */
export async function untilTwoWriteTweets(world: World): Promise<void> {
  if (databaseKind() !== 'postgres') return
  await world.db().transaction(async (held) => {
    await held.execute(sql`lock table tweets in share mode`)
    await untilTwoWait(held)
  })
}

// Counts in this database alone: the cluster has the databases of other tests.
const WAITING = sql`select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

async function untilTwoWait(held: Pick<Db, 'execute'>): Promise<void> {
  const countWaiting = async () => {
    // Within a transaction, PostgreSQL would otherwise read the view once.
    await held.execute(sql`select pg_stat_clear_snapshot()`)
    return Number(new Map(Object.entries(readRows(await held.execute(WAITING))[0] ?? {})).get('waiting'))
  }
  await expect.poll(countWaiting, { interval: 2, timeout: 60_000 }).toBeGreaterThanOrEqual(2)
}

// postgres.js returns a list of rows, PGlite an object with one.
function readRows(result: unknown): unknown[] {
  if (Array.isArray(result)) return [...result]
  return typeof result === 'object' && result !== null && 'rows' in result && Array.isArray(result.rows)
    ? result.rows
    : []
}
