import { sql } from 'drizzle-orm'
import { type AnyPgColumn, timestamp, uuid } from 'drizzle-orm/pg-core'

// Milliseconds: what a JavaScript Date can hold, so that a cursor made from a row finds that row again.
export const moment = () => timestamp({ withTimezone: true, precision: 3, mode: 'date' })

export const id = () => uuid().primaryKey().defaultRandom()

export const oneOf = (column: AnyPgColumn, values: readonly string[]) => sql`${column} in (${listed(values)})`

export const allOf = (column: AnyPgColumn, values: readonly string[]) => sql`${column} <@ array[${listed(values)}]`

const listed = (values: readonly string[]) => sql.raw(values.map((value) => `'${value}'`).join(', '))
