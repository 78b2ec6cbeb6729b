// Plans against the executor that they replace, Yoga's: with the same resolvers both must call them
// in the same order with the same arguments, and give the same data and the same errors.
import fc from 'fast-check'
import {
  buildSchema,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLFieldResolver,
  type GraphQLOutputType,
  type GraphQLSchema,
  getIntrospectionQuery,
  getNamedType,
  getOperationAST,
  isEnumType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isScalarType,
  parse,
  responsePathAsArray,
  validate,
} from 'graphql'
import { createYoga } from 'graphql-yoga'
import { expect, test } from 'vitest'
import { coerceVariables, createOperationPlanner, listFragments } from '../../src/graphql/execution-plan.ts'
import { schema as ownSchema, printSdl } from '../../src/graphql/schema.ts'
import { graphqlInputs } from '../stress/fuzz/documents.ts'

type Calls = string[]
type Context = { seed: number; calls: Calls }

const schema = createMischievousSchema()
const planOperation = createOperationPlanner(schema)
const yoga = createYoga({ schema, logging: false, maskedErrors: false })

test('5,000 generated documents are executed as by Yoga, with resolvers that fail, reject and return what does not fit', {
  timeout: 600_000,
}, async () => {
  const compared = { all: 0, withErrors: 0 }
  const property = fc.asyncProperty(graphqlInputs, fc.integer({ min: 0, max: 9_999 }), async ({ body }, seed) => {
    const request = parseRequest(body)
    if (request === null) return
    const { errors } = await compare(request.document, request.variables, seed)
    compared.all += 1
    if (errors !== undefined) compared.withErrors += 1
  })
  await fc.assert(property, { numRuns: 5_000 })
  // Otherwise nothing would have been executed, or nothing would have failed.
  expect(compared.all).toBeGreaterThan(1_000)
  expect(compared.withErrors).toBeGreaterThan(300)
  expect(compared.all - compared.withErrors).toBeGreaterThan(100)
})

const handwritten: [string, string, Record<string, unknown>?][] = [
  [
    'names that are special in JavaScript',
    '{ __proto__: viewer { constructor: id __proto__: login } toString: __typename }',
  ],
  [
    'fields that are merged',
    '{ viewer { id } ...a viewer { login ...b } } fragment a on Query { viewer { id ...b } } fragment b on User { login createdAt id }',
  ],
  [
    'an interface with fragments of several types',
    '{ nodes(ids: ["a", "b", "c", "d"]) { id __typename ... on Tweet { text status } ... on ConnectedAccount { id username } ... on Node { id } } }',
  ],
  [
    'fragments of other types',
    '{ viewer { ... on User { id } ... { login } } node(id: "x") { ... on Session { device createdAt } } }',
  ],
  [
    '@skip and @include with constants',
    '{ viewer { id @skip(if: true) login @include(if: false) createdAt @include(if: true) } }',
  ],
  ...[true, false].flatMap((flag): [string, string, Record<string, unknown>][] => [
    [
      `@skip and @include with ${flag}`,
      'query($flag: Boolean!) { viewer { id @skip(if: $flag) ...a @include(if: $flag) } a: viewer { ...a } } fragment a on User { login @skip(if: $flag) createdAt }',
      { flag },
    ],
    [
      `a default for a variable of @include, and ${flag}`,
      'query($flag: Boolean = true) { viewer { id @include(if: $flag) login } }',
      flag ? {} : { flag },
    ],
  ]),
  [
    'null for a variable of @include',
    'query($flag: Boolean = true) { viewer { id @include(if: $flag) login } }',
    { flag: null },
  ],
  [
    'variables with defaults, and without a value',
    'query($first: Int = 3, $after: String) { tweets(first: $first, after: $after) { nodes { id } edges { cursor node { text } } pageInfo { hasNextPage } } }',
  ],
  ['a null for an argument that allows none', 'query($id: ID = "a") { node(id: $id) { id } }', { id: null }],
  [
    'an input object with variables inside',
    'mutation($text: String!) { postTweet(input: { accountId: "a", text: $text }) { tweet { id text } userErrors { code message field } } }',
    { text: '__proto__' },
  ],
  [
    'mutations one after the other',
    'mutation { a: signOut { userErrors { code } } b: deleteTweet(input: { tweetId: "a" }) { tweet { id } userErrors { code } } c: signOut { userErrors { message } } }',
  ],
  ['the introspection of GraphiQL', getIntrospectionQuery({ descriptions: true, inputValueDeprecation: true })],
  [
    'the introspection of one type',
    '{ __type(name: "User") { kind name fields(includeDeprecated: true) { name type { ofType { name } } } } __typename }',
  ],
]

