// Executes a planned operation. It follows Yoga's executor (@graphql-tools/executor) step by step:
// the same calls of resolvers in the same order, the same errors, the same nulls. A test compares
// both over generated documents.
import {
  defaultFieldResolver,
  type ExecutionResult,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getArgumentValues,
  isNonNullType,
  locatedError,
  type OperationDefinitionNode,
} from 'graphql'
import { countBytes, createSizeError, mayBeTooLarge, measureError, type SizeBudget } from './response-size.ts'

/** A value, or the promise of one. Resolvers that need no promise cost none. */
export type MaybePromise<T> = T | Promise<T>

/** What all fields of one execution share. */
export type Execution = SizeBudget & {
  schema: GraphQLSchema
  fragments: { [name: string]: FragmentDefinitionNode }
  operation: OperationDefinitionNode
  contextValue: unknown
  variableValues: { [name: string]: unknown }
  errors: GraphQLError[]
  /** The error of a response that is too large; null while it is not. */
  sizeError: GraphQLError | null
}

/** The fields of a selection set for one object type. */
export type SelectionPlan = {
  type: GraphQLObjectType
  fields: readonly FieldPlan[]
  /** The bytes of the keys in JSON, with what is around them and their values. */
  keyBytes: number
}

/** One entry of a response object. */
export type FieldPlan = {
  /** The key in the response. */
  key: string
  nodes: readonly [FieldNode, ...FieldNode[]]
  definition: GraphQLField<unknown, unknown>
  parentType: GraphQLObjectType
  /** The arguments, frozen; null when they have to be computed for each call. */
  args: Record<string, unknown> | null
  /** Converts what the resolver returned into what the response contains. */
  complete: Completer
  /** Returns the plan of the field's selection set for one of its object types. */
  select(type: GraphQLObjectType): SelectionPlan
}

/** Converts a resolved value of a field, or an entry of its list. @throws what is then located. */
export type Completer = (
  execution: Execution,
  field: FieldPlan,
  value: unknown,
  info: GraphQLResolveInfo,
  path: Path,
) => unknown

/** The place of a value in the response, from the inside out. */
export type Path = GraphQLResolveInfo['path']

/** A result. Yoga writes it by `stringify` if it has that, which returns its JSON. */
export type PlanResult = ExecutionResult & { stringify?: () => string }

/**
 * Executes an operation. Errors of resolvers, and of planning its root, are part of the result. A
 * response with too many bytes is an error without data; no resolver is called after it is found.
 */
export function executePlan(execution: Execution, planRoot: () => SelectionPlan): MaybePromise<PlanResult> {
  const { errors } = execution
  const respond = (data: Data | null): PlanResult => {
    if (mayBeTooLarge(execution)) return respondMeasured(execution, data)
    return errors.length === 0 ? { data } : { errors, data }
  }
  const fail = (error: GraphQLError) => {
    if (execution.sizeError !== null) return { errors: [execution.sizeError], data: null }
    errors.push(error)
    return respond(null)
  }
  try {
    const root = planRoot()
    const isSerial = execution.operation.operation === 'mutation'
    const data = isSerial ? executeSerially(execution, root) : executeFields(execution, root, undefined, undefined)
    return isPromise(data) ? data.then(respond, fail) : respond(data)
  } catch (error) {
    if (error instanceof GraphQLError) return fail(error)
    throw error
  }
}

/** Executes the fields of an object. Their order in the response is that of the document. */
export function executeFields(
  execution: Execution,
  { type, fields, keyBytes }: SelectionPlan,
  source: unknown,
  path: Path | undefined,
): MaybePromise<Data> {
  const data = new NullPrototype()
  const pending: Promise<unknown>[] = []
  try {
    countBytes(execution, keyBytes)
    for (const field of fields) {
      const { key } = field
      const value = executeField(execution, field, source, { prev: path, key, typename: type.name })
      data[key] = isPromise(value) ? undefined : value
      if (isPromise(value)) pending.push(assign(data, key, value))
    }
  } catch (error) {
    if (pending.length === 0) throw error
    // The other fields may fail as well, and a rejection must be handled.
    const rethrow = () => {
      throw error
    }
    return settle(pending, data).then(rethrow, rethrow)
  }
  return pending.length === 0 ? data : settle(pending, data)
}

/** Returns true for a promise of any class. */
export function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/**
 * Records what a field, or an entry of its list, has thrown; throws it again where the type allows
 * no null, so that the next nullable value around it becomes null.
 */
