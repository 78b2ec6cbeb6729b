// The plan of an operation: what its execution needs and that depends on the document alone. The
// fields of each selection set, with their definitions and constant arguments, are collected once
// for a document, not for each object of each response.
import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLError,
  type GraphQLField,
  GraphQLIncludeDirective,
  type GraphQLObjectType,
  type GraphQLSchema,
  GraphQLSkipDirective,
  getArgumentValues,
  getDirectiveValues,
  getVariableValues,
  type InlineFragmentNode,
  isAbstractType,
  Kind,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionNode,
  type SelectionSetNode,
  TypeMetaFieldDef,
  TypeNameMetaFieldDef,
  typeFromAST,
  visit,
} from 'graphql'
import {
  type Completer,
  executePlan,
  type FieldPlan,
  type MaybePromise,
  type PlanResult,
  type SelectionPlan,
} from './execution.ts'
import { isIntrospection, keepResults } from './introspection-results.ts'
import { assertPlannable, createCompleter } from './value-completion.ts'

/** Executes one operation of a document, with variables that `coerceVariables` has returned. */
export type OperationPlan = {
  execute(contextValue: unknown, variables: Variables): MaybePromise<PlanResult>
}

// Measured with documents of many forms, and rounded up.
const BYTES_PER_FIELD = 600
// Of a key: its quotation marks, its colon and its comma. Of an object: its brackets.
const BYTES_AROUND_KEY = 4
const BYTES_OF_BRACKETS = 2

type FieldDefinition = GraphQLField<unknown, unknown>
type Fragments = { [name: string]: FragmentDefinitionNode }
type Variables = { [name: string]: unknown }

/**
 * Plans a query or mutation of a valid document; null for a subscription. Selection sets are planned
 * when they are first executed.
 * @param onGrow is called with the bytes that the plan grows by, or shrinks by below 0.
 */
export type OperationPlanner = (
  fragments: Fragments,
  operation: OperationDefinitionNode,
  onGrow: (bytes: number) => void,
) => OperationPlan | null

/**
 * Creates the planner of a schema.
 * @param maxResponseBytes the most bytes of a response, without an end if absent.
 */
export function createOperationPlanner(
  schema: GraphQLSchema,
  maxResponseBytes = Number.POSITIVE_INFINITY,
): OperationPlanner {
  assertPlannable(schema)
  // One function for each field of the schema, shared by all plans.
  const completers = new WeakMap<FieldDefinition, Completer>()
  const findCompleter = (definition: FieldDefinition) => {
    const completer = completers.get(definition) ?? createCompleter(definition.type)
    completers.set(definition, completer)
    return completer
  }
  return (fragments, operation, onGrow) => {
    const rootType = schema.getRootType(operation.operation)
    if (rootType == null || operation.operation === 'subscription') return null
    const conditions = listConditions(operation, fragments)
    // Which fields there are depends on the variables of @skip and @include alone. The limits of a
    // document allow few of these directives, so that there are few combinations.
    const variants = new Map<string, SelectionPlan>()
    const planRoot = (variables: Variables) => {
      const variant = conditions.map((name) => String(variables[name])).join()
      const known = variants.get(variant)
      if (known !== undefined) return known
      const planSelection = createSelectionPlanner({
        schema,
        fragments,
        variables: pick(variables, conditions),
        findCompleter,
        onGrow,
      })
      const root = planSelection(rootType, [operation])
      variants.set(variant, root)
      return root
    }
    const execute: OperationPlan['execute'] = (contextValue, variables) => {
      const execution = {
        schema,
        fragments,
        operation,
        contextValue,
        variableValues: variables,
        errors: [],
        maxBytes: maxResponseBytes,
        bytesLeft: maxResponseBytes,
        sizeError: null,
      }
      return executePlan(execution, () => planRoot(variables))
    }
    return { execute: isIntrospection(operation, fragments) ? keepResults(execute, onGrow) : execute }
  }
}

/**
 * Returns the values of an operation's variables; null when the given ones do not fit their types.
 */
export function coerceVariables(
  schema: GraphQLSchema,
  { variableDefinitions = [] }: OperationDefinitionNode,
  given: Variables | null | undefined,
): Variables | null {
  return variableDefinitions.length === 0
    ? NO_VARIABLES
    : (getVariableValues(schema, variableDefinitions, given ?? {}, { maxErrors: 1 }).coerced ?? null)
}

/** Returns why the given values do not fit the types of an operation's variables. */
export function describeVariableErrors(
  schema: GraphQLSchema,
  { variableDefinitions = [] }: OperationDefinitionNode,
  given: Variables | null | undefined,
): readonly GraphQLError[] {
  // Each message repeats a value, perhaps the same large one.
  const { errors = [] } = getVariableValues(schema, variableDefinitions, given ?? {}, {
    maxErrors: MAX_VARIABLE_ERRORS,
  })
  return errors
}

const MAX_VARIABLE_ERRORS = 5
const NO_VARIABLES: Variables = Object.freeze({})

