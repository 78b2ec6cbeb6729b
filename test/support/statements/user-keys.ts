// Whether a statement names the user whose rows it reads or writes, so that one shard can run it.
import { conjuncts, findNodes, isTree, type Level, listOf, namesOf, type Tree, treeOf } from './syntax-tree.ts'

/** A table with a key, and how the conditions of a level bind that key. */
export type KeyedRelation = {
  alias: string
  table: string
  kind: 'user' | 'look-up'
  column: string
  /**
   * ONE: an equality with a value. MANY: with a list, or with a column of a subquery. NONE: the
   * statement covers the rows of all users.
   */
  bound: 'ONE' | 'MANY' | 'NONE'
}

type Operand = { kind: 'value' } | { kind: 'values' } | { kind: 'key'; alias: string } | { kind: 'column' }

/** Returns the tables of a level that have a key. */
export function keyedRelations(level: Level): KeyedRelation[] {
  const bindings = bindingsOf(level, level.conditions)
  return level.relations.flatMap((relation) => {
    const { alias, table, key } = relation
    if (table === null || key === null || key.kind === 'local' || key.column === null) return []
    return [{ alias, table, kind: key.kind, column: key.column, bound: bindings.boundOf(alias) }]
  })
}

/** Returns true if the users' tables of a level are joined on the user, as far as they are not bound. */
export function areJoinedByUser(level: Level): boolean {
  const users = keyedRelations(level).filter(({ kind, bound }) => kind === 'user' && bound === 'NONE')
  const bindings = bindingsOf(level, level.conditions)
  return new Set(users.map(({ alias }) => bindings.find(alias))).size <= 1
}

/** Returns true if an INSERT has a value for the key of its table. */
export function insertsKey(level: Level, column: string): boolean {
  const position = listOf(level.tree, 'cols').findIndex((target) => treeOf(target, 'ResTarget').name === column)
  const source = treeOf(treeOf(level.tree, 'selectStmt'), 'SelectStmt')
  const rows = listOf(source, 'valuesLists').map((row) => listOf(treeOf(row, 'List'), 'items'))
  const targets = rows.length > 0 ? rows : [listOf(source, 'targetList')]
  return position >= 0 && targets.every((row) => row[position] !== undefined && !('SetToDefault' in row[position]))
}

/** Returns the names of the columns in a level's conditions, in their order. */
export function conditionColumns(level: Level): string[] {
  const columns = findNodes(level.conditions, 'ColumnRef').map((column) => namesOf(column, 'fields').at(-1) ?? '')
  return [...new Set(columns)]
}

function bindingsOf(level: Level, conditions: readonly Tree[]) {
  const parents = new Map<string, string>()
  const find = (alias: string): string => {
    const parent = parents.get(alias)
    return parent === undefined ? alias : find(parent)
  }
  const unite = (a: string, b: string) => {
    if (find(a) !== find(b)) parents.set(find(a), find(b))
  }
  const marks: { alias: string; bound: 'ONE' | 'MANY' }[] = []
  for (const [left, right] of conditions.flatMap((term) => equalities(level, term))) {
    for (const [key, other] of [
      [left, right],
      [right, left],
    ] as const) {
      if (key.kind !== 'key') continue
      if (other.kind === 'key') unite(key.alias, other.alias)
      if (other.kind === 'value') marks.push({ alias: key.alias, bound: 'ONE' })
      if (other.kind === 'values') marks.push({ alias: key.alias, bound: 'MANY' })
    }
  }
  for (const join of findNodes([level.tree.fromClause], 'JoinExpr').filter(({ usingClause }) => usingClause)) {
    const shared = namesOf(join, 'usingClause')
    const [first, ...rest] = level.relations.filter((relation) => shared.includes(relation.key?.column ?? ''))
    for (const other of rest) if (first !== undefined) unite(first.alias, other.alias)
    const hasDerived = level.relations.some(({ table }) => table === null)
    if (first !== undefined && hasDerived) marks.push({ alias: first.alias, bound: 'MANY' })
  }
  // A table is bound by OR if each of its terms binds it.
  for (const term of conditions) {
    const { boolop, args } = treeOf(term, 'BoolExpr')
    if (boolop !== 'OR_EXPR' || !Array.isArray(args)) continue
    const terms = args.filter(isTree).map((arm) => bindingsOf(level, conjuncts(arm)))
    for (const { alias } of level.relations)
      if (terms.every(({ boundOf }) => boundOf(alias) !== 'NONE')) marks.push({ alias, bound: 'MANY' })
  }
  const boundOf = (alias: string): KeyedRelation['bound'] => {
    const own = marks.filter((mark) => find(mark.alias) === find(alias)).map(({ bound }) => bound)
    return own.includes('ONE') ? 'ONE' : own.includes('MANY') ? 'MANY' : 'NONE'
  }
  return { find, boundOf }
}

/** Returns the pairs that a term makes equal; of rows, each pair. */
function equalities(level: Level, term: Tree): (readonly [Operand, Operand])[] {
  const { kind, name, lexpr, rexpr } = treeOf(term, 'A_Expr')
  const isEqual = Array.isArray(name) && namesOf({ name }, 'name').join() === '='
  if (isEqual && isTree(lexpr) && isTree(rexpr)) {
    const [left, right] = [partsOf(lexpr), partsOf(rexpr)]
    if (kind === 'AEXPR_OP' && left.length === right.length)
      return left.map((part, at) => [operand(level, part), operand(level, right[at] ?? {})] as const)
    // `in (…)` and `= any(…)`.
    if (kind === 'AEXPR_IN' || kind === 'AEXPR_OP_ANY')
      return left.map((part) => [operand(level, part), { kind: 'values' }] as const)
  }
  const { subLinkType, testexpr, operName } = treeOf(term, 'SubLink')
  if (subLinkType === 'ANY_SUBLINK' && operName === undefined && isTree(testexpr))
    return partsOf(testexpr).map((part) => [operand(level, part), { kind: 'values' }] as const)
  return []
}

function partsOf(expression: Tree): Tree[] {
  return 'RowExpr' in expression ? listOf(treeOf(expression, 'RowExpr'), 'args') : [expression]
}

function operand(level: Level, expression: Tree): Operand {
  if ('ColumnRef' in expression) return columnOperand(level, namesOf(treeOf(expression, 'ColumnRef'), 'fields'))
  if ('SubLink' in expression) return { kind: 'values' }
  return findNodes(expression, 'ColumnRef').length === 0 ? { kind: 'value' } : { kind: 'column' }
}

function columnOperand(level: Level, names: readonly string[]): Operand {
  const column = names.at(-1) ?? ''
  const qualifier = names.at(-2)
  const relation = level.relations.find(({ alias, table, key }) =>
    qualifier === undefined ? (key?.columns.has(column) ?? false) : alias === qualifier || table === qualifier,
  )
  if (relation !== undefined) {
    // A column of a subquery: that is judged as a level of its own.
    if (relation.table === null) return { kind: 'values' }
    return relation.key?.column === column ? { kind: 'key', alias: relation.alias } : { kind: 'column' }
  }
  if (qualifier === undefined && level.relations.some(({ table }) => table === null)) return { kind: 'values' }
  if (level.outer === null) return { kind: 'column' }
  const outer = columnOperand(level.outer, names)
  // The key of an outer level binds as much as that level is bound.
  return outer.kind === 'key' ? { kind: 'values' } : outer
}
