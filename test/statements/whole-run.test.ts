// Judges the statements of a whole run. Vitest runs this project after the others (`groupOrder` in
// vitest.config.ts).
import { globSync } from 'node:fs'
import path from 'node:path'
import { afterAll, expect, inject, test } from 'vitest'
import { pgliteDirectory } from '../../src/config/database-config.ts'
import { openPglite, openSingleConnection } from '../../src/db/client.ts'
import { createTestDatabase, type DatabaseKind } from '../support/database.ts'
import { growTables, type Size } from '../support/grown-tables.ts'
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

// In smaller tables the planner rightly prefers an index in the order of the result.
const SIZE: Size = { connections: 5_000, tweets: 20_000, events: 20_000 }

/** Executes one statement without parameters, and returns its rows. */
type Run = (statement: string) => Promise<readonly Record<string, unknown>[]>

const resources = new AsyncDisposableStack()
afterAll(() => resources.disposeAsync())

async function openGrown(kind: DatabaseKind): Promise<Run> {
  const { environment, dataDir } = resources.use(await createTestDatabase(kind))
  const run = kind === 'postgres' ? runOnPostgres(environment.DATABASE_URL ?? '') : await runOnPglite(dataDir)
  await growTables(run, SIZE)
  // With unknown parameters the planner takes a bound of time for a wide one, and prefers to read
  // tables of this size. Without these three it does so only where no index fits.
  for (const method of ['seqscan', 'hashjoin', 'mergejoin']) await run(`set enable_${method} = off`)
  return run
}

function runOnPostgres(url: string): Run {
  const connection = openSingleConnection(url)
  resources.defer(() => connection.end())
  return (statement) => connection.unsafe(statement)
}

async function runOnPglite(dataDir: string): Promise<Run> {
  const { source, close } = await openPglite(pgliteDirectory(dataDir))
  resources.defer(close)
  if (source.kind !== 'pglite') throw new Error('Bug: this is the embedded database')
  return async (statement) => (await source.client.exec(statement)).at(-1)?.rows ?? []
}

/** Returns a paragraph for each statement that reads a whole table. */
async function listFaults(run: Run, judged: readonly (typeof verdicts)[number][]): Promise<string> {
  const rows = await run('select indexrelid::regclass::text as name from pg_index where indpred is not null')
  const partialIndexes = new Set(rows.map(({ name }) => String(name)))
  // Any index is as good in a partition without rows.
  const partitions = await run(
    'select p.relname as name, t.relname as "table" from pg_inherits join pg_class p on p.oid = inhrelid join pg_class t on t.oid = inhparent where p.reltuples > 0',
  )
  const filled = partitions.flatMap(({ name, table }) => (growingTables.has(String(table)) ? [String(name)] : []))
  expect(filled.length).toBeGreaterThan(1)
  const growing = new Set([...growingTables, ...filled])
  const faults = []
  for (const { text, file } of judged) {
    const [row] = await run(`explain (generic_plan, format json) ${text}`)
    const problems = judgePlan(parsePlan(row?.['QUERY PLAN']), growing, partialIndexes)
    if (problems.length > 0)
      faults.push([...problems, text.replaceAll(/\s+/g, ' ').trim(), `(sent in ${file})`].join('\n'))
  }
  return faults.join('\n\n')
}

test('every statement finds its rows by an index, in tables of any size', async () => {
  const keyed = verdicts.filter(({ isKeyed }) => isKeyed)
  expect(keyed.length).toBeGreaterThan(0)
  const run = await openGrown('postgres')
  expect(await listFaults(run, keyed)).toBe('')
})

test('so does every statement over all users on the embedded database', async () => {
  const acrossAll = verdicts.filter(({ shapes }) => shapes.length > 0)
  const run = await openGrown('pglite')
  expect(await listFaults(run, acrossAll)).toBe('')
})

test.runIf(isWholeRun)('every statement over all users that the list allows is sent', () => {
  const sent = new Set(verdicts.flatMap(({ shapes }) => shapes))
  expect(Object.keys(acrossUsers).filter((shape) => !sent.has(shape))).toEqual([])
})
