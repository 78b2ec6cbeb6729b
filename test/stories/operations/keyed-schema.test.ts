// The schema as the database has it: everything of a user is found, kept unique and deleted by the
// user's id, so that deploy/citus.sql can distribute it.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'
import { functionVolatility } from '../../support/statements/functions.ts'
import { tableKeys } from '../../support/statements/table-keys.ts'

let world: World

beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const userTables = [...tableKeys].filter(([, { kind }]) => kind === 'user').map(([name]) => name)
const lookUps = [...tableKeys].filter(([, { kind }]) => kind === 'look-up').map(([name]) => name)

/** Returns the unique indexes of all tables, with the names of their columns. */
async function readUniqueIndexes() {
  return queryRows(
    world,
    sql`select t.relname as table_name, i.relname as index_name, x.indisprimary as is_primary,
      (select string_agg(a.attname, ',') from pg_attribute a where a.attrelid = t.oid and a.attnum = any(x.indkey)) as columns
    from pg_index x join pg_class t on t.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
    where x.indisunique and t.relnamespace = 'public'::regnamespace`,
  )
}

test('every table is in the list of tables with their keys', async () => {
  const rows = await queryRows(
    world,
    sql`select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition order by 1`,
  )
  expect(rows.map(({ relname }) => relname)).toEqual([...tableKeys.keys()].toSorted())
})

test('the key of a table is never null, and part of its primary key and of each unique index', async () => {
  const indexes = await readUniqueIndexes()
  for (const [table, { column }] of tableKeys) {
    if (column === null) continue
    const own = indexes.filter(({ table_name }) => table_name === table)
    expect(
      own.filter(({ is_primary }) => is_primary),
      table,
    ).toHaveLength(1)
    expect(
      own.filter(({ columns }) => !list(columns).includes(column)),
      table,
    ).toEqual([])
    const [attribute] = await queryRows(
      world,
      sql`select attnotnull from pg_attribute where attrelid = ${table}::regclass and attname = ${column}`,
    )
    expect(attribute, `${table}.${column}`).toEqual({ attnotnull: true })
  }
})

test('a foreign key of a user’s table has the user on both sides, and a look-up table has none', async () => {
  const keys = await queryRows(
    world,
    sql`select c.conrelid::regclass::text as table_name, c.confrelid::regclass::text as referenced, c.confdeltype as on_delete,
      (select string_agg(a.attname, ',' order by k.at) from unnest(c.conkey) with ordinality k(n, at)
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.n) as columns,
      (select string_agg(a.attname, ',' order by k.at) from unnest(c.confkey) with ordinality k(n, at)
        join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.n) as referenced_columns
    from pg_constraint c where c.contype = 'f' and c.connamespace = 'public'::regnamespace and c.conparentid = 0`,
  )
  expect(keys.length).toBeGreaterThan(5)
  for (const { table_name, referenced, on_delete, columns, referenced_columns } of keys) {
    const name = `${table_name} → ${referenced}`
    expect(userTables, name).toEqual(expect.arrayContaining([table_name, referenced]))
    const at = list(columns).indexOf('user_id')
    expect(list(referenced_columns)[at], name).toBe(referenced === 'users' ? 'id' : 'user_id')
    // Anything else would set the user to null.
    expect(on_delete, name).toBe('c')
  }
})

test('the deletion of a user reaches every table of users but the one of revocations, which outlive them', async () => {
  const rows = await queryRows(
    world,
    sql`select distinct conrelid::regclass::text as name from pg_constraint
      where contype = 'f' and connamespace = 'public'::regnamespace and confdeltype = 'c' and conparentid = 0`,
  )
  const expected = userTables.filter((name) => name !== 'users' && name !== 'grant_revocations')
  expect(rows.map(({ name }) => name).toSorted()).toEqual(expected.toSorted())
})

test('there are no triggers of ours, no sequences, and no volatile functions for statements', async () => {
  expect(
    await queryRows(
      world,
      sql`select tgname from pg_trigger where not tgisinternal and tgrelid in
    (select oid from pg_class where relnamespace = 'public'::regnamespace)`,
    ),
  ).toEqual([])
  expect(await queryRows(world, sql`select sequencename from pg_sequences where schemaname = 'public'`)).toEqual([])
  const functions = await queryRows(
    world,
    sql`select proname, provolatile from pg_proc where pronamespace = 'public'::regnamespace order by 1`,
  )
  expect(functions).toEqual([
    // Called alone: by the start, the maintenance, the owner of the tables, and each other.
    { proname: 'xconnect_create_month', provolatile: 'v' },
    { proname: 'xconnect_create_months_ahead', provolatile: 'v' },
    { proname: 'xconnect_drop_past_months', provolatile: 'v' },
    { proname: 'xconnect_empty_default_partitions', provolatile: 'v' },
    { proname: 'xconnect_now', provolatile: 's' },
  ])
})

test('the functions that the judge of statements knows are as volatile as it says', async () => {
  for (const [name, volatility] of Object.entries(functionVolatility)) {
    const [row] = await queryRows(
      world,
      // The letters v, s and i are in the order of the volatility.
      sql`select max(provolatile::text collate "C") as letter from pg_proc
        where proname = ${name} and pronamespace in ('pg_catalog'::regnamespace, 'public'::regnamespace)`,
    )
    expect([name, row?.letter]).toEqual([name, { IMMUTABLE: 'i', STABLE: 's', VOLATILE: 'v' }[volatility]])
  }
})

test('deploy/citus.sql distributes each table with a key by that key, and names those that stay local', () => {
  const script = readFileSync(path.join(import.meta.dirname, '../../../deploy/citus.sql'), 'utf8')
  const calls = script.matchAll(/^select create_distributed_table\('(\w+)', '(\w+)', colocate_with => '(\w+)'\);$/gm)
  const distributed = [...calls].map(([, table, column, colocated]) => [table, column, colocated])
  const expected = [...tableKeys].flatMap(([table, { kind, column }]) =>
    kind === 'local' ? [] : [[table, column, table === 'users' || lookUps.includes(table) ? 'none' : 'users']],
  )
  expect(distributed.toSorted()).toEqual(expected.toSorted())
  const [, local = ''] = /remain ([^,]+(?:, [^,]+)*?), which have a few rows/.exec(script.replaceAll('\n--', '')) ?? []
  const named = local.split(/, | and /).toSorted()
  expect(named).toEqual(
    [...tableKeys]
      .filter(([, { kind }]) => kind === 'local')
      .map(([name]) => name)
      .toSorted(),
  )
})

/** The names in a list with commas, in which both drivers return the same. */
function list(names: unknown): string[] {
  return String(names).split(',')
}
