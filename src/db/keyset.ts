// Keyset pagination by creation time, newest first. Rows of the same millisecond are ordered by id,
// so that no page leaves one out.
import { and, asc, desc, gt, lt, type Placeholder, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** The sort key of a row. */
export type RowKey = { createdAt: Date; id: string }

/**
 * Up to `limit` rows between two keys, both exclusive, newest first; oldest first when `backward`.
 */
export type KeysetPage = { newerThan: RowKey | null; olderThan: RowKey | null; limit: number; backward: boolean }

type Columns = { createdAt: PgColumn; id: PgColumn }
/** A sort key, or the placeholders of one. */
type Key = { createdAt: Date | Placeholder; id: string | Placeholder }

/**
 * The WHERE condition of a page. Rows are compared as a whole, so that an index of both columns
 * leads to the first of them.
 */
export function keysetCondition(
  { createdAt, id }: Columns,
  { newerThan, olderThan }: { newerThan: Key | null; olderThan: Key | null },
): SQL | undefined {
  const key = sql`(${createdAt}, ${id})`
  const valuesOf = (row: Key) => sql`(${sql.param(row.createdAt, createdAt)}, ${sql.param(row.id, id)})`
  return and(
    newerThan === null ? undefined : sql`${key} > ${valuesOf(newerThan)}`,
    olderThan === null ? undefined : sql`${key} < ${valuesOf(olderThan)}`,
  )
}

/** The ORDER BY terms of a page. */
export function keysetOrder({ createdAt, id }: Columns, { backward }: Pick<KeysetPage, 'backward'>): SQL[] {
  const order = backward ? asc : desc
  return [order(createdAt), order(id)]
}

/**
 * Up to `limit` rows between two ids, both exclusive, in the order of the ids, which has no
 * meaning.
 */
export type IdPage = { after: string | null; before: string | null; limit: number; backward: boolean }

/** The WHERE condition of a page in the order of the ids. */
export function idCondition(id: PgColumn, { after, before }: Pick<IdPage, 'after' | 'before'>): SQL | undefined {
  return and(after === null ? undefined : gt(id, after), before === null ? undefined : lt(id, before))
}

/** The ORDER BY term of a page in the order of the ids. */
export function idOrder(id: PgColumn, { backward }: Pick<IdPage, 'backward'>): SQL {
  return backward ? desc(id) : asc(id)
}
