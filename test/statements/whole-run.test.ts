// Judges the statements of a whole run. Vitest runs this project after the others (`groupOrder` in
// vitest.config.ts).
import { globSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { openSingleConnection } from '../../src/db/client.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { growTables } from '../support/grown-tables.ts'
import { acrossUsers } from '../support/statements/across-users.ts'
import { judgeStatement, withoutMigrations } from '../support/statements/judge.ts'
import { growingTables, judgePlan, parsePlan } from '../support/statements/plans.ts'
import { listLoggedFiles, readStatements } from '../support/statements/statement-log.ts'
import { tableKeys } from '../support/statements/table-keys.ts'
import { testFiles } from '../vitest.config.ts'

const root = path.join(import.meta.dirname, '../..')
const directory = inject('statementLog')
const statements = withoutMigrations(readStatements(directory))
const verdicts = statements.map((statement) => ({ ...statement, ...judgeStatement(statement.text, tableKeys) }))

const ran = new Set(listLoggedFiles(directory))
const { statements: _, ...others } = testFiles
const wanted = globSync(Object.values(others).flat(), { cwd: root })
// A run of some files has not sent everything.
const isWholeRun = !inject('isFiltered') && wanted.every((file) => ran.has(file))

let database: TestDatabase
let connection: ReturnType<typeof openSingleConnection>

beforeAll(async () => {
  database = await createTestDatabase('postgres')
  connection = openSingleConnection(database.environment.DATABASE_URL ?? '')
  await growTables((statement) => connection.unsafe(statement), { connections: 5_000, tweets: 20_000, events: 20_000 })
  // With unknown parameters the planner takes a bound of time for a wide one, and prefers to read
  // tables of this size. Without these three it does so only where no index fits.
  for (const method of ['seqscan', 'hashjoin', 'mergejoin']) await connection.unsafe(`set enable_${method} = off`)
})
afterAll(async () => {
  await connection?.end()
  await database?.remove()
})

test('every statement finds its rows by an index, in tables of any size', async () => {
  const rows = await connection`select indexrelid::regclass::text as name from pg_index where indpred is not null`
  const partialIndexes = new Set(rows.map(({ name }) => String(name)))
  // Any index is as good in a partition without rows.
  const partitions = await connection`select p.relname as name from pg_inherits join pg_class p on p.oid = inhrelid
    join pg_class t on t.oid = inhparent where t.relname in ${connection([...growingTables])} and p.reltuples > 0`
  expect(partitions.length).toBeGreaterThan(1)
  const growing = new Set([...growingTables, ...partitions.map(({ name }) => String(name))])
  const planned = verdicts.filter(({ isKeyed }) => isKeyed)
  expect(planned.length).toBeGreaterThan(0)
  const faults = []
  for (const { text, file } of planned) {
    const [row] = await connection.unsafe(`explain (generic_plan, format json) ${text}`)
    const problems = judgePlan(parsePlan(row?.['QUERY PLAN']), growing, partialIndexes)
    if (problems.length > 0)
      faults.push([...problems, text.replaceAll(/\s+/g, ' ').trim(), `(sent in ${file})`].join('\n'))
  }
  expect(faults.join('\n\n')).toBe('')
})

test.runIf(isWholeRun)('every statement over all users that the list allows is sent', () => {
  const sent = new Set(verdicts.flatMap(({ shapes }) => shapes))
  expect(Object.keys(acrossUsers).filter((shape) => !sent.has(shape))).toEqual([])
})
