// Converts what resolvers return into what a response contains, by the rules of the field's type
// (GraphQL specification, section 6.4.3).
import {
  type GraphQLAbstractType,
  GraphQLError,
  type GraphQLLeafType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  isAbstractType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
} from 'graphql'
import {
  type Completer,
  type Execution,
  executeFields,
  type FieldPlan,
  handleFieldError,
  isPromise,
  type Path,
} from './execution.ts'
import { countBytes, countLeaf } from './response-size.ts'

/**
 * Throws for a schema that plans do not support: one with `isTypeOf`, or with an abstract type that
 * has no `resolveType`.
 */
export function assertPlannable(schema: GraphQLSchema): void {
  for (const type of Object.values(schema.getTypeMap()))
    if ((isObjectType(type) && type.isTypeOf) || (isAbstractType(type) && !type.resolveType))
      throw new Error(`Bug: ${type.name} needs resolveType where it is abstract, and no isTypeOf`)
}

/** Returns the function that completes the values of a type. */
export function createCompleter(type: GraphQLOutputType): Completer {
  if (isNonNullType(type)) return completeNonNull(createCompleter(type.ofType))
  const complete = createNullableCompleter(type)
  return (execution, field, value, info, path) => {
    if (value instanceof Error) throw value
    return value == null ? null : complete(execution, field, value, info, path)
  }
}

function createNullableCompleter(type: GraphQLOutputType): Completer {
  if (isListType(type)) return completeList(type.ofType, createCompleter(type.ofType))
  if (isLeafType(type)) return completeLeaf(type)
  if (isAbstractType(type)) return completeAbstract(type)
  if (isObjectType(type)) return completeObject(type)
  throw new Error(`Bug: ${String(type)} is no output type`)
}

function completeNonNull(complete: Completer): Completer {
  return (execution, field, value, info, path) => {
    const completed = complete(execution, field, value, info, path)
    if (completed === null)
      throw new Error(`Cannot return null for non-nullable field ${info.parentType.name}.${info.fieldName}.`)
    return completed
  }
}

function completeList(type: GraphQLOutputType, complete: Completer): Completer {
  return (execution, field, value, info, path) => {
    if (typeof value !== 'object' || value === null || !(Symbol.iterator in value))
      throw new GraphQLError(
        `Expected Iterable, but did not find one for field "${info.parentType.name}.${info.fieldName}".`,
      )
    const entries: unknown[] = []
    let isPending = false
    try {
      for (const entry of value as Iterable<unknown>) {
        const entryPath = { prev: path, key: entries.length, typename: undefined }
        const completed = completeEntry(execution, field, entry, type, complete, info, entryPath)
        isPending ||= isPromise(completed)
        entries.push(completed)
      }
      countBytes(execution, entries.length)
    } catch (error) {
      // Nothing waits for the entries before this one, and a rejection must be handled.
      for (const entry of entries) if (isPromise(entry)) entry.catch(() => {})
      throw error
    }
    return isPending ? Promise.all(entries) : entries
  }
}

function completeEntry(
  execution: Execution,
  field: FieldPlan,
  entry: unknown,
  type: GraphQLOutputType,
  complete: Completer,
  info: GraphQLResolveInfo,
  path: Path,
): unknown {
  try {
    const completed = isPromise(entry)
      ? entry.then((resolved) => complete(execution, field, resolved, info, path))
      : complete(execution, field, entry, info, path)
    return isPromise(completed)
      ? completed.then(undefined, (error) => handleFieldError(execution, error, field, type, path))
      : completed
  } catch (error) {
    return handleFieldError(execution, error, field, type, path)
  }
}

function completeLeaf(type: GraphQLLeafType): Completer {
  return (execution, _field, value) => {
    const serialized = serialize(type, value)
    if (serialized == null) throw new Error(`Bug: ${type.name} serialized a value to nothing`)
    countLeaf(execution, serialized)
    return serialized
  }
}

// A scalar's own GraphQLError is an error of the server: it has no place, and its extensions are
// not for the client.
function serialize(type: GraphQLLeafType, value: unknown): unknown {
  try {
    return type.serialize(value)
  } catch (error) {
    throw error instanceof GraphQLError ? new Error(error.message) : error
  }
}

function completeObject(type: GraphQLObjectType): Completer {
  return (execution, field, value, _info, path) => executeFields(execution, field.select(type), value, path)
}

function completeAbstract(type: GraphQLAbstractType): Completer {
  return (execution, field, value, info, path) => {
    const complete = (name: unknown) =>
      executeFields(execution, field.select(getObjectType(execution, type, name)), value, path)
    const name = type.resolveType?.(value, execution.contextValue, info, type)
    return isPromise<unknown>(name) ? name.then(complete) : complete(name)
  }
}

function getObjectType({ schema }: Execution, type: GraphQLAbstractType, name: unknown): GraphQLObjectType {
  const objectType = typeof name === 'string' ? schema.getType(name) : null
  if (!isObjectType(objectType) || !schema.isSubType(type, objectType))
    throw new Error(`Bug: ${type.name} was resolved to ${String(name)}, which is none of its types`)
  return objectType
}
