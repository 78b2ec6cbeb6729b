// The operation log fields of a document: the operation's name, its root fields, and the codes of
// its errors. They contain no user text: fields and codes come from closed lists, and the name is
// truncated.
import { type GraphQLSchema, Kind, type OperationDefinitionNode } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { isErrorCode } from '../error-codes.ts'
import type { OperationLogFields } from '../telemetry/log.ts'
import { redactText } from '../telemetry/redaction.ts'
import type { GraphqlContext } from './context.ts'
import type { Payload } from './payload.ts'

const MAX_NAME_LENGTH = 64
const MAX_FIELDS = 10

/** The operation log fields that depend on the document alone. */
export type OperationDescription = Pick<OperationLogFields, 'operation' | 'fields'>

/** Describes an operation for the log. Its name is redacted: a client chooses it. */
export function describeOperation({ name, selectionSet }: OperationDefinitionNode): OperationDescription {
  const fields = selectionSet.selections.flatMap((one) => (one.kind === Kind.FIELD ? [one.name.value] : []))
  return {
    operation: name === undefined ? null : redactText(name.value.slice(0, MAX_NAME_LENGTH)),
    fields: [...new Set(fields)].slice(0, MAX_FIELDS),
  }
}

/** Records the codes of the top-level errors. */
export const recordErrorCodes: Plugin<GraphqlContext, { operationLog: OperationLogFields }> = {
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

function addErrorCodes<Item>(
  operationLog: OperationLogFields,
  errors: readonly Item[],
  codeOf: (error: Item) => unknown,
): void {
  if (errors.length === 0) return
  const codes = errors.map(codeOf).filter((code) => typeof code === 'string' && isErrorCode(code)) as string[]
  operationLog.errorCodes = [...new Set([...operationLog.errorCodes, ...codes])]
}