/** Returns the fragments of a document by their names. */
export function listFragments({ definitions }: DocumentNode): Fragments {
  const fragments: Fragments = Object.create(null)
  for (const definition of definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments[definition.name.value] = definition
  return fragments
}

type SelectionPlanner = (
  type: GraphQLObjectType,
  nodes: readonly { readonly selectionSet?: SelectionSetNode }[],
) => SelectionPlan

type SelectionPlannerParts = {
  schema: GraphQLSchema
  fragments: Fragments
  /** The values of the variables of @skip and @include. */
  variables: Variables
  findCompleter: (definition: FieldDefinition) => Completer
  onGrow: (bytes: number) => void
}

function createSelectionPlanner({
  schema,
  fragments,
  variables,
  findCompleter,
  onGrow,
}: SelectionPlannerParts): SelectionPlanner {
  const planSelection: SelectionPlanner = (type, nodes) => {
    const collected = new Map<string, [FieldNode, ...FieldNode[]]>()
    const seen = new Set<string>()
    for (const { selectionSet } of nodes) if (selectionSet) collect(type, selectionSet, collected, seen)
    const fields: FieldPlan[] = []
    for (const [key, ofKey] of collected) {
      const definition = findDefinition(schema, type, ofKey[0].name.value)
      if (definition !== undefined) fields.push(planField(type, key, ofKey, definition))
    }
    onGrow(fields.length * BYTES_PER_FIELD)
    const keyBytes = fields.reduce((sum, { key }) => sum + key.length + BYTES_AROUND_KEY, BYTES_OF_BRACKETS)
    return { type, fields, keyBytes }
  }
  const planField = (
    parentType: GraphQLObjectType,
    key: string,
    nodes: FieldPlan['nodes'],
    definition: FieldDefinition,
  ): FieldPlan => {
    const selections = new Map<GraphQLObjectType, SelectionPlan>()
    return {
      key,
      nodes,
      definition,
      parentType,
      args: findConstantArguments(definition, nodes[0]),
      complete: findCompleter(definition),
      select: (type) => {
        const known = selections.get(type)
        if (known !== undefined) return known
        const selection = planSelection(type, nodes)
        selections.set(type, selection)
        return selection
      },
    }
  }
  const collect = (
    type: GraphQLObjectType,
    { selections }: SelectionSetNode,
    collected: Map<string, [FieldNode, ...FieldNode[]]>,
    seen: Set<string>,
  ): void => {
    for (const selection of selections) {
      if (!isIncluded(selection, variables)) continue
      if (selection.kind === Kind.FIELD) {
        const key = (selection.alias ?? selection.name).value
        const known = collected.get(key)
        if (known === undefined) collected.set(key, [selection])
        else known.push(selection)
        continue
      }
      const name = selection.kind === Kind.FRAGMENT_SPREAD ? selection.name.value : null
      if (name !== null && seen.has(name)) continue
      const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? fragments[selection.name.value] : selection
      if (fragment === undefined || !isOfType(schema, fragment, type)) continue
      if (name !== null) seen.add(name)
      collect(type, fragment.selectionSet, collected, seen)
    }
  }
  return planSelection
}

function findDefinition(schema: GraphQLSchema, type: GraphQLObjectType, name: string): FieldDefinition | undefined {
  if (name === TypeNameMetaFieldDef.name) return TypeNameMetaFieldDef
  const isQuery = type === schema.getQueryType()
  if (isQuery && name === SchemaMetaFieldDef.name) return SchemaMetaFieldDef
  if (isQuery && name === TypeMetaFieldDef.name) return TypeMetaFieldDef
  return type.getFields()[name]
}

// Null for arguments with variables, and for those that are not valid: their error belongs to the
// execution.
function findConstantArguments(definition: FieldDefinition, node: FieldNode): Record<string, unknown> | null {
  if (hasVariable(node)) return null
  try {
    return freeze(getArgumentValues(definition, node, {}))
  } catch {
    return null
  }
}

/** Returns true for a field with a variable anywhere in its arguments. */
export function hasVariable({ arguments: given = [] }: FieldNode): boolean {
  let found = false
  for (const argument of given)
    visit(argument, {
      Variable: () => {
        found = true
      },
    })
  return found
}

// The value is shared by all executions.
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}

function isIncluded(node: SelectionNode, variables: Variables): boolean {
  if (node.directives === undefined || node.directives.length === 0) return true
  return (
    getDirectiveValues(GraphQLSkipDirective, node, variables)?.if !== true &&
    getDirectiveValues(GraphQLIncludeDirective, node, variables)?.if !== false
  )
}

function isOfType(
  schema: GraphQLSchema,
  { typeCondition }: FragmentDefinitionNode | InlineFragmentNode,
  type: GraphQLObjectType,
): boolean {
  if (typeCondition === undefined) return true
  const condition = typeFromAST(schema, typeCondition)
  return condition === type || (isAbstractType(condition) && schema.isSubType(condition, type))
}

// The names of the variables of @skip and @include, in the operation and in all fragments.
function listConditions(operation: OperationDefinitionNode, fragments: Fragments): string[] {
  const names = new Set<string>()
  for (const definition of [operation, ...Object.values(fragments)])
    visit(definition, {
      Directive: ({ arguments: given = [] }) => {
        for (const { value } of given) if (value.kind === Kind.VARIABLE) names.add(value.name.value)
      },
    })
  return [...names]
}

function pick(values: Variables, names: readonly string[]): Variables {
  return Object.fromEntries(names.filter((name) => Object.hasOwn(values, name)).map((name) => [name, values[name]]))
}
