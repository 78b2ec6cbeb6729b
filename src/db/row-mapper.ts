// Maps the rows of a query as Drizzle does, by a plan that is made once for the query: Drizzle looks up
// the kind and the place of each column again for each row.
import { Column, getTableName, is, SQL } from 'drizzle-orm'

/** The values of a row as the driver returns them, in the order of the selected fields. */
export type RawRow = readonly unknown[]

/** A selected column or expression, with the keys that lead to its value. */
export type SelectedField = { path: readonly string[]; field: unknown }

type Decode = (value: unknown) => unknown
/** A value of an object: a column of the row, or an object of several. */
type Entry = { key: string } & ({ column: number; decode: Decode | null } | { group: Group })
type Group = {
  entries: Entry[]
  /** The column that is null where a join has found no row; null where the object is always there. */
  marker: number | null
}

/**
 * Creates the function that maps a row. An object of columns of one joined table is null where the
 * first of them is, unless every row has one of that table.
 * @param joined by the name of a joined table, whether every row has one of its rows; undefined
 *   without joins.
 */
export function createRowMapper<Row>(
  fields: readonly SelectedField[],
  joined: Readonly<Record<string, boolean>> | undefined,
): (row: RawRow) => Row {
  const root: Group = { entries: [], marker: null }
  const groups = new Map<string, Group>()
  const findGroup = (key: string): Group => {
    const known = groups.get(key)
    if (known !== undefined) return known
    const group = { entries: [], marker: findMarker(fields, key, joined) }
    groups.set(key, group)
    root.entries.push({ key, group })
    return group
  }
  for (const [column, { path, field }] of fields.entries()) {
    const [first = '', second] = path
    if (path.length > 2) throw new Error(`Bug: ${path.join('.')} is nested deeper than rows are mapped`)
    const group = second === undefined ? root : findGroup(first)
    group.entries.push({ key: second ?? first, column, decode: createDecoder(field) })
  }
  // The type of a row follows from the query.
  return (row) => mapGroup(root, row) as Row
}

function mapGroup({ entries }: Group, row: RawRow): Record<string, unknown> {
  const mapped: Record<string, unknown> = {}
  for (const entry of entries) {
    if ('group' in entry) {
      const { marker } = entry.group
      mapped[entry.key] = marker !== null && row[marker] === null ? null : mapGroup(entry.group, row)
    } else {
      const value = row[entry.column]
      mapped[entry.key] = value === null || entry.decode === null ? value : entry.decode(value)
    }
  }
  return mapped
}

// Null for a value that stays as the driver returns it.
function createDecoder(field: unknown): Decode | null {
  const decoder = findDecoder(field)
  return decoder.mapFromDriverValue === Column.prototype.mapFromDriverValue
    ? null
    : (value) => decoder.mapFromDriverValue(value)
}

type Decoder = { mapFromDriverValue(value: unknown): unknown }

// A column decodes its own values; an expression has a decoder, which its types do not name.
function findDecoder(field: unknown): Decoder {
  if (is(field, Column)) return field
  const expression = is(field, SQL.Aliased) ? field.sql : field
  if (!is(expression, SQL)) throw new Error('Bug: only columns and expressions are mapped')
  return Reflect.get(expression, 'decoder')
}

function findMarker(
  fields: readonly SelectedField[],
  key: string,
  joined: Readonly<Record<string, boolean>> | undefined,
): number | null {
  if (joined === undefined) return null
  const isOfGroup = ({ path: [first], field }: SelectedField) => first === key && is(field, Column)
  const tables = new Set(
    fields.filter(isOfGroup).map(({ field }) => (is(field, Column) ? getTableName(field.table) : '')),
  )
  const [table] = tables
  return table !== undefined && tables.size === 1 && joined[table] !== true ? fields.findIndex(isOfGroup) : null
}
