// Lists of rows by the time of their making. Rows of one millisecond follow each other by id, so that no page leaves one out.
import { and, asc, desc, eq, gt, lt, or, type SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'

/** A row's place in such a list. */
export type RowPlace = { createdAt: Date; id: string }

/** Up to `limit` rows between two places, newest first; oldest first when `inverted`. */
export type RowPage = { newerThan: RowPlace | null; olderThan: RowPlace | null; limit: number; inverted: boolean }

type Columns = { createdAt: PgColumn; id: PgColumn }

/** The condition that keeps a query to the rows between a page's places. */
export function isOnPage({ createdAt, id }: Columns, { newerThan, olderThan }: RowPage): SQL | undefined {
  return and(
    newerThan === null
      ? undefined
      : or(gt(createdAt, newerThan.createdAt), and(eq(createdAt, newerThan.createdAt), gt(id, newerThan.id))),
    olderThan === null
      ? undefined
      : or(lt(createdAt, olderThan.createdAt), and(eq(createdAt, olderThan.createdAt), lt(id, olderThan.id))),
  )
}

/** The order of a page. */
export function orderOfPage({ createdAt, id }: Columns, { inverted }: RowPage): SQL[] {
  const order = inverted ? asc : desc
  return [order(createdAt), order(id)]
}
