// The cost of an operation for the rate limiter, and whether it is within the limits of complexity.
import { complexityFromQuery } from '@pothos/plugin-complexity'
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { MAX_BREADTH, MAX_COMPLEXITY, MAX_DEPTH } from './builder.ts'
import { hasVariable } from './execution-plan.ts'
import { MAX_INTROSPECTION_CHARACTERS, measureIntrospection } from './introspection-size.ts'

const COMPLEXITY_PER_COST = 100
// The whole schema costs 6: what it takes in time, compared with a page of tweets.
const INTROSPECTION_CHARACTERS_PER_COST = 25_000

/** What an operation costs with certain variables. */
export type OperationCost = {
  /** 1, plus 1 for each 100 of the complexity and for each 25,000 characters of an introspection. */
  cost: number
  /** False for an operation that is refused for its size when it is executed. */
  isWithinLimits: boolean
  /** True for an operation whose introspection is larger than `MAX_INTROSPECTION_CHARACTERS`. */
  isIntrospectionTooLarge: boolean
}

/** The cost of an operation that is not executed because of its name or its variables. */
export const COST_WITHOUT_EXECUTION: OperationCost = {
  cost: 1,
  isWithinLimits: false,
  isIntrospectionTooLarge: false,
}

/**
 * Returns the cost of an operation as a function of its variables, which have to fit their types.
 * It is computed once where it depends on no variable.
 */
export function createCostFunction(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  fragments: readonly FragmentDefinitionNode[],
): (variables: Record<string, unknown>) => OperationCost {
  const document: DocumentNode = { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] }
  const introspection = measureIntrospection(schema, operation, fragments)
  const calculate = (variables: Record<string, unknown>) =>
    withIntrospection(calculateCost(schema, document, variables), introspection)
  if (dependsOnVariables(schema, document)) return calculate
  // The values of required variables are not known here, and are not needed.
  const withoutVariables = { ...document, definitions: [{ ...operation, variableDefinitions: [] }, ...fragments] }
  const constant = withIntrospection(calculateCost(schema, withoutVariables, {}), introspection)
  return () => constant
}

// An introspection that is refused was measured, which is charged as the largest.
function withIntrospection(cost: OperationCost, characters: number): OperationCost {
  const charged = Math.min(characters, MAX_INTROSPECTION_CHARACTERS)
  return {
    ...cost,
    cost: cost.cost + Math.floor(charged / INTROSPECTION_CHARACTERS_PER_COST),
    isIntrospectionTooLarge: characters > MAX_INTROSPECTION_CHARACTERS,
  }
}

// Only the arguments of fields with a function for their complexity matter.
function dependsOnVariables(schema: GraphQLSchema, document: DocumentNode): boolean {
  const types = new TypeInfo(schema)
  let depends = false
  visit(
    document,
    visitWithTypeInfo(types, {
      Field: (node) => {
        depends ||= typeof types.getFieldDef()?.extensions.complexity === 'function' && hasVariable(node)
      },
    }),
  )
  return depends
}

function calculateCost(
  schema: GraphQLSchema,
  document: DocumentNode,
  variables: Record<string, unknown>,
): OperationCost {
  try {
    const { complexity, depth, breadth } = complexityFromQuery(document, { schema, variables })
    return {
      // An operation that is refused for its complexity executes nothing.
      cost: complexity > MAX_COMPLEXITY ? 1 : 1 + Math.floor(complexity / COMPLEXITY_PER_COST),
      isWithinLimits: complexity <= MAX_COMPLEXITY && depth <= MAX_DEPTH && breadth <= MAX_BREADTH,
      isIntrospectionTooLarge: false,
    }
  } catch (error) {
    // An invalid argument, which the execution reports.
    if (error instanceof GraphQLError) return COST_WITHOUT_EXECUTION
    throw error
  }
}
