// The way of a prepared document through the plugins: the hooks of Envelop and Yoga for parameters,
// context and execution, in their order, without the promises and closures that Envelop makes for
// each of them. The hooks for parsing and validation have seen the document when it was prepared.
import type { DocumentNode, ExecutionArgs, ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql'
import type { GraphQLParams, Plugin } from 'graphql-yoga'
import type { GraphqlRequest } from '../http/request-context.ts'
import type { GraphqlContext } from './context.ts'
import { isPromise, type MaybePromise } from './execution.ts'
import type { PreparedDocuments } from './prepared-documents.ts'
import { findExecutable } from './prepared-execution.ts'

/**
 * Executes the parameters of a request. Returns null, with nothing executed or consumed, for
 * those that need the whole engine: another document, or one that this viewer may not execute.
 * @throws what a plugin throws before the execution.
 */
export type PreparedEngine = (
  params: GraphQLParams,
  request: Request,
  about: GraphqlRequest,
) => MaybePromise<ExecutionResult | null>

type Parts = {
  schema: GraphQLSchema
  documents: PreparedDocuments
  /** All plugins, in their order. */
  plugins: readonly Plugin[]
  /** Describes an error outside of resolvers. */
  maskError: (error: unknown) => GraphQLError
}
type Execute = (args: ExecutionArgs) => unknown
// What these hooks return is typed for each plugin anew.
type AfterExecute = { onExecuteDone?: (payload: object) => unknown }

/** Creates the engine. @throws Error for plugins with hooks that it does not call. */
export function createPreparedEngine({ schema, documents, plugins, maskError }: Parts): PreparedEngine {
  const unknown = plugins.flatMap((plugin) => Object.keys(plugin)).filter((hook) => UNSUPPORTED_HOOKS.has(hook))
  if (unknown.length > 0) throw new Error(`Bug: the prepared engine does not call ${unknown.join(', ')}`)
  const paramsHooks = plugins.flatMap(({ onParams }) => onParams ?? [])
  const contextHooks = plugins.flatMap(({ onContextBuilding }) => onContextBuilding ?? [])
  const executeHooks = plugins.flatMap(({ onExecute }) => onExecute ?? [])

  const passParams = (params: GraphQLParams, request: Request, context: object): MaybePromise<boolean> => {
    let isChanged = false
    const change = () => {
      isChanged = true
    }
    const payload = { params, request, context, setParams: change, setParamsHandler: change, setResult: change }
    const called = inTurn(paramsHooks, (hook) => hook(payload as never))
    return andThen(called, () => !isChanged)
  }
  const buildContext = (context: object): MaybePromise<void> => {
    const extendContext = (extension: object) => void Object.assign(context, extension)
    const payload = { context, extendContext, breakContextBuilding: unsupported }
    return inTurn(contextHooks, (hook) => hook(payload as never))
  }
  const execute = (args: ExecutionArgs): MaybePromise<ExecutionResult> => {
    const { contextValue: context } = args
    const afterHooks: AfterExecute[] = []
    let executeFn: Execute = unsupported
    const payload = {
      executeFn,
      args,
      context,
      extendContext: (extension: object) => void Object.assign(context as object, extension),
      setExecuteFn: (replaced: Execute) => {
        executeFn = replaced
      },
      setResultAndStopExecution: unsupported,
    }
    const addAfterHook = (after: unknown) => {
      if (after) afterHooks.push(after as AfterExecute)
    }
    const finish = (executed: unknown) => {
      let result = executed as ExecutionResult
      const setResult = (replaced: ExecutionResult) => {
        result = replaced
      }
      const called = inTurn(afterHooks, ({ onExecuteDone }) => onExecuteDone?.({ args, result, setResult }))
      return andThen(called, () => result)
    }
    const called = inTurn(executeHooks, (hook) => andThen<unknown, void>(hook(payload as never), addAfterHook))
    return andThen(called, () => andThen(executeFn(args), finish))
  }
  const run = (params: GraphQLParams, document: DocumentNode, contextValue: GraphqlContext) => {
    const { variables: variableValues, operationName } = params
    const describe = (error: unknown): ExecutionResult => ({ errors: [maskError(error)] })
    try {
      const args = { schema, document, contextValue, variableValues, operationName }
      const result = andThen(buildContext(contextValue), () => execute(args))
      return isPromise(result) ? result.catch(describe) : result
    } catch (error) {
      return describe(error)
    }
  }

  return (params, request, about) => {
    const found = findExecutable(documents, params, about)
    if (found === null) return null
    const contextValue = { ...about, waitUntil: () => {}, request, params } as unknown as GraphqlContext
    return andThen(passParams(params, request, contextValue), (isPassed) =>
      isPassed ? run(params, found.document, contextValue) : null,
    )
  }
}

// Calls one after the other, and waits only for those that return a promise.
function inTurn<Item>(items: readonly Item[], call: (item: Item) => unknown, from = 0): MaybePromise<void> {
  for (let index = from; index < items.length; index++) {
    const returned = call(items[index] as Item)
    if (isPromise(returned)) return returned.then(() => inTurn(items, call, index + 1))
  }
}

function andThen<Before, After>(
  value: MaybePromise<Before>,
  next: (value: Before) => MaybePromise<After>,
): MaybePromise<After> {
  return isPromise(value) ? value.then(next) : next(value)
}

const UNSUPPORTED_HOOKS = new Set(['onEnveloped', 'onExecutionResult', 'instrumentation'])

function unsupported(): never {
  throw new Error('Bug: a plugin does what the prepared engine does not support')
}
