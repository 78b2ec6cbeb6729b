// What each field needs of who asks. A field says it once, as `authScopes`; from there come the last line of its description in the SDL,
// the refusal of a document before anything of it runs, and, by Pothos, the refusal of the field itself.
import {
  type DefinitionNode,
  type DocumentNode,
  type FieldNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  isObjectType,
  Kind,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { z } from 'zod'
import type { ApiScope } from '../auth/api-token.ts'
import { mayAsOperator, mayAsUser, sessionOf, type Viewer } from '../auth/viewer.ts'
import { apiScopes } from '../db/tables.ts'
import { type ErrorCode, errorCodes } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { challenge } from '../http/bearer.ts'
import { errorExtensions } from '../http/error-response.ts'

/** Any one of these will do. */
export type Needs = {
  /** Everybody may ask, known or not. */
  anyone?: boolean
  /** Any known caller: a signed-in browser, or an API token with whatever scopes. */
  identified?: boolean
  /** A signed-in browser, and no token whatever its scopes. */
  session?: boolean
  /** A signed-in browser, or a user's token with this scope. */
  scope?: ApiScope
  /** An operator's token with this scope. */
  operator?: ApiScope
}

const needsShape: z.ZodType<Needs> = z.strictObject({
  anyone: z.literal(true).optional(),
  identified: z.literal(true).optional(),
  session: z.literal(true).optional(),
  scope: z.enum(apiScopes).optional(),
  operator: z.enum(apiScopes).optional(),
})

/**
 * Writes into each field's description what the field needs, for whoever reads the SDL or GraphiQL.
 * @throws Error for a field that does not say: those of the root types, and those that lead from one thing with an id to another. All
 * others are parts of what such a field has let in already.
 */
export function describeNeeds(schema: GraphQLSchema): void {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue
    for (const field of Object.values(type.getFields())) {
      const needs = readNeeds(field)
      if (needs !== null) field.description = `${field.description}\n\nNeeds: ${nameNeeds(needs)}.`
      else if (roots.includes(type) || (hasId(type) && hasId(getNamedType(field.type))))
        throw new Error(`Bug: ${type.name}.${field.name} does not say by authScopes what it needs`)
    }
  }
}

/** Why the viewer may not have a document answered, all that is missing in one error; null when they may. */
export function findRefusal(schema: GraphQLSchema, document: DocumentNode, viewer: Viewer | null): GraphQLError | null {
  const refused = new Map<string, Needs>()
  const nodes: FieldNode[] = []
  visitFields(schema, document, (node, type, field) => {
    const needs = readNeeds(field)
    if (needs !== null && !meets(viewer, needs)) {
      refused.set(`${type.name}.${field.name}`, needs)
      nodes.push(node)
    }
    // A User is the caller. Signed out there is none, so that nothing below it runs: `viewer` is null, whatever it is asked for.
    return viewer !== null || getNamedType(field.type).name !== 'User'
  })
  if (refused.size === 0) return null
  const { code, message } = explainRefusal(viewer, refused)
  const missingScopes = [...new Set([...refused.values()].flatMap((needs) => missingScope(viewer, needs) ?? []))]
  const error = viewer === null || viewer.kind === 'SESSION' ? null : 'insufficient_scope'
  return new GraphQLError(message, {
    nodes,
    extensions: {
      ...errorExtensions(code),
      ...(missingScopes.length > 0 && { missingScopes }),
      http: {
        status: viewer === null ? 401 : 403,
        headers: { 'www-authenticate': challenge(error, missingScopes) },
      },
    },
  })
}

type Field = GraphQLField<unknown, unknown>

// Visits each field of the operations, and of the fragments that they spread, each fragment once. `visitField` returns
// whether to go on below the field: a fragment that is spread nowhere else is then not visited.
function visitFields(
  schema: GraphQLSchema,
  document: DocumentNode,
  visitField: (node: FieldNode, type: GraphQLNamedType, field: Field) => boolean,
): void {
  const definitions = new Set(document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION))
  for (const definition of definitions) {
    const types = new TypeInfo(schema)
    visit(
      definition,
      visitWithTypeInfo(types, {
        Field: (node) => {
          const [type, field] = [types.getParentType(), types.getFieldDef()]
          return type && field && !visitField(node, type, field) ? false : undefined
        },
        FragmentSpread: ({ name }) => {
          const isIt = (one: DefinitionNode) => one.kind === Kind.FRAGMENT_DEFINITION && one.name.value === name.value
          for (const fragment of document.definitions.filter(isIt)) definitions.add(fragment)
        },
      }),
    )
  }
}

/** What to throw where a viewer may not have fields, each of them by its place in the schema. */
export function explainRefusal(viewer: Viewer | null, refused: ReadonlyMap<string, Needs>): AppError {
  const code: ErrorCode = viewer === null ? 'UNAUTHENTICATED' : 'FORBIDDEN'
  const needed = [...refused].map(([place, needs]) => `${place} needs ${nameNeeds(needs)}`)
  const advice = [...new Set([...refused.values()].flatMap((needs) => adviseOn(viewer, needs) ?? []))]
  return new AppError(code, { detail: [errorCodes[code].sentence, `${needed.join('; ')}.`, ...advice].join(' ') })
}

// What a caller with the wrong kind of thing does next. A token of the right kind lacks a scope, which is said already.
function adviseOn(viewer: Viewer | null, { session, scope, operator }: Needs): string | null {
  if (viewer === null) return null
  const isOperator = viewer.kind === 'OPERATOR_TOKEN'
  if (operator === undefined && isOperator)
    return "An operator's token acts for no user: ask linkedUser or linkedUsers, or use a user's token."
  if (operator !== undefined && scope === undefined && !isOperator)
    return 'The operator makes such a token, by npx xconnect token create.'
  if (session === true && scope === undefined && !isOperator) return 'Do this in a browser that is signed in.'
  return null
}

/** What a field says that it needs; null when it says nothing. */
export function readNeeds(field: GraphQLField<unknown, unknown>): Needs | null {
  const { pothosOptions } = field.extensions
  if (typeof pothosOptions !== 'object' || pothosOptions === null || !('authScopes' in pothosOptions)) return null
  return pothosOptions.authScopes === undefined ? null : needsShape.parse(pothosOptions.authScopes)
}

/** Whether the viewer may have what has this access rule. */
export function meets(viewer: Viewer | null, { anyone, identified, session, scope, operator }: Needs): boolean {
  return (
    anyone === true ||
    (identified === true && viewer !== null) ||
    (session === true && sessionOf(viewer) !== null) ||
    (scope !== undefined && mayAsUser(viewer, scope)) ||
    (operator !== undefined && mayAsOperator(viewer, operator))
  )
}

// The scope that would have let this token in.
function missingScope(viewer: Viewer | null, { scope, operator }: Needs): ApiScope | null {
  if (viewer?.kind === 'USER_TOKEN') return scope ?? null
  if (viewer?.kind === 'OPERATOR_TOKEN') return operator ?? null
  return null
}

function nameNeeds({ anyone, identified, session, scope, operator }: Needs): string {
  const names = [
    anyone && 'nothing',
    identified && 'a session or an API token',
    session && 'a session',
    scope,
    operator !== undefined && `operator's ${operator}`,
  ].filter((name) => typeof name === 'string')
  return names.join(' or ')
}

function hasId(type: GraphQLNamedType): boolean {
  return isObjectType(type) && 'id' in type.getFields()
}
