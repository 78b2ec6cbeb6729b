import { sql } from 'drizzle-orm'
import { type AnyPgColumn, timestamp, uuid } from 'drizzle-orm/pg-core'

/**
 * A moment, in milliseconds as in a JavaScript Date, so that a cursor made of one finds its row
 * again.
 */
export const moment = () => timestamp({ withTimezone: true, precision: 3, mode: 'date' })

/** A random primary key. */
export const id = () => uuid().primaryKey().defaultRandom()

/** The random id of a row in a table whose primary key is `(user_id, id)`. */
export const rowId = () => uuid().notNull().defaultRandom()

/** The condition of a check: the column has one of these values. */
export const oneOf = (column: AnyPgColumn, values: readonly string[]) => sql`${column} in (${literals(values)})`

/** The condition of a check: the array column has no other values than these. */
export const allOf = (column: AnyPgColumn, values: readonly string[]) => sql`${column} <@ array[${literals(values)}]`

const literals = (values: readonly string[]) => sql.raw(values.map((value) => `'${value}'`).join(', '))
