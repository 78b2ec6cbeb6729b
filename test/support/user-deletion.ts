// The deletion of a user, as stories wait for it and look for what it has left.
import { sql } from 'drizzle-orm'
import { expect, vi } from 'vitest'
import { queryRows } from './connected-account.ts'
import type { World } from './harness.ts'

/** The number of rows that each table has of this user, if any, by each column that names users. */
export async function countRows(world: Pick<World, 'db'>, userId: string): Promise<Record<string, number>> {
  const columns = await queryRows(
    world,
    sql`select table_name as "table", column_name as "column" from information_schema.columns
      where table_schema = 'public' and (column_name like '%user_id' or table_name = 'users' and column_name = 'id')
        and table_name not similar to '(events|webhook_deliveries)_(default|[0-9_]+)'`,
  )
  const counts: Record<string, number> = {}
  const count = async (name: string, query: ReturnType<typeof sql>) => {
    const [row] = await queryRows(world, query)
    if (row?.rows !== 0) counts[name] = Number(row?.rows)
  }
  for (const { table, column } of columns)
    await count(
      column === 'subject_user_id' ? `${table} of the operator` : String(table),
      sql`select count(*)::int as rows from ${sql.identifier(String(table))} where ${sql.identifier(String(column))} = ${userId}`,
    )
  await count('rate_limits', sql`select count(*)::int as rows from rate_limits where subject = ${userId}`)
  await count(
    'jobs',
    sql`select count(*)::int as rows from pgboss.job where group_id = ${userId} or data::text like ${`%${userId}%`}`,
  )
  return counts
}

/** Waits until the API says that the deletion has ended. It needs no session. */
export async function untilDeleted(world: World, userDeletionId: string, seconds = 60): Promise<void> {
  const person = world.browser()
  const ask = async () => {
    const { userDeletion } = await person.api('user-deletion', { userDeletionId })
    expect(userDeletion).toMatchObject({ status: 'DELETED', finishedAt: expect.any(String) })
  }
  await vi.waitFor(ask, { timeout: seconds * 1000, interval: 500 })
}

/** Waits until no row names this user. */
export function untilNoRows(world: World, userId: string): Promise<void> {
  return vi.waitFor(async () => expect(await countRows(world, userId)).toEqual({}), { timeout: 60_000, interval: 100 })
}
