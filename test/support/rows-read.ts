// Counts the rows that a statement reads from a table, as EXPLAIN ANALYZE finds them.
import { connectPostgres } from '../../src/db/connection.ts'
import type { World } from './harness.ts'
import type { SentStatement } from './instance.ts'
import { type Plan, parsePlan } from './statements/plans.ts'

/** Returns how many rows of a table, or of its partitions, the statements read, executed once more. */
export async function countRowsRead(
  world: World,
  table: string,
  statements: readonly SentStatement[],
): Promise<number> {
  await using explain = openExplain(world)
  let rows = 0
  for (const statement of statements) rows += countIn(parsePlan(await explain.run(statement)), table)
  return rows
}

function openExplain(world: World) {
  const { source } = world.database()
  const explained = (text: string) => `explain (analyze, format json) ${text}`
  if (source.kind === 'pglite') {
    const run = async ({ text, params }: SentStatement) =>
      planOf((await source.client.query(explained(text), params)).rows[0])
    return { run, [Symbol.asyncDispose]: async () => {} }
  }
  const pool = connectPostgres(source, { applicationName: 'explain', route: 'direct', max: 1 })
  const run = async ({ text, params }: SentStatement) =>
    planOf((await pool.unsafe(explained(text), params as never[]))[0])
  return { run, [Symbol.asyncDispose]: () => pool.end() }
}

function planOf(row: unknown): unknown {
  return typeof row === 'object' && row !== null && 'QUERY PLAN' in row ? row['QUERY PLAN'] : null
}

function countIn(plan: Plan, table: string): number {
  const name = plan['Relation Name'] ?? ''
  const isIts = name === table || name.startsWith(`${table}_2`) || name === `${table}_default`
  const each = (plan['Actual Rows'] ?? 0) + (plan['Rows Removed by Filter'] ?? 0)
  const own = isIts ? Math.ceil(each * (plan['Actual Loops'] ?? 0)) : 0
  return (plan.Plans ?? []).reduce((sum, child) => sum + countIn(child, table), own)
}
