// K-03: the access rule of every field against every kind of caller, in the schema itself.
// test/stories/connecting/scopes.test.ts does the same over HTTP.
import { buildSchema, type GraphQLField, getOperationAST, isObjectType, parse } from 'graphql'
import { describe, expect, test } from 'vitest'
import type { ApiScope, ApiToken } from '../../src/auth/api-token.ts'
import type { User, Viewer } from '../../src/auth/viewer.ts'
import { AppError } from '../../src/errors.ts'
import { describeAccessRules } from '../../src/graphql/access.ts'
import { schema } from '../../src/graphql/schema.ts'
import { type Asker, askers, everybody, fields, PART, whoMay } from '../support/access-table.ts'

const objectTypes = Object.values(schema.getTypeMap())
  .filter(isObjectType)
  .filter(({ name }) => !name.startsWith('__'))

function getField(type: string, name: string): GraphQLField<unknown, unknown> {
  const found = objectTypes.find((candidate) => candidate.name === type)?.getFields()[name]
  if (found === undefined) throw new Error(`There is no field ${type}.${name}`)
  return found
}

test('K-03 the table of access rules names every field of the schema, and no other', () => {
  const existing = objectTypes.flatMap((type) => Object.keys(type.getFields()).map((name) => `${type.name}.${name}`))
  expect(existing.toSorted()).toEqual(fields.map(({ type, name }) => `${type}.${name}`).toSorted())
})

test('K-03 the last line of a description states the access rule in a form that programs can parse', () => {
  for (const { type, name, rule } of fields) {
    const said = /\n\nRequires: (.+)\.$/.exec(getField(type, name).description ?? '')?.[1] ?? PART
    expect(said, `${type}.${name}`).toBe(rule)
  }
})

describe('K-03 a field that is resolved without the check of the whole document', () => {
  const guarded = fields.filter(({ rule }) => rule !== PART)
  const named = guarded.map(({ type, name, rule }) => [`${type}.${name}`, rule, type, name] as const)
  test.each(named)('%s admits exactly the callers that the rule "%s" admits', async (_field, rule, type, name) => {
    const letIn: Asker[] = []
    for (const asker of everybody) if (await isLetIn(type, name, viewerOf(asker))) letIn.push(asker)
    expect(letIn).toEqual(everybody.filter((asker) => whoMay(rule).includes(asker)))
  })
})

describe('K-03 a schema is refused, so that no gateway starts with it,', () => {
  const thing = 'type Thing { id: ID!, other: Thing } type Part { thing: Thing }'
  test.each([
    ['a query', 'type Query { thing: String }', 'Query.thing'],
    ['a mutation', 'type Query type Mutation { act: Part } type Part { done: Boolean }', 'Mutation.act'],
    ['a subscription', 'type Query type Subscription { things: Int }', 'Subscription.things'],
    ['a field that leads from one object with an id to another', `type Query ${thing}`, 'Thing.other'],
  ])('for %s without a rule', (_what, sdl, field) => {
    expect(() => describeAccessRules(buildSchema(sdl, { assumeValid: true }))).toThrow(
      `${field} does not state its access rule`,
    )
  })
})

/**
 * Returns whether the resolver of the field runs for this viewer. It then fails, because there is no
 * gateway behind it.
 */
async function isLetIn(type: string, name: string, viewer: Viewer | null): Promise<boolean> {
  const field = getField(type, name)
  const context = { viewer, rateLimiter: { lastResult: () => null } }
  const info = {
    schema,
    parentType: objectTypes.find((candidate) => candidate.name === type),
    fieldName: name,
    path: { key: name, prev: undefined, typename: type },
    operation: getOperationAST(parse('{ __typename }')),
    fragments: {},
    variableValues: {},
  }
  try {
    const resolve = field.subscribe ?? field.resolve
    await resolve?.({}, { input: {} }, context, info as never)
  } catch (error) {
    if (!(error instanceof AppError) || !error.message.includes(`${type}.${name} requires `)) return true
    expect(error.code).toBe(viewer === null ? 'UNAUTHENTICATED' : 'FORBIDDEN')
    return false
  }
  return true
}

function viewerOf(asker: Asker): Viewer | null {
  const scopes = askers[asker]
  const user = { id: 'mara' } as User
  if (scopes === null) return null
  if (scopes === 'session')
    return { kind: 'SESSION', user, session: { id: 's', userId: 'mara', createdAt: new Date(), expiresAt: new Date() } }
  const apiToken = { id: 'token', scopes: [...scopes] as ApiScope[] } as ApiToken
  return asker.startsWith('operator') ? { kind: 'OPERATOR_TOKEN', apiToken } : { kind: 'USER_TOKEN', user, apiToken }
}
