import { getTableColumns, SQL, sql } from 'drizzle-orm'
import type { PgInsertValue, PgTable } from 'drizzle-orm/pg-core'

/**
 * Returns the values of all columns of a table in their order, as Drizzle's INSERT … SELECT names
 * them. A column without a value has its default.
 */
export function insertedValues<Table extends PgTable>(table: Table, values: PgInsertValue<Table>): SQL {
  const given = new Map<string, unknown>(Object.entries(values))
  const columns = Object.entries(getTableColumns(table)).map(([name, column]) => {
    const value = given.get(name) ?? column.default ?? null
    return value instanceof SQL ? value : sql`${sql.param(value, column)}::${sql.raw(column.getSQLType())}`
  })
  return sql.join(columns, sql`, `)
}
