// Judges statements by what a schema that is distributed by user demands. Citus refuses most of
// these at run time.
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { acrossUsers, withoutLimit } from './across-users.ts'
import { functionVolatility } from './functions.ts'
import type { LoggedStatement } from './statement-log.ts'
import { findNodes, findNodesDeep, type Level, listOf, namesOf, parseLevels, type Tree, treeOf } from './syntax-tree.ts'
import type { TableKeys } from './table-keys.ts'
import { areJoinedByUser, conditionColumns, insertsKey, type KeyedRelation, keyedRelations } from './user-keys.ts'

export type Verdict = {
  /** One sentence for each fault. */
  problems: string[]
  /** The shapes of the levels that cover the rows of all users. */
  shapes: string[]
  /** False for a statement without a table that has a key. */
  isKeyed: boolean
}

// The files of a worker send mostly the same statements.
const knownProblems = new Map<string, readonly string[]>()

// A process that starts on an empty database migrates it, before any table is distributed.
const migrations = new Set(readMigrationFiles({ migrationsFolder: 'drizzle' }).flatMap(({ sql }) => sql))

/** Returns the statements that are not those of a migration. */
export function withoutMigrations(statements: readonly LoggedStatement[]): LoggedStatement[] {
  return statements.filter(({ text }) => !migrations.has(text))
}

/** Returns a paragraph for each statement that breaks a rule, with its text and its test file. */
export function judgeStatements(statements: readonly LoggedStatement[], keys: TableKeys): string[] {
  return withoutMigrations(statements).flatMap(({ text, file }) => {
    const problems = knownProblems.get(text) ?? judgeStatement(text, keys).problems
    knownProblems.set(text, problems)
    return problems.length === 0
      ? []
      : [[...problems, text.replaceAll(/\s+/g, ' ').trim(), `(sent in ${file})`].join('\n')]
  })
}

/**
 * @param keys the tables to which the rules apply.
 * @param allowed reasons of statements over all users, by their shape.
 * @param unlimited reasons of those without LIMIT.
 */
export function judgeStatement(
  text: string,
  keys: TableKeys,
  allowed = acrossUsers,
  unlimited = withoutLimit,
): Verdict {
  const levels = parseLevels(text, keys)
  const keyed = levels.flatMap(keyedRelations)
  if (keyed.length === 0) return { problems: [], shapes: [], isKeyed: false }
  const shapes = levels.flatMap(shapesOf)
  const problems = [
    ...shapes
      .filter((shape) => allowed[shape] === undefined)
      .map((shape) => `It names no user, and "${shape}" is not in across-users.ts.`),
    ...levels.flatMap((level) => judgeBound(level, unlimited)),
    ...levels.flatMap(judgeLevel),
    ...judgeMixture(levels, keyed),
  ]
  return { problems: [...new Set(problems)], shapes, isKeyed: true }
}

/** `select tweets by status, claimed_until`: the statement, its tables and the columns of its conditions. */
function shapesOf(level: Level): string[] {
  const unbound = keyedRelations(level).filter(({ bound }) => bound === 'NONE')
  if (unbound.length === 0 || level.verb === 'insert') return []
  const columns = conditionColumns(level)
  const condition = columns.length === 0 ? '' : ` by ${columns.join(', ')}`
  return [`${level.verb} ${unbound.map(({ table }) => table).join(', ')}${condition}`]
}

/** Work over the rows of all users is done in batches: no statement grows with the tables. */
function judgeBound(level: Level, unlimited: Readonly<Record<string, string>>): string[] {
  return shapesOf(level).flatMap((shape) => {
    if (level.verb !== 'select') return [`It changes rows of all users at once: find them with LIMIT. (${shape})`]
    const isBounded = level.tree.limitCount !== undefined || unlimited[shape] !== undefined
    return isBounded ? [] : [`It reads rows of all users without LIMIT. (${shape})`]
  })
}

function judgeLevel(level: Level): string[] {
  const keyed = keyedRelations(level)
  const problems: string[] = []
  if (!areJoinedByUser(level)) problems.push('It joins tables of users, but not on the user.')
  if (level.verb === 'insert' && keyed[0] !== undefined) problems.push(...judgeInsert(level, keyed[0]))
  if (level.verb === 'update' && keyed[0] !== undefined && isAssigned(level.tree, keyed[0].column))
    problems.push(`It changes ${keyed[0].column}, by which the table is distributed.`)
  problems.push(...judgeLocks(level, keyed), ...judgeFunctions(level, keyed))
  return problems
}

