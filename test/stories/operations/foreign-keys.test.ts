// Deleting a row looks for the rows that reference it: without an index each deletion reads the
// whole table.
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queryRows } from '../../support/connected-account.ts'
import { startWorld, type World } from '../../support/harness.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

// It has the attempts of one day.
const SMALL = 'connect_attempts'

test('every foreign key of a growing table has a complete index', async () => {
  const references = await queryRows(
    world,
    sql`select conrelid::regclass::text as "from", attname::text as "column", exists (
          select from pg_index
          where indrelid = conrelid and indkey[0] = conkey[1] and indpred is null
        ) as indexed
        from pg_constraint join pg_attribute on attrelid = conrelid and attnum = conkey[1]
        where contype = 'f' and connamespace = 'public'::regnamespace`,
  )
  expect(references.length).toBeGreaterThan(10)
  expect(references.filter((reference) => !reference.indexed && reference.from !== SMALL)).toEqual([])
})
