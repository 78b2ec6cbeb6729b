// Makes callbacks really meet: each has read its attempt, and all stand before the one statement that takes it.
import { sql } from 'drizzle-orm'
import { expect } from 'vitest'
import { sha256 } from '../src/crypto.ts'
import { databaseKind } from './database.ts'
import type { World } from './harness.ts'

/** Starts `work` while the attempt of this callback URL is locked, and lets go once two of its statements wait for the lock. */
export async function whileAttemptIsHeld<T>(world: World, callback: string, work: () => Promise<T>): Promise<T> {
  const stateHash = sha256(new URL(callback).searchParams.get('state') ?? '')
  // Of this database only: the cluster has those of other tests.
  const waiting = sql`select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return world
    .db()
    .transaction(async (held) => {
      const locked = await held.execute(sql`select id from connect_attempts where state_hash = ${stateHash} for update`)
      expect(readRows(locked)).toHaveLength(1)
      const working = work()
      // PGlite has one connection, for which all wait until this transaction is over.
      if (databaseKind() === 'postgres') {
        const countWaiting = async () => {
          // Within a transaction the view is otherwise read once.
          await held.execute(sql`select pg_stat_clear_snapshot()`)
          return Number(new Map(Object.entries(readRows(await held.execute(waiting))[0] ?? {})).get('waiting'))
        }
        await expect.poll(countWaiting, { interval: 2, timeout: 15_000 }).toBeGreaterThanOrEqual(2)
      }
      return { working }
    })
    .then(({ working }) => working)
}

// postgres.js gives the rows, PGlite an object with rows.
function readRows(result: unknown): unknown[] {
  if (Array.isArray(result)) return [...result]
  return typeof result === 'object' && result !== null && 'rows' in result && Array.isArray(result.rows)
    ? result.rows
    : []
}
