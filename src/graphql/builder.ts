// The builder, without any type of the schema: those are one file each, beside the queries and mutations that return them.
import SchemaBuilder from '@pothos/core'
import ComplexityPlugin from '@pothos/plugin-complexity'
import RelayPlugin from '@pothos/plugin-relay'
import ScopeAuthPlugin from '@pothos/plugin-scope-auth'
import { GraphQLError } from 'graphql'
import { mayAsOperator, mayAsUser, sessionOf } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import { explainRefusal, type Needs, readNeeds } from './access.ts'
import type { GraphqlContext } from './context.ts'

/** A page of 100 tweets with their accounts is the dearest honest document. */
export const MAX_COMPLEXITY = 5_000
/** The complexity of a field for which another service is called, and the caller waits. */
export const NETWORK_COMPLEXITY = 500
// No type of the schema leads back to itself, and no way through it is longer.
const MAX_DEPTH = 8
const MAX_BREADTH = 100

export const builder = new SchemaBuilder<{
  Context: GraphqlContext
  DefaultFieldNullability: false
  DefaultInputFieldRequiredness: false
  AuthScopes: Required<Needs>
  Scalars: {
    ID: { Input: string; Output: string }
    DateTime: { Input: Date; Output: Date }
  }
}>({
  // Complexity first: what is refused for its size must not run anything, authorization included.
  plugins: [ComplexityPlugin, ScopeAuthPlugin, RelayPlugin],
  defaultFieldNullability: false,
  complexity: {
    defaultComplexity: 1,
    defaultListMultiplier: 10,
    complexityError: (_kind, { complexity, depth, breadth }) =>
      new AppError('BAD_USER_INPUT', {
        detail: `The document asks for too much at once (complexity ${complexity} of ${MAX_COMPLEXITY}, depth ${depth} of ${MAX_DEPTH}, breadth ${breadth} of ${MAX_BREADTH}). Ask for smaller pages, or split it.`,
      }),
    limit: { complexity: MAX_COMPLEXITY, depth: MAX_DEPTH, breadth: MAX_BREADTH },
  },
  scopeAuth: {
    authScopes: ({ viewer }) => ({
      anyone: true,
      session: sessionOf(viewer) !== null,
      scope: (scope) => mayAsUser(viewer, scope),
      operator: (scope) => mayAsOperator(viewer, scope),
    }),
    // Reached only by a document that was not looked at as a whole before.
    unauthorizedError: (_parent, { viewer }, { parentType, fieldName }) => {
      const field = parentType.getFields()[fieldName]
      return explainRefusal(viewer, new Map([[`${parentType.name}.${fieldName}`, (field && readNeeds(field)) ?? {}]]))
    },
    authorizeOnSubscribe: true,
  },
  relay: {
    cursorType: 'String',
    clientMutationId: 'omit',
    edgesFieldOptions: {
      description: 'What is on this page.',
      // A connection's own field multiplies by the size of its page already.
      complexity: { field: 1, multiplier: 1 },
    },
    nodeFieldOptions: { description: 'The thing itself.' },
    cursorFieldOptions: {
      description: 'Its place in the list, for `after` or `before`. Opaque: do not take it apart.',
    },
    pageInfoFieldOptions: { description: 'Where this page begins and ends.' },
    pageInfoTypeOptions: { description: 'Where a page begins and ends, and what there is beyond it.' },
    hasNextPageFieldOptions: { description: 'True when there is more after this page.' },
    hasPreviousPageFieldOptions: { description: 'True when there is more before this page.' },
    startCursorFieldOptions: {
      description:
        'The place of the first one. An empty page repeats the cursor that it was asked with; null without one.',
    },
    endCursorFieldOptions: {
      description:
        'The place of the last one: the next page is `after` it. An empty page repeats the cursor that it was asked with; null without one.',
    },
    firstArgOptions: { description: 'How many, from the beginning or after `after`.' },
    lastArgOptions: { description: 'How many, from the end or before `before`.' },
    afterArgOptions: { description: 'A cursor: what comes after it.' },
    beforeArgOptions: { description: 'A cursor: what comes before it.' },
  },
})

builder.queryType({
  description: [
    'What can be read.',
    'The last line of a description says what the field needs of who asks: "nothing"; "a session", that is a signed-in browser; a scope such as "tweets:read", which a signed-in browser has, and a user\'s API token that was given it; "operator\'s accounts:read", an operator\'s API token with that scope. A field that says nothing comes with the one that led to it.',
    'A document that names a field which it may not have is refused before anything of it is done.',
  ].join('\n\n'),
})
builder.mutationType({
  description:
    'What can be done. Every mutation answers with a payload whose `userErrors` say what a person can act on.',
})

builder.subscriptionType({
  description:
    'What can be followed as it happens: by POST to /graphql with `accept: text/event-stream`, as server-sent events in the "distinct connections mode" of GraphQL over SSE.',
})

builder.scalarType('DateTime', {
  description: 'A moment, as RFC 3339 in UTC: `2026-11-23T17:57:00.000Z`.',
  serialize: (value) => value.toISOString(),
  parseValue: (value) => {
    const moment = typeof value === 'string' ? new Date(value) : null
    if (moment === null || Number.isNaN(moment.getTime()))
      throw new GraphQLError('A DateTime is written 2026-11-23T17:57:00.000Z.')
    return moment
  },
})

/** The values of an enum that has a description for each of its names. */
export function describeValues<Name extends string>(
  descriptions: Record<Name, string>,
): Record<Name, { description: string }> {
  const entries = Object.entries<string>(descriptions).map(([name, description]) => [name, { description }])
  return Object.fromEntries(entries)
}