function judgeInsert(level: Level, { table, column }: KeyedRelation): string[] {
  const problems: string[] = []
  if (!insertsKey(level, column)) problems.push(`It inserts into ${table} without ${column}.`)
  const conflict = treeOf(level.tree, 'onConflictClause')
  const target = treeOf(conflict, 'infer')
  if (target.conname !== undefined) problems.push('It names a constraint in ON CONFLICT: name its columns.')
  const columns = listOf(target, 'indexElems').map((element) => treeOf(element, 'IndexElem').name)
  if (columns.length > 0 && !columns.includes(column)) problems.push(`Its ON CONFLICT is without ${column}.`)
  if (isAssigned(conflict, column)) problems.push(`It changes ${column}, by which the table is distributed.`)
  const { targetList, whereClause } = conflict
  const set = [targetList, whereClause]
  for (const name of functionsIn(set))
    if (functionVolatility[name] !== 'IMMUTABLE') problems.push(`${name}() in ON CONFLICT DO UPDATE is not IMMUTABLE.`)
  // timestamptz + interval is STABLE, because a day has not always 24 hours.
  const types = findNodesDeep(set, 'TypeCast').map((cast) => namesOf(treeOf(cast, 'typeName'), 'names').at(-1) ?? '')
  if (functionsIn(set).includes('make_interval') || types.some((type) => /time|interval|date/.test(type)))
    problems.push('ON CONFLICT DO UPDATE calculates with times, which is STABLE: take them from excluded.')
  if (findNodesDeep(set, 'SubLink').length > 0) problems.push('ON CONFLICT DO UPDATE has a subquery.')
  return problems
}

function judgeLocks(level: Level, keyed: readonly KeyedRelation[]): string[] {
  const clauses = listOf(level.tree, 'lockingClause').map((clause) => treeOf(clause, 'LockingClause'))
  const locked = clauses.flatMap((clause) => {
    const names = listOf(clause, 'lockedRels').map((relation) => treeOf(relation, 'RangeVar').relname)
    return keyed.filter(({ alias }) => names.length === 0 || names.includes(alias))
  })
  return locked
    .filter(({ bound }) => bound !== 'ONE')
    .map(({ table, column }) => `It locks rows of ${table} without one ${column}.`)
}

function judgeFunctions(level: Level, keyed: readonly KeyedRelation[]): string[] {
  if (keyed.length === 0) return []
  const unknown = functionsIn(level.tree).filter((name) => functionVolatility[name] === undefined)
  const isChange = level.verb === 'update' || level.verb === 'delete'
  const { onConflictClause: _, ...others } = level.tree
  const strict = isChange ? level.tree : { ...others, selectStmt: null, targetList: null }
  const volatile = functionsIn(strict).filter((name) => functionVolatility[name] === 'VOLATILE')
  return [
    ...unknown.map((name) => `${name}() is not in functions.ts.`),
    ...volatile.map((name) => `${name}() is VOLATILE.`),
    ...(functionsIn(level.tree).includes('clock_timestamp')
      ? ['clock_timestamp() instead of deps.clock.sqlNow().']
      : []),
  ]
}

/** Tables on different shards cannot be read in one statement, nor together with a local table. */
function judgeMixture(levels: readonly Level[], keyed: readonly KeyedRelation[]): string[] {
  const lookUps = keyed.filter(({ kind }) => kind === 'look-up').map(({ table }) => table)
  const isUsers = keyed.some(({ kind }) => kind === 'user')
  const local = levels
    .flatMap(({ relations }) => relations)
    .flatMap(({ table, key }) =>
      table !== null && (key === null ? table.includes('.') : key.kind === 'local') ? [table] : [],
    )
  const groups = [...new Set([...(isUsers ? ['tables of users'] : []), ...lookUps, ...local])]
  return groups.length > 1 ? [`It has ${groups.join(' and ')}, which are on different shards.`] : []
}

function isAssigned(tree: Tree, column: string): boolean {
  return listOf(tree, 'targetList').some((target) => treeOf(target, 'ResTarget').name === column)
}

function functionsIn(tree: unknown): string[] {
  const calls = findNodes(tree, 'FuncCall').map((call) => namesOf(call, 'funcname').at(-1) ?? '')
  const keywords = findNodes(tree, 'SQLValueFunction').map(({ op }) => String(op).replace('SVFOP_', '').toLowerCase())
  return [...calls, ...keywords]
}
