// The rules of drizzle/README.md, by PostgreSQL's own parser: whether a migration can run beside gateways
// that serve, and beside those of the release before.
import { FIRST_BY_RULES, type Migration } from '../../src/db/migrations.ts'
import { parseStatements, type Tree } from './statements/syntax-tree.ts'

/** Returns a sentence for each violation of the rules by the migrations that they hold for. */
export function findMigrationProblems(migrations: readonly Migration[]): string[] {
  const notNull = new Set<string>()
  return migrations
    .filter(({ number }) => number >= FIRST_BY_RULES)
    .flatMap((migration) => {
      const own = new Set<string>()
      const context: Context = { migration, own, changed: new Set(), notNull }
      const problems = refuseIf(migration.inSteps && migration.needs !== null, 'a contract migration is a transaction.')
      return [
        ...problems,
        ...migration.statements.flatMap((text) =>
          parseStatements(text).flatMap((statement) => judge(statement, text, context)),
        ),
      ].map((problem) => `${migration.tag}: ${problem}`)
    })
}

type Context = {
  migration: Migration
  /** The tables that this migration creates. */
  own: Set<string>
  /** The tables of before that this migration changes. */
  changed: Set<string>
  /** The checks that migrations so far have validated. */
  notNull: Set<string>
}

const IN_BATCHES = /^-- in batches$/m

function judge(statement: Tree, text: string, context: Context): string[] {
  const [kind = ''] = Object.keys(statement)
  const node = statement[kind] as Tree
  const { inSteps, needs } = context.migration
  switch (kind) {
    case 'CreateStmt':
      context.own.add(nameOf(node.relation))
      return refuseIf(inSteps, 'CREATE TABLE cannot be repeated, so it belongs in a transaction.')
    case 'IndexStmt': {
      if (context.own.has(nameOf(node.relation))) return []
      const isRight = inSteps && node.concurrent === true && node.if_not_exists === true
      return refuseIf(!isRight, 'an index of an existing table is created CONCURRENTLY IF NOT EXISTS, in steps.')
    }
    case 'DropStmt': {
      if (node.removeType === 'OBJECT_INDEX')
        return refuseIf(
          !(inSteps && node.concurrent === true && node.missing_ok === true),
          'an index is dropped CONCURRENTLY IF EXISTS, in steps.',
        )
      return refuseIf(needs === null, 'DROP needs the mark "-- contract: needs …".')
    }
    case 'AlterTableStmt':
      return judgeAlter(node, context)
    case 'UpdateStmt':
    case 'DeleteStmt':
    case 'InsertStmt': {
      if (context.own.has(nameOf(node.relation))) return []
      const isRight = inSteps && IN_BATCHES.test(text) && /\blimit\b/i.test(text) && /\breturning\b/i.test(text)
      return refuseIf(!isRight, 'rows are changed "-- in batches", in steps, with LIMIT and RETURNING.')
    }
    case 'CreateFunctionStmt':
    case 'CommentStmt':
    case 'GrantStmt':
      return []
    case 'RenameStmt':
      return ['nothing is renamed: the release before uses the old name. Add the new, copy, and drop the old later.']
    default:
      return [`${kind} is not among the statements that run beside a gateway.`]
  }
}

function judgeAlter(node: Tree, context: Context): string[] {
  const table = nameOf(node.relation)
  if (context.own.has(table)) return []
  const commands = (node.cmds as Tree[]).map((command) => command.AlterTableCmd as Tree)
  const { inSteps } = context.migration
  context.changed.add(table)
  const several = refuseIf(
    !inSteps && context.changed.size > 1,
    'a transaction changes one existing table: two can deadlock with requests.',
  )
  return [...several, ...commands.flatMap((command) => judgeCommand(table, command, commands.length, context))]
}

function judgeCommand(table: string, command: Tree, count: number, { migration, notNull }: Context): string[] {
  const { inSteps, needs } = migration
  const name = String(command.name)
  if (command.subtype === 'AT_ValidateConstraint') {
    notNull.add(name)
    return refuseIf(!inSteps || count > 1, 'VALIDATE CONSTRAINT reads the whole table: alone, in steps.')
  }
  if (inSteps) return ['ALTER TABLE belongs in a transaction, but for VALIDATE CONSTRAINT.']
  const constraint = (command.def as Tree | undefined)?.Constraint as Tree | undefined
  switch (command.subtype) {
    case 'AT_AddColumn':
      return judgeColumn((command.def as Tree).ColumnDef as Tree)
    case 'AT_AddConstraint':
      return refuseIf(
        !(constraint?.skip_validation === true || constraint?.indexname !== undefined),
        'a constraint is added NOT VALID, and validated later; a unique one USING INDEX.',
      )
    case 'AT_SetNotNull': {
      const check = `${table}_${name}_not_null`
      return refuseIf(
        !notNull.has(check),
        `SET NOT NULL reads the whole table, unless the check "${check}" is validated before.`,
      )
    }
    case 'AT_DropColumn':
      return refuseIf(needs === null, 'DROP needs the mark "-- contract: needs …".')
    case 'AT_DropConstraint':
    case 'AT_DropNotNull':
    case 'AT_ColumnDefault':
      return []
    default:
      return [`${String(command.subtype)} rewrites or reads the table while requests wait, or is not judged.`]
  }
}

function judgeColumn(column: Tree): string[] {
  const constraints = ((column.constraints as Tree[] | undefined) ?? []).map(({ Constraint }) => Constraint as Tree)
  const fallback = constraints.find(({ contype }) => contype === 'CONSTR_DEFAULT')
  const isConstant = fallback === undefined || /"FuncCall"|"SQLValueFunction"/.exec(JSON.stringify(fallback)) === null
  const isRequired = constraints.some(({ contype }) => contype === 'CONSTR_NOTNULL')
  const others = constraints.filter(({ contype }) => contype !== 'CONSTR_DEFAULT' && contype !== 'CONSTR_NOTNULL')
  return [
    ...refuseIf(!isConstant, 'the default of a new column is a constant: a function would rewrite the table.'),
    ...refuseIf(
      isRequired && fallback === undefined,
      'a new column is nullable or has a default: the release before does not write it.',
    ),
    ...refuseIf(others.length > 0, 'the constraint of a new column is added by itself, NOT VALID.'),
  ]
}

function nameOf(relation: unknown): string {
  return String((relation as Tree | undefined)?.relname)
}

function refuseIf(condition: boolean, sentence: string): string[] {
  return condition ? [sentence] : []
}
