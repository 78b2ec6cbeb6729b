import { complexityFromQuery } from '@pothos/plugin-complexity'
import { type ExecutionArgs, GraphQLError, getOperationAST, Kind } from 'graphql'
import { MAX_COMPLEXITY } from './builder.ts'

const COMPLEXITY_PER_COST = 100

/**
 * Returns the cost of a document for the rate limiter: 1, plus 1 for each 100 of its complexity.
 */
export function calculateCost(
  args: Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'>,
): number {
  const complexity = findComplexity(args)
  // A document that is refused for its complexity executes nothing.
  return complexity > MAX_COMPLEXITY ? 1 : 1 + Math.floor(complexity / COMPLEXITY_PER_COST)
}

function findComplexity({
  schema,
  document,
  operationName,
  variableValues,
}: Parameters<typeof calculateCost>[0]): number {
  const operation = getOperationAST(document, operationName)
  // An unclear operation, like invalid variables below, is reported by the execution.
  if (operation == null) return 0
  const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION)
  try {
    const { complexity } = complexityFromQuery(
      { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] },
      { schema, variables: { ...variableValues } },
    )
    return complexity
  } catch (error) {
    if (error instanceof GraphQLError) return 0
    throw error
  }
}
