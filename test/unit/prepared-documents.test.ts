import { isObjectType, parse } from 'graphql'
import { createYoga } from 'graphql-yoga'
import { expect, test, vi } from 'vitest'
import type { Viewer } from '../../src/auth/viewer.ts'
import {
  createPreparedDocuments,
  findOperation,
  MAX_PREPARED_BYTES,
  type PreparedDocuments,
} from '../../src/graphql/prepared-documents.ts'
import { prepareDocuments } from '../../src/graphql/prepared-execution.ts'
import { schema } from '../../src/graphql/schema.ts'
import type { GraphqlRequest } from '../../src/http/request-context.ts'

const DOCUMENTS = 5_000

const add = (documents: PreparedDocuments, text: string) => documents.add(text, parse(text))
const fields = (field: string, count: number) => Array.from({ length: count }, () => field).join(' ')

test('a document is prepared once for each distinct text', () => {
  const documents = createPreparedDocuments(schema)
  const prepared = add(documents, '{ viewer { id } }')
  expect(documents.find('{ viewer { id } }')).toBe(prepared)
  expect(documents.of(prepared.document)).toBe(prepared)
  expect(documents.find('{ viewer { login } }')).toBe(null)
  expect(documents.find('{  viewer { id } }')).toBe(null)
  expect(documents.size()).toBe(1)
})

test.each<[string, (index: number) => string]>([
  ['as large as a document may be', (index) => `query A${index} { ${fields('viewer { id }', 195)} }`],
  ['of one long string', (index) => `{ node(id: "${index}${'x'.repeat(7_900)}") { id } }`],
  ['that differ in white space', (index) => `{ viewer {${' '.repeat(index)} id } }`],
  ['that differ in the name of their operation', (index) => `query Name${index} { viewer { id } }`],
  ['that differ in a comment', (index) => `{ viewer { id } } # ${index}`],
])('5,000 documents %s stay within the bytes that are allowed', { timeout: 600_000 }, (_what, write) => {
  const maxBytes = MAX_PREPARED_BYTES / 16
  const documents = createPreparedDocuments(schema, maxBytes)
  let most = 0
  for (let index = 0; index < DOCUMENTS; index += 1) {
    add(documents, write(index))
    most = Math.max(most, documents.bytes())
  }
  expect(most).toBeLessThanOrEqual(maxBytes)
  expect(documents.size()).toBeLessThan(DOCUMENTS / 5)
  // The last ones are kept, and the first one has left.
  expect(documents.find(write(DOCUMENTS - 1))).not.toBe(null)
  expect(documents.find(write(0))).toBe(null)
})

test('the document that was not used for the longest time leaves first', () => {
  const maxBytes = 100_000
  const documents = createPreparedDocuments(schema, maxBytes)
  add(documents, '{ viewer { id } }')
  for (let index = 0; documents.bytes() < maxBytes * 0.9; index += 1)
    add(documents, `query A${index} { viewer { id } }`)
  documents.find('{ viewer { id } }')
  for (let index = 0; index < 3; index += 1) add(documents, `query B${index} { viewer { id } }`)
  expect(documents.find('{ viewer { id } }')).not.toBe(null)
  expect(documents.find('query A0 { viewer { id } }')).toBe(null)
})

test('a plan that grows counts, and leaves when the bytes are needed', async () => {
  const text = '{ viewer { id login createdAt } }'
  const documents = createPreparedDocuments(schema)
  const prepared = add(documents, text)
  const before = documents.bytes()
  await findOperation(prepared, null)?.plan?.execute({ viewer: null, isWithinLimits: true }, {})
  expect(documents.bytes()).toBeGreaterThan(before)
  const small = createPreparedDocuments(schema, before)
  const tight = add(small, text)
  expect(small.size()).toBe(1)
  await findOperation(tight, null)?.plan?.execute({ viewer: null, isWithinLimits: true }, {})
  expect({ size: small.size(), bytes: small.bytes() }).toEqual({ size: 0, bytes: 0 })
})

test('G-17 of a hundred operations only the one that is asked for is prepared, and measured when it has to be paid', () => {
  const type = schema.getType('__Schema')
  const types = isObjectType(type) ? type.getFields().types : undefined
  const resolve = types?.resolve
  if (types === undefined || resolve === undefined) throw new Error('Bug: a schema lists its types')
  const measured = vi.fn(resolve)
  types.resolve = measured
  const operations = Array.from({ length: 100 }, (_, index) => `query A${index} { ...Q }`)
  const prepared = add(
    createPreparedDocuments(schema),
    `${operations.join(' ')} fragment Q on Query { __schema { types { name } } }`,
  )
  expect(findOperation(prepared, null)).toBe(null)
  const operation = findOperation(prepared, 'A7')
  expect(operation).toBe(findOperation(prepared, 'A7'))
  expect(operation?.description).toEqual({ operation: 'A7', fields: [] })
  expect(measured).not.toHaveBeenCalled()
  expect(operation?.calculateCost({})).toEqual(operation?.calculateCost({}))
  expect(measured).toHaveBeenCalledTimes(1)
  types.resolve = resolve
})

test('a text that does not parse or validate is not kept, and a document is judged for each viewer', async () => {
  const documents = createPreparedDocuments(schema)
  const yoga = createYoga<GraphqlRequest>({
    schema,
    logging: false,
    parserAndValidationCache: false,
    plugins: [prepareDocuments(documents)],
  })
  const ask = async (query: string, viewer: Viewer | null) => {
    const request = new Request('http://localhost/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    })
    const operationLog = { operation: null, fields: [], errorCodes: [] }
    const response = await yoga.fetch(request, { viewer, operationLog } as unknown as GraphqlRequest)
    const { errors } = (await response.json()) as { errors?: { extensions: { code: string } }[] }
    return errors?.map(({ extensions }) => extensions.code) ?? null
  }
  for (const invalid of ['{', '{ nope }', 'query($a: Nope) { viewer { id } }', '{ viewer { id } } { viewer { id } }'])
    expect(await ask(invalid, null)).not.toBe(null)
  expect(documents.size()).toBe(0)

  const session = { kind: 'SESSION', user: { id: 'u' }, session: { id: 's' } } as unknown as Viewer
  const token = { kind: 'USER_TOKEN', user: { id: 'u' }, apiToken: { scopes: ['tweets:read'] } } as unknown as Viewer
  const query = '{ apiTokens { __typename } }'
  for (const times of [1, 2, 3]) {
    expect([times, await ask(query, null)]).toEqual([times, ['UNAUTHENTICATED']])
    expect([times, await ask(query, token)]).toEqual([times, ['FORBIDDEN']])
    expect([times, await ask(query, session)]).not.toEqual([times, ['FORBIDDEN']])
  }
  expect(documents.size()).toBe(1)
})
