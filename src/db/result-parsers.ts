// PGlite copies its whole table of parsers for every result. Most of its 318 entries are for arrays
// of the server's own row types, which no query of the gateway returns. Without them a query takes
// a third less CPU time.
import { type PGlite, types } from '@electric-sql/pglite'

// The object ids of built-in array types (pg_type.dat): of boolean, bytea, name, smallint, integer,
// text, varchar, bigint, oid, timestamp, date, timestamptz, numeric, json, uuid and jsonb.
const ARRAY_TYPES = [1000, 1001, 1003, 1005, 1007, 1009, 1015, 1016, 1028, 1115, 1182, 1185, 1231, 199, 2951, 3807]

/**
 * Returns the parsers of scalar types and of arrays of common types. A value of any other type is
 * returned as text.
 */
export function keepUsedParsers(client: PGlite): PGlite {
  const used = new Set([...Object.keys(types.parsers), ...ARRAY_TYPES.map(String)])
  client.parsers = Object.fromEntries(Object.entries(client.parsers).filter(([type]) => used.has(type)))
  return client
}