export function handleFieldError(
  execution: Execution,
  thrown: unknown,
  { nodes }: FieldPlan,
  type: GraphQLOutputType,
  path: Path,
): null {
  if (execution.bytesLeft < 0) throw endExecution(execution, nodes, path)
  for (const each of thrown instanceof AggregateError ? thrown.errors : [thrown]) {
    const error = locatedError(toError(each), nodes, listKeys(path))
    if (isNonNullType(type)) throw error
    execution.bytesLeft -= measureError(error)
    if (execution.bytesLeft < 0) throw endExecution(execution, nodes, path)
    execution.errors.push(error)
  }
  return null
}

// The exact size of a response that can be too large.
function respondMeasured({ errors, maxBytes, operation }: Execution, data: Data | null): PlanResult {
  const json = JSON.stringify({ data })
  const bytes = errors.reduce((sum, error) => sum + measureError(error), Buffer.byteLength(json))
  if (bytes > maxBytes) {
    const originalError = createSizeError(maxBytes, operation.operation === 'mutation')
    return { errors: [new GraphQLError(originalError.message, { originalError })], data: null }
  }
  return errors.length === 0 ? { data, stringify: () => json } : { errors, data }
}

function endExecution(execution: Execution, nodes: FieldPlan['nodes'], path: Path): GraphQLError {
  const { maxBytes, operation } = execution
  execution.sizeError ??= locatedError(
    createSizeError(maxBytes, operation.operation === 'mutation'),
    nodes,
    listKeys(path),
  )
  return execution.sizeError
}

type Data = Record<string, unknown>

// Objects of a response inherit nothing, so that `__proto__` is a key like any other. Objects of a
// constructor whose prototype is empty stay in V8's fast form; those of Object.create(null) do not.
const NullPrototype = function NullPrototype() {} as unknown as { new (): Data; prototype: unknown }
NullPrototype.prototype = Object.create(null)

// In as many turns as Yoga's executor takes: of two errors for one null, the first is reported.
function settle([first, ...others]: readonly Promise<unknown>[], data: Data): Promise<Data> {
  return (others.length === 0 && first ? first : Promise.all([first, ...others])).then(() => data)
}

function executeSerially(execution: Execution, { type, fields }: SelectionPlan): MaybePromise<Data> {
  const executeNext = (data: Data, field: FieldPlan): MaybePromise<Data> => {
    const { key } = field
    const value = executeField(execution, field, undefined, { prev: undefined, key, typename: type.name })
    if (isPromise(value)) return assign(data, key, value)
    data[key] = value
    return data
  }
  let data: MaybePromise<Data> = new NullPrototype()
  for (const field of fields)
    data = isPromise(data) ? data.then((done) => executeNext(done, field)) : executeNext(data, field)
  return data
}

function executeField(execution: Execution, field: FieldPlan, source: unknown, path: Path): unknown {
  const { definition, nodes, parentType, complete } = field
  const { schema, fragments, operation, contextValue, variableValues } = execution
  const info: GraphQLResolveInfo = {
    fieldName: definition.name,
    fieldNodes: nodes,
    returnType: definition.type,
    parentType,
    path,
    schema,
    fragments,
    rootValue: undefined,
    operation,
    variableValues,
  }
  try {
    const args = field.args ?? getArgumentValues(definition, nodes[0], variableValues)
    const resolve = definition.resolve ?? defaultFieldResolver
    const result: unknown = resolve(source, args, contextValue, info)
    const completed = isPromise(result)
      ? result.then((resolved) => complete(execution, field, resolved, info, path))
      : complete(execution, field, result, info, path)
    return isPromise(completed)
      ? completed.then(undefined, (error) => handleFieldError(execution, error, field, definition.type, path))
      : completed
  } catch (error) {
    return handleFieldError(execution, error, field, definition.type, path)
  }
}

function assign(data: Data, key: string, value: Promise<unknown>): Promise<Data> {
  return value.then((resolved) => {
    data[key] = resolved
    return data
  })
}

function listKeys(path: Path): (string | number)[] {
  const keys: (string | number)[] = []
  for (let at: Path | undefined = path; at !== undefined; at = at.prev) keys.push(at.key)
  return keys.reverse()
}

// As Yoga's executor does: errors of another realm, or objects that resemble one, keep their
// message.
function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  const hasMessage = typeof thrown === 'object' && thrown !== null && 'message' in thrown
  return new Error(hasMessage && typeof thrown.message === 'string' ? thrown.message : String(thrown))
}