test.each(handwritten)('%s: executed as by Yoga, with 200 ways to resolve', async (_what, text, variables = {}) => {
  const document = parse(text)
  expect(validate(schema, document)).toEqual([])
  for (let seed = 0; seed < 200; seed += 1) await compare(document, variables, seed)
})

test('every field of the schema resolves by a function or by its name, and no type has isTypeOf', () => {
  expect(() => createOperationPlanner(ownSchema)).not.toThrow()
  const withTypeOf = buildSchema('type Query { a: A } type A { id: ID }')
  const type = withTypeOf.getType('A')
  if (!isObjectType(type)) throw new Error('Bug: A is an object type')
  type.isTypeOf = () => true
  expect(() => createOperationPlanner(withTypeOf)).toThrow('isTypeOf')
})

async function compare(document: DocumentNode, variables: Record<string, unknown>, seed: number): Promise<Described> {
  const operation = getOperationAST(document)
  if (operation == null) throw new Error('Bug: the document has one operation')
  const byYoga: Calls = []
  const { execute } = yoga.getEnveloped({} as never)
  const expected = await runYoga(() =>
    execute({ schema, document, variableValues: variables, contextValue: { seed, calls: byYoga } }),
  )
  const byPlan: Calls = []
  const coerced = coerceVariables(schema, operation, variables)
  const plan = planOperation(listFragments(document), operation, () => {})
  if (coerced === null || plan === null) {
    // Left to Yoga, which calls no resolver for variables that do not fit.
    if (coerced === null) expect({ data: expected.data, calls: byYoga }).toEqual({ data: undefined, calls: [] })
    return expected
  }
  const result = await plan.execute({ seed, calls: byPlan } satisfies Context, coerced)
  await endBranches()
  const actual = describe(result)
  expect(byPlan).toEqual(byYoga)
  expect(actual).toEqual(expected)
  return actual
}

type Described = ReturnType<typeof describe>

function describe({ data, errors }: ExecutionResult) {
  return {
    data: JSON.stringify(data),
    errors: errors?.map(({ message, path, locations, extensions }) => ({ message, path, locations, extensions })),
  }
}

// Yoga's executor leaves rejections of entries unhandled when a later entry fails at once. Those of
// plans are all handled, or vitest would report them.
async function runYoga(execute: () => unknown): Promise<Described> {
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', () => {})
  try {
    const result = (await execute()) as ExecutionResult
    await endBranches()
    return describe(result)
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const listener of listeners) process.on('unhandledRejection', listener)
  }
}

// After an error has made its parent null, the resolvers beside it still run, and their errors are
// still added to the result: until it is sent, in either executor.
async function endBranches(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await new Promise(setImmediate)
}

// A valid request with one operation that a plan executes; null for any other.
function parseRequest(body: string): { document: DocumentNode; variables: Record<string, unknown> } | null {
  try {
    const { query, variables } = JSON.parse(body)
    const document = parse(query)
    const operation = getOperationAST(document)
    const isPlain = typeof variables === 'object' && variables !== null && !Array.isArray(variables)
    if (!isPlain || operation == null || operation.operation === 'subscription') return null
    return validate(schema, document).length === 0 ? { document, variables } : null
  } catch {
    return null
  }
}

