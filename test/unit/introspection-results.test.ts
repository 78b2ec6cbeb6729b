// Introspection is executed once for each document and its variables.
import { type GraphQLSchema, getIntrospectionQuery, isObjectType, parse, validate } from 'graphql'
import { createYoga } from 'graphql-yoga'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { coerceVariables, createOperationPlanner, listFragments } from '../../src/graphql/execution-plan.ts'
import { createPreparedDocuments, findOperation, MAX_PREPARED_BYTES } from '../../src/graphql/prepared-documents.ts'
import { schema } from '../../src/graphql/schema.ts'

type Variables = Record<string, unknown>

// Without masked errors and without limits: what GraphQL itself answers.
const yoga = createYoga({ schema, logging: false, maskedErrors: false })

async function askYoga(query: string, variables: Variables = {}): Promise<string> {
  const headers = { 'content-type': 'application/json', accept: 'application/json' }
  const body = JSON.stringify({ query, variables })
  return (await yoga.fetch('http://localhost/graphql', { method: 'POST', headers, body })).text()
}

function prepare(query: string, maxBytes = MAX_PREPARED_BYTES) {
  const documents = createPreparedDocuments(schema, maxBytes)
  const operation = findOperation(documents.add(query, parse(query)), null)
  if (operation?.plan == null) throw new Error('Bug: the document has one query')
  const { plan } = operation
  const execute = (variables: Variables = {}) => {
    const coerced = coerceVariables(schema, operation.operation, variables)
    if (coerced === null) throw new Error('Bug: the variables fit')
    return plan.execute({ viewer: null, isWithinLimits: true }, coerced)
  }
  const write = async (variables?: Variables) => {
    const result = await execute(variables)
    return result.stringify?.() ?? JSON.stringify(result)
  }
  return { documents, execute, write }
}

// Counts how often the types of the schema are listed.
function countLists(of: GraphQLSchema) {
  const type = of.getType('__Schema')
  const types = isObjectType(type) ? type.getFields().types : undefined
  if (types?.resolve === undefined) throw new Error('Bug: a schema lists its types')
  const { resolve } = types
  const counted = vi.fn(resolve)
  types.resolve = counted
  restore = () => {
    types.resolve = resolve
  }
  return counted
}
let restore = () => {}
afterEach(() => restore())

const flags = [
  'descriptions',
  'specifiedByUrl',
  'directiveIsRepeatable',
  'schemaDescription',
  'inputValueDeprecation',
  'oneOf',
] as const
const ofTools: [string, string][] = [
  ['all options', getIntrospectionQuery(Object.fromEntries(flags.map((flag) => [flag, true])))],
  ['no options', getIntrospectionQuery(Object.fromEntries(flags.map((flag) => [flag, false])))],
  ...flags.map((flag): [string, string] => [
    `${flag} alone`,
    getIntrospectionQuery({ descriptions: false, [flag]: true }),
  ]),
  ['only descriptions missing', getIntrospectionQuery({ descriptions: false, inputValueDeprecation: true })],
  // Apollo Client's developer tools and Rover, and a health check of Apollo's gateway.
  ['another name', getIntrospectionQuery().replace('IntrospectionQuery', 'GraphIntrospectionQuery')],
  ['no more than __typename', '{ __typename }'],
]

describe('G-20 an introspection', () => {
  test.each(ofTools)("with %s is the same as Yoga's, byte for byte, also when it was kept", async (_what, query) => {
    expect(validate(schema, parse(query))).toEqual([])
    const expected = await askYoga(query)
    const { execute, write } = prepare(query)
    for (const times of [1, 2, 3]) expect([times, await write()]).toEqual([times, expected])
    expect((await execute()).data).toEqual(JSON.parse(expected).data)
  })

  test('is kept by its variables, and a condition counts as one', async () => {
    const query = `query($name: String!, $all: Boolean = false, $more: Boolean!) {
      __type(name: $name) { name fields(includeDeprecated: $all) { name description @include(if: $more) } }
    }`
    const { write } = prepare(query)
    for (const more of [true, false, true])
      for (const name of ['Query', 'Tweet', 'Nothing', 'Query'])
        for (const variables of [
          { name, more },
          { name, more, all: true },
        ])
          expect(await write(variables)).toBe(await askYoga(query, variables))
  })

  test('calls no resolver the second time, and takes a tenth of the processor time', async () => {
    const query = getIntrospectionQuery({ descriptions: true })
    const listed = countLists(schema)
    const { write } = prepare(query)
    const planOperation = createOperationPlanner(schema)
    const document = parse(query)
    const [operation] = document.definitions
    if (operation?.kind !== 'OperationDefinition') throw new Error('Bug: the operation is first')
    const executeAnew = async () =>
      JSON.stringify(await planOperation(listFragments(document), operation, () => {})?.execute({}, {}))
    const timeOf = async (work: () => Promise<string>) => {
      const before = process.cpuUsage()
      for (let times = 0; times < 50; times += 1) expect((await work()).length).toBeGreaterThan(100_000)
      const { user, system } = process.cpuUsage(before)
      return user + system
    }
    await write()
    listed.mockClear()
    const kept = await timeOf(write)
    expect(listed).not.toHaveBeenCalled()
    const executed = await timeOf(executeAnew)
    expect(listed).toHaveBeenCalledTimes(50)
    expect(kept / executed).toBeLessThan(0.1)
  })

  test('is executed anew where another field is asked for', async () => {
    const listed = countLists(schema)
    for (const query of [
      '{ __schema { types { name } } viewer { id } }',
      '{ ...a } fragment a on Query { __schema { types { name } } ... on Query { viewer { id } } }',
    ]) {
      const { write } = prepare(query)
      listed.mockClear()
      for (let times = 0; times < 3; times += 1) await write()
      expect([query, listed.mock.calls.length]).toEqual([query, 3])
    }
  })
})

describe('G-20 what is kept of introspections', () => {
  test('is bounded in results for each document, whatever variables a client invents', async () => {
    const query = 'query($name: String!) { __type(name: $name) { name } __schema { types { name description } } }'
    const { documents, write } = prepare(query)
    await write({ name: 'a0' })
    const one = documents.bytes()
    for (let index = 1; index < 8; index += 1) await write({ name: `a${index}` })
    const eight = documents.bytes()
    expect(eight).toBeGreaterThan(one)
    for (let index = 8; index < 100; index += 1) await write({ name: `a${index}` })
    expect(documents.bytes() - eight).toBeLessThan(1_000)
    await write({ name: 'x'.repeat(50_000) })
    expect(documents.bytes() - eight).toBeLessThan(1_000)
  })

  test('counts in the bytes of prepared documents, and leaves with its document', async () => {
    const query = getIntrospectionQuery({ descriptions: true })
    const { documents, write } = prepare(query)
    const before = documents.bytes()
    const bytes = Buffer.byteLength(await write())
    expect(documents.bytes() - before).toBeGreaterThan(bytes)
    const small = prepare(query, before + bytes)
    await small.write()
    expect({ size: small.documents.size(), bytes: small.documents.bytes() }).toEqual({ size: 0, bytes: 0 })
  })

  test('takes no time to find out in a document whose fragments spread each other twice', () => {
    const spread = (at: number) => `fragment f${at} on Query { ...f${at + 1} ...f${at + 1} }`
    const query = `{ ...f0 } ${Array.from({ length: 80 }, (_, at) => spread(at)).join(' ')} fragment f80 on Query { __typename }`
    const { execute } = prepare(query)
    expect(execute()).toMatchObject({ data: { __typename: 'Query' } })
  })
})
