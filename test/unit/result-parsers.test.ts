import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { openPglite, queryRows } from '../../src/db/client.ts'

test('the embedded database returns scalars and arrays as values, and arrays of its own row types as text', async () => {
  const { db, source, close } = await openPglite(null)
  try {
    const [row] = await queryRows(
      db,
      sql`select 1 as integer, true as boolean, '{"a":1}'::jsonb as json, array['a', 'b,c'] as texts, array[1, null] as integers,
        array['x'::name] as names, array['019c0000-0000-7000-8000-000000000000'::uuid] as ids, array(select n from pg_namespace n where nspname = 'pg_toast') as rows`,
    )
    expect(row).toEqual({
      integer: 1,
      boolean: true,
      json: { a: 1 },
      texts: ['a', 'b,c'],
      integers: [1, null],
      names: ['x'],
      ids: ['019c0000-0000-7000-8000-000000000000'],
      rows: expect.stringMatching(/^\{.*pg_toast.*\}$/),
    })
    if (source.kind !== 'pglite') throw new Error('Bug: this is the embedded database')
    expect(Object.keys(source.client.parsers).length).toBeLessThan(60)
  } finally {
    await close()
  }
})
