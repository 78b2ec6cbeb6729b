// K-03: the words in which the console explains the scopes of an API token, against the hand-written
// table of access rules.
import { buildSchema, type GraphQLSchema, getNamedType, isObjectType } from 'graphql'
import { describe, expect, test } from 'vitest'
import { apiScopes } from '../../src/db/tables.ts'
import { describePermissions, type Permission } from '../../src/graphql/permissions.ts'
import { schema } from '../../src/graphql/schema.ts'
import { fields } from '../support/access-table.ts'
import { readDocument } from '../support/documents/markdown.ts'

const permissions = describePermissions(schema)
const wordsOf = (scope: string) => permissions.find((permission) => permission.scope === scope)?.words ?? ''

/** The noun that the words must contain for objects of each type. */
const nouns: Record<string, RegExp> = {
  ConnectedAccount: /Read X accounts/,
  ConnectAttempt: /attempts to connect/,
  Tweet: /Read tweets/,
  Event: /Read events \(X accounts, tweets, API tokens/,
  WebhookEndpoint: /webhook endpoints \(without addresses\)/,
  WebhookDelivery: /webhook deliveries/,
}

const scopesOf = (rule: string) => apiScopes.filter((scope) => rule.split(' or ').includes(scope))

function namedTypeOf(type: string, name: string): string {
  const owner = schema.getType(type)
  const field = isObjectType(owner) ? owner.getFields()[name] : undefined
  if (field === undefined) throw new Error(`There is no field ${type}.${name}`)
  return getNamedType(field.type).name.replace(/(Connection|Edge)$/, '')
}

describe('K-03 the words of a scope', () => {
  const opened = fields.flatMap((field) => scopesOf(field.rule).map((scope) => ({ ...field, scope })))

  test.each(
    opened.filter(({ type }) => type !== 'Mutation').map(({ type, name, scope }) => [scope, type, name] as const),
  )('%s say that a token reads the objects of %s.%s', (scope, type, name) =>
    expect(wordsOf(scope)).toMatch(nouns[namedTypeOf(type, name)] ?? type),
  )

  test('say every verb of the mutations that a token may call, and no other', () => {
    const verbOf = (name: string) => name.replace(/[A-Z].*/, '')
    const mutations = fields.filter(({ type }) => type === 'Mutation')
    for (const scope of apiScopes)
      for (const verb of new Set(mutations.map(({ name }) => verbOf(name)))) {
        const isOpen = opened.some((field) => field.scope === scope && verbOf(field.name) === verb)
        expect([scope, verb, new RegExp(`\\b${verb}\\b`, 'i').test(wordsOf(scope))]).toEqual([scope, verb, isOpen])
      }
  })

  test('say nothing of sessions and of integrators’ visibility where no token has them', () => {
    expect(permissions.map(({ words }) => words).join()).not.toMatch(/session|sign-in|show/i)
  })

  test('are those of the manual', () => {
    const rows = [...readDocument('schema/README.md').matchAll(/^\| `(\w+:\w+)` \| (.+) \|$/gm)]
    const lower = ({ words }: Permission) => words.charAt(0).toLowerCase() + words.slice(1)
    expect(rows.map(([, scope, words]) => [scope, words])).toEqual(
      permissions.map((permission) => [permission.scope, lower(permission)]),
    )
  })
})

describe('K-03 no gateway starts', () => {
  /** The schema, with this rule at the field in place of its own. */
  const withRule = (type: string, name: string, scope: string): GraphQLSchema => {
    const copy = buildSchema(
      'type Query { a: ID } type Mutation { postTweet: ID, publishLinks: ID } type Thing { id: ID }',
    )
    const owner = copy.getType(type)
    const field = isObjectType(owner) ? owner.getFields()[name] : undefined
    if (field !== undefined) field.extensions = { pothosOptions: { authScopes: { scope } } }
    return copy
  }

  test.each([
    ['a mutation', 'Mutation', 'publishLinks'],
    ['a query', 'Query', 'a'],
    ['a field of an object', 'Thing', 'id'],
  ])('with %s that a scope opens without words', (_what, type, name) => {
    expect(() => describePermissions(withRule(type, name, 'accounts:write'))).toThrow(
      `Bug: ${type}.${name} has no words`,
    )
  })

  test('with a scope that opens nothing', () => {
    expect(() => describePermissions(withRule('Mutation', 'postTweet', 'tweets:write'))).toThrow(
      'Bug: the scope accounts:read opens no field',
    )
  })
})
