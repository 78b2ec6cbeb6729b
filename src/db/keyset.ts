// Keyset pagination by creation time, newest first. Rows of the same millisecond are ordered by id,
// so that no page leaves one out.
import { and, asc, desc, eq, gt, lt, or, type SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** The sort key of a row. */
export type RowKey = { createdAt: Date; id: string }

/**
 * Up to `limit` rows between two keys, both exclusive, newest first; oldest first when `backward`.
 */
export type KeysetPage = { newerThan: RowKey | null; olderThan: RowKey | null; limit: number; backward: boolean }

type Columns = { createdAt: PgColumn; id: PgColumn }

/** The WHERE condition of a page. */
export function keysetCondition({ createdAt, id }: Columns, { newerThan, olderThan }: KeysetPage): SQL | undefined {
  return and(
    newerThan === null
      ? undefined
      : or(gt(createdAt, newerThan.createdAt), and(eq(createdAt, newerThan.createdAt), gt(id, newerThan.id))),
    olderThan === null
      ? undefined
      : or(lt(createdAt, olderThan.createdAt), and(eq(createdAt, olderThan.createdAt), lt(id, olderThan.id))),
  )
}

/** The ORDER BY terms of a page. */
export function keysetOrder({ createdAt, id }: Columns, { backward }: KeysetPage): SQL[] {
  const order = backward ? asc : desc
  return [order(createdAt), order(id)]
}
