// The access rules of fields. A field states its rule once, as `authScopes`. The last line of its
// description in the SDL comes from there, as do the refusal of a document before it is executed
// and the refusal of the field itself.
import {
  type DefinitionNode,
  type DocumentNode,
  defaultFieldResolver,
  type FieldNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLFieldResolver,
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
import type { ApiScope, OperatorScope, UserScope } from '../auth/api-token.ts'
import { mayAsOperator, mayAsUser, sessionOf, type Viewer } from '../auth/viewer.ts'
import { apiScopes, operatorScopes } from '../db/tables.ts'
import { type ErrorCode, errorCodes } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { challenge } from '../http/bearer.ts'
import { errorExtensions } from '../http/error-response.ts'

/** What a field requires of the caller: any one of these is enough. */
export type AccessRule = {
  /** Every caller, authenticated or not. */
  anyone?: boolean
  /** Any authenticated caller: a signed-in browser, or an API token with any scopes. */
  identified?: boolean
  /** A signed-in browser; no token, regardless of its scopes. */
  session?: boolean
  /** A signed-in browser, or a user's token with this scope. */
  scope?: UserScope
  /** An operator's token with this scope. */
  operator?: OperatorScope
}

const accessRuleShape: z.ZodType<AccessRule> = z.strictObject({
  anyone: z.literal(true).optional(),
  identified: z.literal(true).optional(),
  session: z.literal(true).optional(),
  scope: z.enum(apiScopes).optional(),
  operator: z.enum(operatorScopes).optional(),
})

/**
 * Adds each field's access rule to its description, for readers of the SDL and GraphiQL.
 * @throws Error for a field that requires a rule and has none: fields of the root types, and fields
 * that lead from one object with an id to another. All other fields are parts of such an object.
 */
export function describeAccessRules(schema: GraphQLSchema): void {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue
    for (const field of Object.values(type.getFields())) {
      const rule = findAccessRule(field)
      if (rule !== null) field.description = `${field.description}\n\nRequires: ${nameAccessRule(rule)}.`
      else if (roots.includes(type) || (hasId(type) && hasId(getNamedType(field.type))))
        throw new Error(`Bug: ${type.name}.${field.name} does not state its access rule as authScopes`)
    }
  }
}

/**
 * Makes each field refuse a viewer who does not meet its rule. Reached only in a document that was
 * executed without the check of the whole document.
 */
export function enforceAccessRules(schema: GraphQLSchema): void {
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type)) continue
    for (const field of Object.values(type.getFields())) {
      const rule = findAccessRule(field)
      if (rule === null) continue
      const place = `${type.name}.${field.name}`
      const guard = (run: Resolver): Resolver => {
        return (source, args, context, info) => {
          if (!meets(context.viewer, rule)) throw explainRefusal(context.viewer, new Map([[place, rule]]))
          return run(source, args, context, info)
        }
      }
      if (field.subscribe !== undefined) field.subscribe = guard(field.subscribe)
      else field.resolve = guard(field.resolve ?? defaultFieldResolver)
    }
  }
}

type Resolver = GraphQLFieldResolver<unknown, { viewer: Viewer | null }>

/** A field of a document, with its access rule. */
type RuledField = { place: string; rule: AccessRule; node: FieldNode }

/** The fields of a document that have an access rule. */
export type RuledFields = {
  /** All of them. */
  all: readonly RuledField[]
  /**
   * Those that are executed for an unauthenticated caller: a `User` is the caller, so that without
   * one `viewer` is null and nothing below it is executed.
   */
  withoutViewer: readonly RuledField[]
}

/** Lists the fields of a valid document that have an access rule. */
export function listRuledFields(schema: GraphQLSchema, document: DocumentNode): RuledFields {
  const list = (isBelow: (field: Field) => boolean) => {
    const fields: RuledField[] = []
    visitFields(schema, document, (node, type, field) => {
      const rule = findAccessRule(field)
      if (rule !== null) fields.push({ place: `${type.name}.${field.name}`, rule, node })
      return isBelow(field)
    })
    return fields
  }
  return { all: list(() => true), withoutViewer: list((field) => getNamedType(field.type).name !== 'User') }
}