// The published schema, with resolvers that choose by the seed, their place and their arguments.
function createMischievousSchema(): GraphQLSchema {
  const mischievous = buildSchema(printSdl())
  for (const type of Object.values(mischievous.getTypeMap())) {
    if (isInterfaceType(type)) {
      type.resolveType = ({ type }: { type: string }, { seed }: Context) => {
        const choice = choose(seed, type)
        return choice % 5 === 0 ? Promise.resolve(type) : type
      }
    }
    if (isScalarType(type) && type.name === 'DateTime') {
      type.serialize = (value) => {
        if (String(value).length % 7 === 0) throw new Error('No time')
        return String(value)
      }
    }
    if (!isObjectType(type) || type.name.startsWith('__')) continue
    for (const field of Object.values(type.getFields())) field.resolve = createResolver(mischievous, field.type)
  }
  return mischievous
}

function createResolver(schema: GraphQLSchema, type: GraphQLOutputType): GraphQLFieldResolver<unknown, Context> {
  return (_source, args, { seed, calls }, info) => {
    const place = responsePathAsArray(info.path).join('.')
    calls.push(
      `${info.parentType.name}.${info.fieldName} ${place} ${JSON.stringify(args)} ${JSON.stringify(info.variableValues)} ${info.fieldNodes.length}`,
    )
    const choice = choose(seed, place)
    if (choice % 31 === 0) throw new Error(`${place} throws`)
    if (choice % 31 === 1) throw 'a text'
    if (choice % 31 === 2) return new Error(`${place} returns an error`)
    if (choice % 31 === 3) return Promise.reject(new Error(`${place} rejects`))
    if (choice % 31 === 4) return Promise.reject(new AggregateError([new Error('one'), { message: 'two' }, 3]))
    if (choice % 31 === 5) throw new AggregateError([new Error('one'), new Error('two')])
    const value = createValue(schema, type, choice)
    if (choice % 3 === 0) return Promise.resolve(value)
    if (choice % 7 === 0) return new Promise((resolve) => setImmediate(() => resolve(value)))
    return value
  }
}

function createValue(schema: GraphQLSchema, type: GraphQLOutputType, choice: number): unknown {
  if (isNonNullType(type)) return choice % 37 === 0 ? null : createValue(schema, type.ofType, choice + 1)
  if (choice % 11 === 0) return choice % 2 === 0 ? null : undefined
  if (isListType(type)) {
    if (choice % 23 === 0) return 'no list'
    const entries = Array.from({ length: choice % 4 }, (_, index) =>
      createValue(schema, type.ofType, choice * 7 + index),
    )
    return choice % 5 === 0 ? new Set(entries) : entries.map((entry, index) => createEntry(entry, choice + index))
  }
  if (isInterfaceType(type)) {
    const types = schema.getPossibleTypes(type)
    return { type: types[choice % types.length]?.name }
  }
  if (isEnumType(type))
    return choice % 13 === 0 ? 'NONE_OF_THEM' : type.getValues()[choice % type.getValues().length]?.value
  const { name } = getNamedType(type)
  if (name === 'Int') return choice % 13 === 0 ? 'a text' : choice
  if (name === 'Boolean') return choice % 13 === 0 ? {} : choice % 2 === 0
  return isScalarType(type) ? `${'x'.repeat(choice % 9)}${choice}` : {}
}

function createEntry(entry: unknown, choice: number): unknown {
  if (choice % 17 === 0) {
    const rejected = Promise.reject(new Error('an entry rejects'))
    // Either executor may stop before it reaches the entry.
    rejected.catch(() => {})
    return rejected
  }
  if (choice % 17 === 1) return new Error('an entry is an error')
  return choice % 3 === 0 ? Promise.resolve(entry) : entry
}

// A number that depends on both alone.
function choose(seed: number, place: string): number {
  let hash = seed + 17
  for (const letter of place) hash = (hash * 31 + letter.charCodeAt(0)) % 1_000_003
  return hash
}
