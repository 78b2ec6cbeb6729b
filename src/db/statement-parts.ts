// Conditions that let one part of a statement wait for another. PostgreSQL executes the parts of a
// WITH clause in the order in which they are read, so that a lock is taken after those of the parts that
// its condition reads.
import { type SQL, sql } from 'drizzle-orm'

/** A part of a WITH clause. */
type Part = Parameters<typeof sql>[1]

/** The condition that a part has one row. */
export function hasOne(part: Part): SQL<boolean> {
  return sql<boolean>`(select count(*) from ${part}) = 1`
}

/** A condition that is always true, once all rows of a part are read. */
export function isDone(part: Part): SQL {
  return sql`(select count(*) from ${part}) >= 0`
}
