// Our mapping of rows against Drizzle's own, for every column type of our tables.
import { getTableColumns, is, sql, Table } from 'drizzle-orm'
import { PgColumn } from 'drizzle-orm/pg-core'
import * as drizzleUtils from 'drizzle-orm/utils'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRowMapper, type RawRow, type SelectedField } from '../../src/db/row-mapper.ts'
import * as tables from '../../src/db/tables.ts'

// Drizzle's types do not name these two.
const { mapResultRow, orderSelectedFields } = drizzleUtils as unknown as {
  mapResultRow(fields: SelectedField[], row: RawRow, joined: Joined): unknown
  orderSelectedFields(fields: object): SelectedField[]
}
type Joined = Record<string, boolean> | undefined

const all = Object.values<unknown>(tables).filter((one) => is(one, Table))

// A moment as PostgreSQL writes it, with milliseconds and without, in any year.
const moments = fc
  .date({ min: new Date('1000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString().replace('T', ' ').replace('Z', '+00').replace('.000', ''))

// What both drivers return for the type of a column.
const rawValues: Record<string, fc.Arbitrary<unknown>> = {
  PgTimestamp: moments,
  PgUUID: fc.uuid(),
  PgText: fc.string(),
  PgBoolean: fc.boolean(),
  PgInteger: fc.integer(),
  PgBigInt53: fc.maxSafeInteger().map((value) => (value % 2 === 0 ? value : String(value))),
  PgDoublePrecision: fc.double({ noNaN: true }),
  PgArray: fc.array(fc.string()),
}

function rawValue(field: unknown): fc.Arbitrary<unknown> {
  if (!is(field, PgColumn)) return fc.string()
  const values = rawValues[field.columnType]
  if (values === undefined) throw new Error(`There are no values for ${field.columnType}`)
  return fc.oneof({ weight: 3, arbitrary: values }, { weight: 1, arbitrary: fc.constant(null) })
}

function compare(selection: object, joined: Joined): void {
  const fields = orderSelectedFields(selection)
  const mapRow = createRowMapper(fields, joined)
  const rows = fc.tuple(...fields.map(({ field }) => rawValue(field)))
  fc.assert(
    fc.property(rows, (row) => {
      expect(mapRow(row)).toStrictEqual(mapResultRow(fields, row, joined))
    }),
  )
}

test('there are tables', () => {
  expect(all.length).toBeGreaterThan(15)
})

test.each(all.map((table) => [Reflect.get(table, Symbol.for('drizzle:Name')), table] as const))(
  'maps the rows of %s as Drizzle does',
  (_name, table) => compare(getTableColumns(table), undefined),
)

const { connectedAccounts, oauthTokens, users } = tables
const { lastEvent, lastEventAt, nextTryAt } = oauthTokens
const tokenHealth = { lastEvent, lastEventAt, nextTryAt }

test.each<[string, object, Joined]>([
  ['a left join', { id: connectedAccounts.id, tokenHealth }, { connected_accounts: true, oauth_tokens: false }],
  ['an inner join', { id: connectedAccounts.id, tokenHealth }, { connected_accounts: true, oauth_tokens: true }],
  ['an object without a join', { id: connectedAccounts.id, tokenHealth }, undefined],
  ['whole tables', { account: connectedAccounts, user: users }, { connected_accounts: true, users: false }],
  [
    'an object of two tables',
    { both: { lastEvent, username: connectedAccounts.username } },
    { connected_accounts: true, oauth_tokens: false },
  ],
  [
    'expressions',
    {
      plain: sql`1`,
      mapped: sql`1`.mapWith(Number),
      named: sql`1`.mapWith(users.createdAt).as('named'),
      o: { in: sql`1` },
    },
    { users: false },
  ],
])('maps %s as Drizzle does', (_what, selection, joined) => compare(selection, joined))

test('maps an object that no join has found to null', () => {
  const mapRow = createRowMapper(orderSelectedFields({ id: connectedAccounts.id, tokenHealth }), {
    oauth_tokens: false,
  })
  expect(mapRow(['1', null, null, null])).toStrictEqual({ id: '1', tokenHealth: null })
})

test('refuses a selection that is nested more deeply', () => {
  expect(() => createRowMapper([{ path: ['a', 'b', 'c'], field: users.id }], undefined)).toThrow('nested deeper')
})
