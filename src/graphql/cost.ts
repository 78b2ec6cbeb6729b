import { complexityFromQuery } from '@pothos/plugin-complexity'
import { type ExecutionArgs, GraphQLError, getOperationAST, Kind } from 'graphql'
import { MAX_COMPLEXITY } from './builder.ts'

const COMPLEXITY_OF_A_POINT = 100

/** What a document costs, in points of the caller's budget: one, and one more for each hundred of its complexity. */
export function countPoints(
  args: Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'>,
): number {
  const complexity = findComplexity(args)
  // One that is refused for its complexity runs nothing.
  return complexity > MAX_COMPLEXITY ? 1 : 1 + Math.floor(complexity / COMPLEXITY_OF_A_POINT)
}

function findComplexity({
  schema,
  document,
  operationName,
  variableValues,
}: Parameters<typeof countPoints>[0]): number {
  const operation = getOperationAST(document, operationName)
  // Which operation is meant is for the execution to say, that of the wrong variables too.
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
