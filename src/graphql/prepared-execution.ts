// The plugins that prepare a document once, and execute the requests that send it.
import { type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql'
import type { GraphQLParams, Plugin } from 'graphql-yoga'
import { AppError } from '../errors.ts'
import type { GraphqlRequest } from '../http/request-context.ts'
import { findRefusal } from './access.ts'
import type { GraphqlContext } from './context.ts'
import { COST_WITHOUT_EXECUTION } from './cost.ts'
import type { MaybePromise } from './execution.ts'
import { coerceVariables, describeVariableErrors } from './execution-plan.ts'
import { MAX_INTROSPECTION_CHARACTERS } from './introspection-size.ts'
import {
  findOperation,
  type PreparedDocument,
  type PreparedDocuments,
  type PreparedOperation,
} from './prepared-documents.ts'

/**
 * Skips parsing and validation for a prepared document, and prepares other valid ones. Refuses a
 * document that contains a field without access, before anything is executed: a tweet must not be
 * posted for a client that may not read the response.
 */
export function prepareDocuments(documents: PreparedDocuments): Plugin<GraphqlRequest> {
  return {
    onParse: ({ params: { source }, setParsedDocument }) => {
      const prepared = documents.find(String(source))
      if (prepared !== null) setParsedDocument(prepared.document)
    },
    onValidate: ({ params: { documentAST }, context, setResult }) => {
      if (documents.of(documentAST) !== null) setResult([])
      return ({ valid, setResult }) => {
        if (!valid) return
        const { query, operationName } = context.params
        const prepared = documents.of(documentAST) ?? documents.add(query ?? '', documentAST)
        Object.assign(context.operationLog, findOperation(prepared, operationName)?.description)
        const refusal = findRefusal(prepared.ruledFields, context.viewer)
        if (refusal !== null) setResult([refusal])
      }
    },
  }
}

/**
 * Consumes the cost of an operation before it is executed, and executes queries and mutations by
 * their plans.
 */
export function executeByPlan(documents: PreparedDocuments): Plugin<GraphqlContext> {
  return {
    onExecute: ({ args, setExecuteFn }) => {
      const { operation, variables } = prepareExecution(documents, args)
      const plan = operation?.plan ?? null
      if (plan !== null && variables !== null)
        setExecuteFn(({ contextValue }: ExecutionArgs) => plan.execute(contextValue, variables))
      if (operation !== null && variables === null) setExecuteFn(() => refuseVariables(args, operation))
      return consumeCost(args, operation, variables)
    },
    onSubscribe: ({ args, setSubscribeFn }) => {
      const { operation, variables } = prepareExecution(documents, args)
      if (operation !== null && variables === null) setSubscribeFn(() => refuseVariables(args, operation))
      return consumeCost(args, operation, variables)
    },
  }
}

/**
 * Returns the prepared document of a request if this viewer may execute its operation, and records
 * the operation for the log; null otherwise, and for a subscription.
 */
export function findExecutable(
  documents: PreparedDocuments,
  { query, operationName }: GraphQLParams,
  { viewer, operationLog }: Pick<GraphqlRequest, 'viewer' | 'operationLog'>,
): PreparedDocument | null {
  const prepared = documents.find(query ?? '')
  const found = prepared === null ? null : findOperation(prepared, operationName)
  if (prepared === null || found === null || found.plan === null) return null
  if (findRefusal(prepared.ruledFields, viewer) !== null) return null
  Object.assign(operationLog, found.description)
  return prepared
}

type Variables = Record<string, unknown>

// Without an operation Yoga's executor describes the error.
function prepareExecution(
  documents: PreparedDocuments,
  { schema, document, operationName, variableValues }: ExecutionArgs,
): { operation: PreparedOperation | null; variables: Variables | null } {
  const prepared = documents.of(document)
  const operation = prepared === null ? null : findOperation(prepared, operationName)
  const variables = operation === null ? null : coerceVariables(schema, operation.operation, variableValues)
  return { operation, variables }
}

// With the status that Yoga's executor gives them.
function refuseVariables({ schema, variableValues }: ExecutionArgs, { operation }: PreparedOperation): ExecutionResult {
  const errors = describeVariableErrors(schema, operation, variableValues).map(
    ({ message, nodes }) => new GraphQLError(message, { nodes, extensions: { http: { status: 400 } } }),
  )
  return { errors }
}

function consumeCost(
  { contextValue, variableValues }: ExecutionArgs & { contextValue: GraphqlContext },
  operation: PreparedOperation | null,
  variables: Variables | null,
): MaybePromise<void> {
  const isExecuted = operation !== null && variables !== null
  const { cost, isWithinLimits, isIntrospectionTooLarge } = isExecuted
    ? operation.calculateCost(variableValues ?? {})
    : COST_WITHOUT_EXECUTION
  contextValue.isWithinLimits = isWithinLimits
  const assertSize = () => {
    if (isIntrospectionTooLarge)
      throw new AppError('BAD_USER_INPUT', {
        detail: `The introspection has more than ${MAX_INTROSPECTION_CHARACTERS.toLocaleString('en')} characters. Ask for each part of the schema once.`,
      })
  }
  const { rateLimiter } = contextValue
  return rateLimiter.consumeHeld(cost) ? assertSize() : rateLimiter.consume(cost).then(assertSize)
}
