// The way of a prepared document through the plugins: the hooks of Envelop and Yoga for parameters,
// context and execution, in their order, without the promises and closures that Envelop makes for
// each of them. The hooks for parsing and validation have seen the document when it was prepared.
import type { ExecutionArgs, ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql'
import type { GraphQLParams, Plugin } from 'graphql-yoga'
import type { GraphqlRequest } from '../http/request-context.ts'
import type { GraphqlContext } from './context.ts'
import { isPromise } from './execution.ts'
import type { PreparedDocuments } from './prepared-documents.ts'
import { findExecutable } from './prepared-execution.ts'

/**
 * Executes the parameters of a request. Resolves to null, with nothing executed or consumed, for
 * those that need the whole engine: another document, or one that this viewer may not execute.
 * @throws what a plugin throws before the execution.
 */
export type PreparedEngine = (
  params: GraphQLParams,
  request: Request,
  about: GraphqlRequest,
) => Promise<ExecutionResult | null>

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

  const passParams = async (params: GraphQLParams, request: Request, context: object): Promise<boolean> => {
    let isChanged = false
    const change = () => {
      isChanged = true
    }
    const payload = { params, request, context, setParams: change, setParamsHandler: change, setResult: change }
    for (const hook of paramsHooks) {
      const returned: unknown = hook(payload as never)
      if (isPromise(returned)) await returned
    }
    return !isChanged
  }
  const buildContext = async (context: object): Promise<void> => {
    const extendContext = (extension: object) => void Object.assign(context, extension)
    const payload = { context, extendContext, breakContextBuilding: unsupported }
    for (const hook of contextHooks) {
      const returned: unknown = hook(payload as never)
      if (isPromise(returned)) await returned
    }
  }
  const execute = async (args: ExecutionArgs): Promise<ExecutionResult> => {
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
    for (const hook of executeHooks) {
      const returned: unknown = hook(payload as never)
      const after = isPromise(returned) ? await returned : returned
      if (after) afterHooks.push(after as AfterExecute)
    }
    const executed: unknown = executeFn(args)
    let result = (isPromise(executed) ? await executed : executed) as ExecutionResult
    const setResult = (replaced: ExecutionResult) => {
      result = replaced
    }
    for (const { onExecuteDone } of afterHooks) {
      const returned: unknown = onExecuteDone?.({ args, result, setResult })
      if (isPromise(returned)) await returned
    }
    return result
  }

  return async (params, request, about) => {
    const found = findExecutable(documents, params, about)
    if (found === null) return null
    const contextValue = { ...about, waitUntil: () => {}, request, params } as unknown as GraphqlContext
    if (!(await passParams(params, request, contextValue))) return null
    try {
      await buildContext(contextValue)
      const { variables: variableValues, operationName } = params
      return await execute({ schema, document: found.document, contextValue, variableValues, operationName })
    } catch (error) {
      return { errors: [maskError(error)] }
    }
  }
}

const UNSUPPORTED_HOOKS = new Set(['onEnveloped', 'onExecutionResult', 'instrumentation'])

function unsupported(): never {
  throw new Error('Bug: a plugin does what the prepared engine does not support')
}
