// The operation log fields of a document: the operation's name, its root fields, and the codes of
// its errors. They contain no user text: fields and codes come from closed lists, and the name is
// truncated.
import { type DocumentNode, type GraphQLSchema, getOperationAST, Kind } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { isErrorCode } from '../error-codes.ts'
import type { OperationLogFields } from '../telemetry/log.ts'
import type { GraphqlContext } from './context.ts'
import type { Payload } from './payload.ts'

const MAX_NAME_LENGTH = 64
const MAX_FIELDS = 10

/** Records the fields of a valid document, and the codes of the top-level errors. */
export const recordOperation: Plugin<GraphqlContext, { operationLog: OperationLogFields }> = {
  onValidate:
    ({ params, context }) =>
    ({ valid }) => {
      if (valid) addOperation(context.operationLog, params.documentAST, context.params.operationName ?? null)
    },
  onResultProcess: ({ result, serverContext }) => {
    if (Symbol.asyncIterator in result) return
    for (const { errors } of [result].flat())
      addErrorCodes(serverContext.operationLog, errors ?? [], ({ extensions }) => extensions?.code)
  },
}

/**
 * Makes every mutation record the codes of its userErrors, whether or not the document selects
 * them.
 */
export function recordUserErrors(schema: GraphQLSchema): void {
  for (const field of Object.values(schema.getMutationType()?.getFields() ?? {})) {
    const { resolve } = field
    if (resolve === undefined) throw new Error(`Bug: ${field.name} has no resolver`)
    field.resolve = async (parent, args, context: GraphqlContext, info) => {
      const payload = (await resolve(parent, args, context, info)) as Payload<unknown>
      addErrorCodes(context.operationLog, payload.userErrors, ({ code }) => code)
      return payload
    }
  }
}

function addOperation(operationLog: OperationLogFields, document: DocumentNode, operationName: string | null): void {
  const operation = getOperationAST(document, operationName)
  if (!operation) return
  const fields = operation.selectionSet.selections.flatMap((one) => (one.kind === Kind.FIELD ? [one.name.value] : []))
  operationLog.operation = operation.name?.value.slice(0, MAX_NAME_LENGTH) ?? null
  operationLog.fields = [...new Set(fields)].slice(0, MAX_FIELDS)
}

function addErrorCodes<Item>(
  operationLog: OperationLogFields,
  errors: readonly Item[],
  codeOf: (error: Item) => unknown,
): void {
  const codes = errors.map(codeOf).filter((code) => typeof code === 'string' && isErrorCode(code)) as string[]
  operationLog.errorCodes = [...new Set([...operationLog.errorCodes, ...codes])]
}
