// The Pothos builder. Each type has a file of its own in types/, with the queries and mutations
// that return it.
import SchemaBuilder from '@pothos/core'
import ComplexityPlugin from '@pothos/plugin-complexity'
import RelayPlugin from '@pothos/plugin-relay'
import ScopeAuthPlugin from '@pothos/plugin-scope-auth'
import { GraphQLError } from 'graphql'
import { AppError } from '../errors.ts'
import type { AccessRule } from './access.ts'
import type { GraphqlContext } from './context.ts'

/** The most expensive reasonable document is a page of 100 tweets with their accounts. */
export const MAX_COMPLEXITY = 5_000
/** The complexity of a field for which the rows of a whole list are counted. */
export const COUNT_COMPLEXITY = 100
// The longest path through the schema, which has no cycles: from a payload with a user through a
// connection to the token health of an account.
export const MAX_DEPTH = 9
export const MAX_BREADTH = 100

export const builder = new SchemaBuilder<{
  Context: GraphqlContext
  DefaultFieldNullability: false
  DefaultInputFieldRequiredness: false
  AuthScopes: Required<AccessRule>
  /** `countAll` is set where the connection type has `totalCount`. */
  Connection: { countAll?: () => Promise<number> }
  Scalars: {
    ID: { Input: string; Output: string }
    DateTime: { Input: Date; Output: Date }
  }
}>({
  plugins: [ComplexityPlugin, ScopeAuthPlugin, RelayPlugin],
  defaultFieldNullability: false,
  complexity: {
    defaultComplexity: 1,
    defaultListMultiplier: 10,
    complexityError: (_kind, { complexity, depth, breadth }) =>
      new AppError('BAD_USER_INPUT', {
        detail: `The document asks for too much at once (complexity ${complexity} of ${MAX_COMPLEXITY}, depth ${depth} of ${MAX_DEPTH}, breadth ${breadth} of ${MAX_BREADTH}). Ask for smaller pages, or split it.`,
      }),
    // An operation that was found to be within the limits is not measured again at each root field.
    limit: ({ isWithinLimits }) =>
      isWithinLimits ? {} : { complexity: MAX_COMPLEXITY, depth: MAX_DEPTH, breadth: MAX_BREADTH },
  },
  // The plugin gives fields their typed option. The rules are enforced by access.ts, without the
  // caches that the plugin keeps for each request.
  scopeAuth: {
    authScopes: () => {
      throw new Error('Bug: the access rules are enforced by access.ts')
    },
  },
  relay: {
    cursorType: 'String',
    clientMutationId: 'omit',
    edgesFieldOptions: {
      description: 'The entries of this page, each with its cursor.',
      // A connection's own field multiplies by the size of its page already.
      complexity: { field: 1, multiplier: 1 },
    },
    nodesOnConnection: {
      description: 'The entries of this page without their cursors, in the order of `edges`.',
      complexity: { field: 1, multiplier: 1 },
    },
    nodeFieldOptions: { description: 'The entry at this place of the list.' },
    cursorFieldOptions: {
      description: 'The place of the entry in the list, for `after` or `before`. An opaque text.',
    },
    pageInfoFieldOptions: {
      description: 'The first and last cursor of this page, and whether there are pages beyond it.',
    },
    pageInfoTypeOptions: { description: 'The first and last cursor of a page, and whether there are pages beyond it.' },
    hasNextPageFieldOptions: { description: 'True when there are entries after this page.' },
    hasPreviousPageFieldOptions: { description: 'True when there are entries before this page.' },
    startCursorFieldOptions: {
      description:
        'The cursor of the first entry. An empty page repeats the cursor that it was asked with; null when it was asked without one.',
    },
    endCursorFieldOptions: {
      description:
        'The cursor of the last entry: give it as `after` for the next page. An empty page repeats the cursor that it was asked with; null when it was asked without one.',
    },
    firstArgOptions: { description: 'The number of entries, counted from the beginning or from `after`: 1 to 100.' },
    lastArgOptions: { description: 'The number of entries, counted back from the end or from `before`: 1 to 100.' },
    afterArgOptions: { description: 'A cursor: only entries after it.' },
    beforeArgOptions: { description: 'A cursor: only entries before it.' },
  },
})

builder.queryType({
  description: [
    'The queries: everything that a caller can read.',
    'The last line of a field\'s description names the access that the field requires: "nothing"; "a session", that is a signed-in browser; "a session or an API token", with any scopes; a scope such as "tweets:read", which a signed-in browser has, and a user\'s API token that was given it; "operator\'s accounts:read", an operator\'s API token with that scope. A field without such a line requires no more than its parent.',
    'A document that contains a field without access is refused as a whole, before any of it is executed.',
  ].join('\n\n'),
})
builder.mutationType({
  description:
    'The mutations. Each returns a payload whose `userErrors` name what the caller can act on. A mutation is null only beside a top-level error.',
})

builder.subscriptionType({
  description:
    'The subscriptions, by POST to /graphql with `accept: text/event-stream`, as server-sent events in the "distinct connections mode" of GraphQL over SSE.',
})

builder.scalarType('DateTime', {
  description: 'A point in time, as RFC 3339 in UTC: `2026-11-23T17:57:00.000Z`.',
  serialize: (value) => value.toISOString(),
  parseValue: (value) => {
    const moment = typeof value === 'string' ? new Date(value) : null
    if (moment === null || Number.isNaN(moment.getTime()))
      throw new GraphQLError('A DateTime is written 2026-11-23T17:57:00.000Z.')
    return moment
  },
})

/** Returns the values of an enum from the description of each name. */
export function describeValues<Name extends string>(
  descriptions: Record<Name, string>,
): Record<Name, { description: string }> {
  const entries = Object.entries<string>(descriptions).map(([name, description]) => [name, { description }])
  return Object.fromEntries(entries)
}

/**
 * The builder of fields that the root and `User` share. A `User` is always the viewer, so that such
 * a field is written once and resolved from the context.
 */
export type ViewerFields = Pick<
  PothosSchemaTypes.RootFieldBuilder<(typeof builder)['$inferSchemaTypes'], unknown, 'Query'>,
  'field' | 'connection' | 'arg'
>
