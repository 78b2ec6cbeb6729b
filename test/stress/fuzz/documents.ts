// Documents generated from the schema: most nearly valid, some broken in one place or many, with
// variables of right and wrong types.
import fc from 'fast-check'
import {
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLObjectType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
} from 'graphql'
import { schema } from '../../../src/graphql/schema.ts'
import { type Choices, readChoices } from './choices.ts'
import { hostileTexts } from './hostile-texts.ts'

/** A request to /graphql, and its caller. */
export type GraphqlInput = { asker: 'nobody' | 'session' | 'token'; accept: string; body: string }

const MAX_DEPTH = 6
const DIRECTIVES = ['@include(if: true)', '@skip(if: false)', '@include(if: $flag)', '@deprecated', '@nope', '@skip']
const NAMES = [
  '__typename',
  '__schema { queryType { name } }',
  '__type(name: "User") { name }',
  'nope',
  '__proto__',
  'id',
]
const FRAGMENTS = ['... on Query { __typename }', '...named', '... on User { id }', '... { __typename }', '...missing']
const ACCEPTS = [
  'application/json',
  'application/graphql-response+json',
  'text/event-stream',
  '*/*',
  'text/html',
  ';;q=,',
]
const SCRAPS = [
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  ':',
  '$',
  '@',
  '...',
  '"',
  '"""',
  '\\u{D800}',
  '#',
  '!',
  '&',
  '|',
  '\ufeff',
  '\u0007',
]

/** An arbitrary request to the API. */
export const graphqlInputs: fc.Arbitrary<GraphqlInput> = fc
  .uint8Array({ minLength: 8, maxLength: 160, size: 'max' })
  .map((bytes) => writeInput(readChoices(bytes)))

function writeInput(choices: Choices): GraphqlInput {
  const asker = choices.pick(['session', 'token', 'nobody', 'nobody', 'nobody', 'nobody'] as const)
  const accept = choices.oneIn(6) ? choices.pick(ACCEPTS) : 'application/json'
  const { query, variables } = writeOperation(choices)
  const request: Record<string, unknown> = { query: choices.oneIn(5) ? breakText(choices, query) : query, variables }
  if (choices.oneIn(24)) request.variables = writeJunk(choices, 0)
  if (choices.oneIn(30)) request.operationName = writeJunk(choices, 3)
  if (choices.oneIn(30)) request.extensions = writeJunk(choices, 1)
  if (choices.oneIn(40)) request[choices.pick(hostileTexts)] = writeJunk(choices, 2)
  const body = choices.oneIn(60) ? JSON.stringify([request, request]) : JSON.stringify(request)
  return { asker, accept, body: choices.oneIn(30) ? breakText(choices, body) : body }
}

