// Deletes what sweeps have found, in batches of a fixed size.
import { and, inArray, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { runBatches, runBatchesByUser } from './batches.ts'
import type { Db } from './client.ts'

const DELETED_AT_ONCE = 1_000

/**
 * Deletes the rows of a table of users that meet a condition, in batches, by one statement for each
 * user of a batch. Rows that another transaction has locked, as the deletion of their user does,
 * are left to the next run: a sweep that waits for nobody is in no deadlock.
 * @param row the columns of the user's id and of the row's id, which are its key.
 * @param signal ends the run between two users.
 * @returns the number of deleted rows.
 */
export async function deleteOfUsers(
  { db }: { db: Db },
  table: PgTable,
  row: { userId: PgColumn; id: PgColumn },
  condition: SQL | undefined,
  signal?: AbortSignal,
): Promise<number> {
  const find = () =>
    db
      .select({ userId: sql<string>`${row.userId}`, id: sql<string>`${row.id}` })
      .from(table)
      .where(condition)
      .limit(DELETED_AT_ONCE)
  const remove = async (userId: string, ids: string[]) => {
    const isFound = and(sql`${row.userId} = ${userId}`, inArray(row.id, ids))
    const free = db
      .select({ id: row.id })
      .from(table)
      // Checked again: it may have changed since.
      .where(and(isFound, condition))
      .for('update', { skipLocked: true })
    const deleted = await db
      .delete(table)
      .where(and(sql`${row.userId} = ${userId}`, inArray(row.id, free)))
      .returning({ id: row.id })
    return deleted.length
  }
  return runBatchesByUser(DELETED_AT_ONCE, find, remove, signal)
}

/**
 * Deletes the rows of a look-up table that meet a condition, in batches. They are on as many nodes
 * as there are keys, so they are not locked before.
 * @param key the column by which the rows are looked up.
 * @param signal ends the run between two batches.
 * @returns the number of deleted rows.
 */
export async function deleteLookUps(
  { db }: { db: Db },
  table: PgTable,
  key: PgColumn,
  condition: SQL | undefined,
  signal?: AbortSignal,
): Promise<number> {
  const removeBatch = async () => {
    const found = await db
      .select({ key: sql`${key}` })
      .from(table)
      .where(condition)
      .limit(DELETED_AT_ONCE)
    const keys = found.map((row) => row.key)
    // Checked again: it may have changed since.
    if (keys.length > 0) await db.delete(table).where(and(inArray(key, keys), condition))
    return found.length
  }
  return runBatches(DELETED_AT_ONCE, removeBatch, signal)
}
