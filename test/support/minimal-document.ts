// Generates documents for fields that a test finds in the schema.
import {
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLSchema,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
} from 'graphql'

export type Step = { type: string; name: string }

/** Returns the shortest literal of an input type. */
export function literal(type: GraphQLInputType): string {
  if (isNonNullType(type)) return literal(type.ofType)
  if (isListType(type)) return `[${literal(type.ofType)}]`
  if (isEnumType(type)) return type.getValues()[0]?.name ?? ''
  if (isInputObjectType(type)) {
    const members = Object.values(type.getFields()).filter(isRequiredInputField)
    return `{${members.map((member) => `${member.name}: ${literal(member.type)}`).join(', ')}}`
  }
  return { Int: '1', Float: '1', Boolean: 'true', DateTime: '"2026-11-23T17:57:00.000Z"' }[type.name] ?? '"x"'
}

/** Returns a field with its required arguments. @param selection for a field of an object type. */
function writeField(type: GraphQLObjectType, name: string, directive: string, selection: string): string {
  const field = type.getFields()[name]
  if (field === undefined) throw new Error(`There is no field ${type.name}.${name}`)
  const args = field.args.filter(isRequiredArgument).map((arg) => `${arg.name}: ${literal(arg.type)}`)
  const call = args.length === 0 ? name : `${name}(${args.join(', ')})`
  return `${call} ${directive}${isLeafType(getNamedType(field.type)) ? '' : `{ ${selection} }`}`
}

/**
 * Returns a shortest path from a root type to a field: nested field names, the field itself last.
 */
export function findPath(schema: GraphQLSchema, target: Step): Step[] {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  let ways: { type: GraphQLObjectType; steps: Step[] }[] = roots
    .filter((type) => type != null)
    .map((type) => ({ type, steps: [] }))
  const seen = new Set<string>()
  while (ways.length > 0) {
    const arrived = ways.find(({ type }) => type.name === target.type)
    if (arrived !== undefined) return [...arrived.steps, target]
    ways = ways.flatMap(({ type, steps }) =>
      Object.values(type.getFields()).flatMap((field) => {
        const next = getNamedType(field.type)
        if (!isObjectType(next) || seen.has(next.name)) return []
        seen.add(next.name)
        return [{ type: next, steps: [...steps, { type: type.name, name: field.name }] }]
      }),
    )
  }
  throw new Error(`Nothing leads to ${target.type}`)
}

/**
 * Returns a minimal document that selects the fields of a path.
 * @param directive of the outermost field.
 */
export function writeDocument(schema: GraphQLSchema, path: readonly Step[], directive = ''): string {
  const body = path.reduceRight((selection, { type, name }, index) => {
    const parent = schema.getType(type)
    if (!isObjectType(parent)) throw new Error(`${type} is no object type`)
    return writeField(parent, name, index === 0 ? directive : '', selection)
  }, '__typename')
  const root = path[0]?.type
  const operation =
    root === schema.getMutationType()?.name
      ? 'mutation'
      : root === schema.getSubscriptionType()?.name
        ? 'subscription'
        : 'query'
  return `${operation} { ${body} }`
}