function writeOperation(choices: Choices): { query: string; variables: Record<string, unknown> } {
  const roots = [schema.getQueryType(), schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  const root = choices.pick(roots)
  if (root == null) throw new Error('Bug: the schema has all three')
  const declared: { name: string; type: GraphQLInputType }[] = []
  const variables: Record<string, unknown> = {}
  const writeArgument = ({ name, type }: GraphQLArgument | GraphQLInputField): string => {
    if (!choices.oneIn(2)) return `${name}: ${writeLiteral(choices, type, 0)}`
    const known = declared.find((variable) => String(variable.type) === String(type) && choices.oneIn(2))
    const variable = known?.name ?? `v${declared.length}`
    if (known === undefined) declared.push({ name: variable, type })
    variables[variable] = JSON.parse(JSON.stringify(writeValue(choices, type, 0) ?? null))
    return `${name}: $${variable}`
  }
  const writeSelection = (type: GraphQLObjectType, depth: number): string => {
    const fields = Object.values(type.getFields())
    const selected = Array.from({ length: 1 + choices.below(depth > 2 ? 2 : 4) }, () => {
      if (choices.oneIn(40)) return choices.pick([...NAMES, ...FRAGMENTS])
      const field = choices.pick(fields)
      const alias = choices.oneIn(20) ? `${choices.pick(['a', 'b', 'id', '__typename'])}: ` : ''
      const args = field.args.filter((argument) =>
        isRequiredArgument(argument) ? !choices.oneIn(60) : choices.oneIn(3),
      )
      const call = args.length > 0 ? `(${args.map(writeArgument).join(', ')})` : ''
      const directive = choices.oneIn(30) ? ` ${choices.pick(DIRECTIVES)}` : ''
      const next = getNamedType(field.type)
      const below = isObjectType(next) !== choices.oneIn(100)
      if (!below) return `${alias}${field.name}${call}${directive}`
      const inner = isObjectType(next) && depth < MAX_DEPTH ? writeSelection(next, depth + 1) : '{ __typename }'
      return `${alias}${field.name}${call}${directive} ${inner}`
    })
    return `{ ${selected.join(' ')} }`
  }
  const selection = writeSelection(root, 0)
  const keyword =
    root === schema.getMutationType() ? 'mutation' : root === schema.getQueryType() ? 'query' : 'subscription'
  const flag = selection.includes('$flag') ? ['$flag: Boolean!'] : []
  if (flag.length > 0) variables.flag = choices.pick([true, false, 'true', null])
  const declarations = [...declared.map(({ name, type }) => `$${name}: ${String(type)}`), ...flag].join(', ')
  const named = selection.includes('...named')
    ? `fragment named on ${choices.pick([root.name, root.name, 'User', 'Nope'])} { __typename ${choices.oneIn(4) ? '...named' : ''} }`
    : ''
  return { query: `${keyword} Fuzzed${declarations && `(${declarations})`} ${selection} ${named}`, variables }
}

// A literal of the type, or sometimes of another.
function writeLiteral(choices: Choices, type: GraphQLInputType, depth: number): string {
  const value = writeValue(choices, type, depth)
  const named = getNamedType(type)
  const write = (part: unknown): string => {
    if (Array.isArray(part)) return `[${part.map(write).join(', ')}]`
    if (typeof part === 'object' && part !== null)
      return `{${Object.entries(part)
        .map(([name, inner]) => `${name}: ${write(inner)}`)
        .join(', ')}}`
    if (typeof part === 'string' && isEnumType(named) && /^\w+$/.test(part)) return part
    return JSON.stringify(part) ?? 'null'
  }
  return write(value)
}

function writeValue(choices: Choices, type: GraphQLInputType, depth: number): unknown {
  if (choices.oneIn(60)) return writeJunk(choices, depth)
  if (isNonNullType(type)) return writeValue(choices, type.ofType, depth)
  if (choices.oneIn(40)) return null
  if (isListType(type)) {
    const length = choices.oneIn(24) ? 120 : choices.below(4)
    return Array.from({ length }, () => writeValue(choices, type.ofType, depth + 1))
  }
  if (isEnumType(type)) return choices.pick(type.getValues()).name
  if (isInputObjectType(type)) {
    const members = Object.values(type.getFields()).filter((member) =>
      isRequiredInputField(member) ? !choices.oneIn(60) : choices.oneIn(3),
    )
    return Object.fromEntries(members.map((member) => [member.name, writeValue(choices, member.type, depth + 1)]))
  }
  if (type.name === 'Int') return choices.pick([1, 0, -1, 10, 100, 101, 2 ** 31 - 1, 2 ** 31, 1.5])
  if (type.name === 'Boolean') return choices.oneIn(2)
  return choices.oneIn(3) ? 'Hello' : choices.pick(hostileTexts)
}

// Arbitrary JSON.
function writeJunk(choices: Choices, depth: number): unknown {
  const kind = choices.below(depth > 4 ? 4 : 7)
  if (kind === 0) return choices.pick(hostileTexts)
  if (kind === 1) return choices.pick([0, -1, 1e308, 2 ** 53, 0.1])
  if (kind === 2) return choices.oneIn(2)
  if (kind === 3) return null
  if (kind === 4) return Array.from({ length: choices.below(4) }, () => writeJunk(choices, depth + 1))
  if (kind === 5) {
    const nested = Array.from({ length: 1 + choices.below(40) })
    return nested.reduce<unknown>((inner) => (choices.oneIn(2) ? [inner] : { input: inner }), 'deep')
  }
  const names = Array.from({ length: choices.below(4) }, () => choices.pick(hostileTexts))
  // As JSON.parse returns it, with __proto__ as an ordinary key.
  return JSON.parse(
    `{${names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(writeJunk(choices, depth + 1))}`).join()}}`,
  )
}

function breakText(choices: Choices, text: string): string {
  let broken = text
  for (let times = choices.below(4); times >= 0; times--) {
    const at = choices.below(Math.max(broken.length, 1))
    const length = 1 + choices.below(12)
    const cut = broken.slice(at, at + length)
    const scrap = choices.pick(SCRAPS)
    const put = choices.pick(['', scrap, cut + cut, scrap.repeat(1 + choices.below(200)), choices.pick(hostileTexts)])
    broken = broken.slice(0, at) + put + broken.slice(choices.oneIn(3) ? at : at + length)
  }
  return choices.oneIn(12) ? broken.slice(0, choices.below(Math.max(broken.length, 1))) : broken
}
