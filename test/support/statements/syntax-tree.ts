// Statements as trees, by PostgreSQL's own parser: the levels of a statement (each SELECT, INSERT,
// UPDATE or DELETE in it) with their relations and conditions.
import { loadModule, parseSync } from 'libpg-query'
import type { TableKey, TableKeys } from './table-keys.ts'

await loadModule()

/** A node of the tree: its kind is the only key. Attributes are read with `inside`. */
export type Tree = { [key: string]: unknown }

/** A member of FROM, or the table that is changed. */
export type Relation = {
  /** The name by which the statement calls it. */
  alias: string
  /** The table; null for a subquery, a function, or the result of a WITH query. */
  table: string | null
  /** The key of the table; null for what is not a table, and for tables of other schemas. */
  key: TableKey | null
}

export type Level = {
  verb: 'select' | 'insert' | 'update' | 'delete'
  /** The attributes of the statement's node. */
  tree: Tree
  relations: readonly Relation[]
  /** Terms of WHERE and ON that all have to be true. */
  conditions: readonly Tree[]
  /** The level that this one is a subquery of. */
  outer: Level | null
}

const VERBS = { SelectStmt: 'select', InsertStmt: 'insert', UpdateStmt: 'update', DeleteStmt: 'delete' } as const
type StatementKind = keyof typeof VERBS

/**
 * Returns the levels of all statements in `text`, outer ones first; none for BEGIN, SET and the like.
 * @throws Error when PostgreSQL could not parse it.
 */
export function parseLevels(text: string, keys: TableKeys): Level[] {
  const scope = { keys, withNames: new Set<string>() }
  return listOf(asTree(parseSync(text)), 'stmts').flatMap(({ stmt }) => levelsIn(stmt, null, scope))
}

/** Returns the statements in `text` as trees. @throws Error when PostgreSQL could not parse it. */
export function parseStatements(text: string): Tree[] {
  return listOf(asTree(parseSync(text)), 'stmts').map(({ stmt }) => asTree(stmt))
}

/** Returns the nodes of a kind in `tree`, except in subqueries. */
export function findNodes(tree: unknown, kind: string): Tree[] {
  if (Array.isArray(tree)) return tree.flatMap((item) => findNodes(item, kind))
  if (!isTree(tree)) return []
  return Object.entries(tree).flatMap(([key, value]) => [
    ...(key === kind && isTree(value) ? [value] : []),
    ...(key in VERBS ? [] : findNodes(value, kind)),
  ])
}

/** Returns the nodes of a kind in `tree`, also in subqueries. */
export function findNodesDeep(tree: unknown, kind: string): Tree[] {
  if (Array.isArray(tree)) return tree.flatMap((item) => findNodesDeep(item, kind))
  if (!isTree(tree)) return []
  return Object.entries(tree).flatMap(([key, value]) => [
    ...(key === kind && isTree(value) ? [value] : []),
    ...findNodesDeep(value, kind),
  ])
}

/** Returns the attribute of a node as a list. */
export function listOf(tree: Tree, attribute: string): Tree[] {
  const value = tree[attribute]
  return Array.isArray(value) ? value.filter(isTree) : []
}

/** Returns the attribute of a node as a node; empty if it has none. */
export function treeOf(tree: Tree, attribute: string): Tree {
  return asTree(tree[attribute])
}

/** Returns the names of a dotted name: `"users"."id"` gives both; a star is `*`. */
export function namesOf(tree: Tree, attribute: string): string[] {
  return listOf(tree, attribute).map((part) => String(treeOf(part, 'String').sval ?? '*'))
}

/** Returns the terms that AND connects. */
export function conjuncts(condition: Tree): Tree[] {
  const { boolop, args } = treeOf(condition, 'BoolExpr')
  if (boolop === 'AND_EXPR' && Array.isArray(args)) return args.flatMap((term) => conjuncts(asTree(term)))
  return Object.keys(condition).length === 0 ? [] : [condition]
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asTree(value: unknown): Tree {
  return isTree(value) ? value : {}
}

type Scope = { keys: TableKeys; withNames: ReadonlySet<string> }

function levelsIn(node: unknown, outer: Level | null, scope: Scope): Level[] {
  if (Array.isArray(node)) return node.flatMap((item) => levelsIn(item, outer, scope))
  if (!isTree(node)) return []
  return Object.entries(node).flatMap(([key, value]) =>
    isStatement(key) ? levelsOf(key, asTree(value), outer, scope) : levelsIn(value, outer, scope),
  )
}

function levelsOf(kind: StatementKind, tree: Tree, outer: Level | null, { keys, withNames }: Scope): Level[] {
  const added = findNodes(tree.withClause, 'CommonTableExpr').map(({ ctename }) => String(ctename))
  const scope = { keys, withNames: new Set([...withNames, ...added]) }
  const { larg, rarg, ...attributes } = tree
  const level: Level = {
    verb: VERBS[kind],
    tree: attributes,
    relations: relationsOf(tree, scope),
    conditions: [
      ...conjuncts(treeOf(tree, 'whereClause')),
      ...joinsOf(tree).flatMap((join) => conjuncts(treeOf(join, 'quals'))),
    ],
    outer,
  }
  // The two sides of a UNION are attributes without the key of their kind.
  const sides = [larg, rarg].filter(isTree).flatMap((side) => levelsOf('SelectStmt', side, outer, scope))
  return [level, ...levelsIn(attributes, level, scope), ...sides]
}

function joinsOf(tree: Tree): Tree[] {
  return findNodes([tree.fromClause, tree.usingClause], 'JoinExpr')
}

function relationsOf(tree: Tree, { keys, withNames }: Scope): Relation[] {
  const sources = [tree.fromClause, tree.usingClause]
  const target = treeOf(tree, 'relation')
  const named = [...(target.relname === undefined ? [] : [target]), ...findNodes(sources, 'RangeVar')]
  const derived = ['RangeSubselect', 'RangeFunction'].flatMap((kind) => findNodes(sources, kind))
  return [
    ...named.map((range) => {
      const name = String(range.relname)
      const alias = aliasOf(range) ?? name
      const { schemaname: schema = 'public' } = range
      if (schema !== 'public') return { alias, table: `${schema}.${name}`, key: null }
      const isTable = range === target || !withNames.has(name)
      return isTable ? { alias, table: name, key: keys.get(name) ?? null } : { alias, table: null, key: null }
    }),
    ...derived.map((range) => ({ alias: aliasOf(range) ?? '', table: null, key: null })),
  ]
}

function aliasOf(range: Tree): string | null {
  const { aliasname } = treeOf(range, 'alias')
  return typeof aliasname === 'string' ? aliasname : null
}

function isStatement(key: string): key is StatementKind {
  return key in VERBS
}
