import { parse } from 'graphql'
import type { GraphQLParams, Plugin } from 'graphql-yoga'
import { expect, test } from 'vitest'
import { createPreparedDocuments } from '../../src/graphql/prepared-documents.ts'
import { createPreparedEngine } from '../../src/graphql/prepared-engine.ts'
import { schema } from '../../src/graphql/schema.ts'
import type { GraphqlRequest } from '../../src/http/request-context.ts'

const QUERY = '{ __typename }'
const request = new Request('http://localhost/graphql', { method: 'POST' })

function createEngine(plugins: readonly Plugin[]) {
  const documents = createPreparedDocuments(schema)
  documents.add(QUERY, parse(QUERY))
  const maskError = (error: unknown) => {
    throw error
  }
  const engine = createPreparedEngine({ schema, documents, plugins, maskError })
  const about = { viewer: null, operationLog: { operation: null, fields: [], errorCodes: [] } }
  return (params: GraphQLParams) => engine(params, request, about as unknown as GraphqlRequest)
}

const execute: Plugin = { onExecute: ({ setExecuteFn }) => setExecuteFn(() => ({ data: { called: 1 } })) }

test('a hook of a kind that is not called stops the start', () => {
  expect(() => createEngine([{ onEnveloped: () => {} }])).toThrow('onEnveloped')
})

test('calls the hooks of all plugins in their order, and returns the result that they leave', async () => {
  const called: string[] = []
  const plugin = (name: string): Plugin => ({
    onParams: () => void called.push(`params ${name}`),
    onContextBuilding: () => void called.push(`context ${name}`),
    onExecute: () => {
      called.push(`execute ${name}`)
      return { onExecuteDone: ({ setResult }) => setResult({ data: { by: name } }) }
    },
  })
  const result = await createEngine([plugin('one'), execute, plugin('two')])({ query: QUERY })
  expect(result).toEqual({ data: { by: 'two' } })
  expect(called).toEqual(['params one', 'params two', 'context one', 'context two', 'execute one', 'execute two'])
})

test('executes nothing for another document, another operation, and parameters that a plugin changes', async () => {
  const changes: Plugin = { onParams: ({ params, setParams }) => setParams({ ...params }) }
  expect(await createEngine([execute])({ query: '{ viewer { id } }' })).toBeNull()
  expect(await createEngine([execute])({ query: QUERY, operationName: 'Other' })).toBeNull()
  expect(await createEngine([changes, execute])({ query: QUERY })).toBeNull()
})