/**
 * Returns the refusal of a document, one error that names all rules which the viewer does not meet;
 * null when all are met.
 */
export function findRefusal({ all, withoutViewer }: RuledFields, viewer: Viewer | null): GraphQLError | null {
  const refusedFields = (viewer === null ? withoutViewer : all).filter(({ rule }) => !meets(viewer, rule))
  if (refusedFields.length === 0) return null
  const refused = new Map(refusedFields.map(({ place, rule }) => [place, rule]))
  const { code, message } = explainRefusal(viewer, refused)
  const missingScopes = [...new Set([...refused.values()].flatMap((rule) => missingScope(viewer, rule) ?? []))]
  const error = viewer === null || viewer.kind === 'SESSION' ? null : 'insufficient_scope'
  return new GraphQLError(message, {
    nodes: refusedFields.map(({ node }) => node),
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

// Visits each field of the operations and of the fragments that they spread, each fragment once.
// `visitField` returns whether to visit the fields below; a fragment that is spread only there is
// then not visited.
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

/** Returns the error for fields whose rules the viewer does not meet, keyed by `Type.field`. */
export function explainRefusal(viewer: Viewer | null, refused: ReadonlyMap<string, AccessRule>): AppError {
  const code: ErrorCode = viewer === null ? 'UNAUTHENTICATED' : 'FORBIDDEN'
  const required = [...refused].map(([place, rule]) => `${place} requires ${nameAccessRule(rule)}`)
  const advice = [...new Set([...refused.values()].flatMap((rule) => adviseOn(viewer, rule) ?? []))]
  return new AppError(code, { detail: [errorCodes[code].sentence, `${required.join('; ')}.`, ...advice].join(' ') })
}

// Returns the next step for a caller with the wrong kind of credentials. A token of the right kind
// without the scope needs no advice: the sentence before names the scope.
function adviseOn(viewer: Viewer | null, { session, scope, operator }: AccessRule): string | null {
  if (viewer === null) return null
  const isOperator = viewer.kind === 'OPERATOR_TOKEN'
  if (operator === undefined && isOperator)
    return "An operator's token acts for no user: query linkedUser or linkedUsers, or use a user's token."
  if (operator !== undefined && scope === undefined && !isOperator)
    return 'The operator creates such a token with npx xconnect token create.'
  if (session === true && scope === undefined && !isOperator) return 'Do this in a browser that is signed in.'
  return null
}

/** Returns the access rule of a field; null when it has none. */
export function findAccessRule(field: GraphQLField<unknown, unknown>): AccessRule | null {
  const { pothosOptions } = field.extensions
  if (typeof pothosOptions !== 'object' || pothosOptions === null || !('authScopes' in pothosOptions)) return null
  return pothosOptions.authScopes === undefined ? null : accessRuleShape.parse(pothosOptions.authScopes)
}

/** Returns true when the viewer meets this access rule. */
export function meets(viewer: Viewer | null, { anyone, identified, session, scope, operator }: AccessRule): boolean {
  return (
    anyone === true ||
    (identified === true && viewer !== null) ||
    (session === true && sessionOf(viewer) !== null) ||
    (scope !== undefined && mayAsUser(viewer, scope)) ||
    (operator !== undefined && mayAsOperator(viewer, operator))
  )
}

// Returns the scope that this token lacks.
function missingScope(viewer: Viewer | null, { scope, operator }: AccessRule): ApiScope | null {
  if (viewer?.kind === 'USER_TOKEN') return scope ?? null
  if (viewer?.kind === 'OPERATOR_TOKEN') return operator ?? null
  return null
}

function nameAccessRule({ anyone, identified, session, scope, operator }: AccessRule): string {
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
