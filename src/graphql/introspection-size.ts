// The size of what an introspection returns. The complexity of Pothos ends at `__schema` and
// `__type`; here the selections are followed through the schema itself, with its real lists and
// texts.
import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isLeafType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  TypeMetaFieldDef,
} from 'graphql'

/**
 * The largest introspection, in characters of its JSON: more than twice that of the whole schema with
 * everything that tools ask for.
 */
export const MAX_INTROSPECTION_CHARACTERS = 450_000

// A key of one character with its quotation marks, colon and comma, and a value of one.
const MIN_FIELD_CHARACTERS = 6

/** A document asks for more than `MAX_INTROSPECTION_CHARACTERS`. */
class TooLarge extends Error {}

/**
 * Returns the characters of JSON that the introspection in an operation returns: 0 without any, and
 * Infinity for more than `MAX_INTROSPECTION_CHARACTERS`. Of `__type` with a variable the largest type
 * counts, and fields under `@skip` and `@include` count in any case. Each selection is measured once
 * for each object, so that fragments and aliases which multiply the response cost no more than their
 * own text.
 */
export function measureIntrospection(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  fragments: readonly FragmentDefinitionNode[],
): number {
  const root = schema.getRootType(operation.operation)
  if (root == null) return 0
  const measure = createMeasure(schema, new Map(fragments.map((fragment) => [fragment.name.value, fragment])))
  try {
    return measure.listFields(operation.selectionSet).reduce((sum, node) => add(sum, measure.rootField(node)), 0)
  } catch (error) {
    if (error instanceof TooLarge) return Number.POSITIVE_INFINITY
    throw error
  }
}

type Fragments = ReadonlyMap<string, FragmentDefinitionNode>

function createMeasure(schema: GraphQLSchema, fragments: Fragments) {
  const known = new Map<SelectionSetNode, Map<unknown, number>>()
  const fieldsOf = new Map<SelectionSetNode, readonly FieldNode[]>()
  let visited = 0
  // Resolvers of the introspection take the schema alone from it.
  const info = { schema } as GraphQLResolveInfo

  function measureObject(selectionSet: SelectionSetNode, type: GraphQLObjectType, object: unknown): number {
    const sizes = known.get(selectionSet) ?? new Map<unknown, number>()
    known.set(selectionSet, sizes)
    const earlier = sizes.get(object)
    if (earlier !== undefined) return earlier
    let size = 2
    for (const node of listFields(selectionSet))
      size = add(size, measureField(node, type.getFields()[node.name.value], object))
    sizes.set(object, size)
    return size
  }

  function measureField(node: FieldNode, field: GraphQLField<unknown, unknown> | undefined, object: unknown): number {
    const key = keySize(node)
    visited += 1
    // Each visited field is in the response, so that a document whose measuring takes long is too
    // large.
    if (visited * MIN_FIELD_CHARACTERS > MAX_INTROSPECTION_CHARACTERS) throw new TooLarge()
    // __typename.
    if (field === undefined) return key + 20
    const value = field.resolve?.(object, { includeDeprecated: true }, null, info)
    const type = getNamedType(field.type)
    const measureValue = (one: unknown) =>
      isObjectType(type) && node.selectionSet !== undefined && one != null
        ? measureObject(node.selectionSet, type, one)
        : (JSON.stringify(one ?? null)?.length ?? 0)
    if (!isListType(getNullableType(field.type)) || !Array.isArray(value) || isLeafType(type))
      return key + measureValue(value)
    return value.reduce((sum: number, one: unknown) => add(sum, measureValue(one) + 1), key + 2)
  }

  function measureRootField(node: FieldNode): number {
    const { selectionSet } = node
    if (selectionSet === undefined) return 0
    if (node.name.value === SchemaMetaFieldDef.name)
      return keySize(node) + measureObject(selectionSet, metaType(SchemaMetaFieldDef), schema)
    if (node.name.value !== TypeMetaFieldDef.name) return 0
    const name = node.arguments?.find((argument) => argument.name.value === 'name')?.value
    const types = name?.kind === Kind.STRING ? [schema.getType(name.value)] : Object.values(schema.getTypeMap())
    const sizes = types.map((type) =>
      type === undefined ? 4 : measureObject(selectionSet, metaType(TypeMetaFieldDef), type),
    )
    return keySize(node) + Math.max(...sizes)
  }

  function listFields(selectionSet: SelectionSetNode): readonly FieldNode[] {
    const fields = fieldsOf.get(selectionSet) ?? collectFields(selectionSet, fragments, new Set())
    fieldsOf.set(selectionSet, fields)
    return fields
  }

  return { listFields, rootField: measureRootField }
}

function metaType({ type }: GraphQLField<unknown, unknown>): GraphQLObjectType {
  const named = getNamedType(type)
  if (!isObjectType(named)) throw new Error(`Bug: ${named.name} is no object of the introspection`)
  return named
}

// The key in quotation marks, a colon and a comma.
function keySize({ alias, name }: FieldNode): number {
  return (alias ?? name).value.length + 4
}

function add(sum: number, size: number): number {
  if (sum + size > MAX_INTROSPECTION_CHARACTERS) throw new TooLarge()
  return sum + size
}

// The fields of a selection and of the fragments in it, each fragment once, as in an execution. Of
// equal response keys each counts.
function collectFields(
  { selections }: SelectionSetNode,
  fragments: Fragments,
  spread: Set<SelectionSetNode>,
): readonly FieldNode[] {
  return selections.flatMap((selection) => {
    if (selection.kind === Kind.FIELD) return [selection]
    const fragment = selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value)
    if (fragment === undefined || spread.has(fragment.selectionSet)) return []
    spread.add(fragment.selectionSet)
    return collectFields(fragment.selectionSet, fragments, spread)
  })
}
