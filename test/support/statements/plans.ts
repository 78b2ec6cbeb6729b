// Plans of statements, to find those that read a whole table that grows.
import { z } from 'zod'
import { tableKeys } from './table-keys.ts'

/** Tables with a key that may be read as a whole, with the reason. */
const smallTables: Readonly<Record<string, string>> = {
  rate_limits: 'It has the callers of the last 15 minutes, and an index would be written by each request.',
  grant_revocations: 'It has the revocations that X has not accepted yet.',
  orphaned_tokens: 'It has the token pairs of an account between two refreshes, after a fault.',
}

/** The tables that grow with the users or with time. */
export const growingTables: ReadonlySet<string> = new Set(
  [...tableKeys].flatMap(([name, { column }]) => (column === null || name in smallTables ? [] : [name])),
)

const planShape = z.looseObject({
  'Node Type': z.string(),
  'Relation Name': z.string().optional(),
  'Index Name': z.string().optional(),
  'Index Cond': z.string().optional(),
  Filter: z.string().optional(),
  'One-Time Filter': z.string().optional(),
  /** With ANALYZE, for each of the loops. */
  'Actual Rows': z.number().optional(),
  'Actual Loops': z.number().optional(),
  'Rows Removed by Filter': z.number().optional(),
  get Plans() {
    return z.array(planShape).optional()
  },
})
export type Plan = z.infer<typeof planShape>

/** Parses what EXPLAIN (FORMAT JSON) returns. */
export function parsePlan(json: unknown): Plan {
  const [{ Plan: plan }] = z.tuple([z.object({ Plan: planShape })]).parse(json)
  return plan
}

// What is below is read while the estimated number of rows is below a constant. The plan shows the
// subquery as $0, or by its name.
const WHILE_SMALL = /^\((?:\$\d+|\(InitPlan \d+\)\.col1) < '\d{1,6}'::double precision\)$/

/**
 * Returns a sentence for each table with a key that a plan reads as a whole.
 * @param partialIndexes the names of partial indexes: to read one of them as a whole is what it is for.
 */
export function judgePlan(plan: Plan, growing: ReadonlySet<string>, partialIndexes: ReadonlySet<string>): string[] {
  return flatten(plan).flatMap(({ node, isLimited }) => {
    const {
      'Node Type': type,
      'Relation Name': table = '',
      'Index Name': index = '',
      'Index Cond': condition,
      Filter,
    } = node
    if (!growing.has(table)) return []
    if (type === 'Seq Scan') return [`It reads all of ${table}.`]
    const isWhole = /^Index (?:Only )?Scan$/.test(type) && condition === undefined && !partialIndexes.has(index)
    // In the order of the index, up to the limit, unless most rows have to be skipped.
    return isWhole && !(isLimited && Filter === undefined) ? [`It reads all of the index ${index}.`] : []
  })
}

function flatten(plan: Plan, isLimited = false): { node: Plan; isLimited: boolean }[] {
  const below = isLimited || plan['Node Type'] === 'Limit'
  if (WHILE_SMALL.test(plan['One-Time Filter'] ?? '')) return []
  const isOrderLost = ['Sort', 'Aggregate', 'Hash'].includes(plan['Node Type'])
  const children = (plan.Plans ?? []).flatMap((child) => flatten(child, below && !isOrderLost))
  return [{ node: plan, isLimited }, ...children]
}
