// Turns everything that GraphQL or a resolver throws into an error of the API: with a code of the
// published list, and a sentence that says what to do.
import { type ExecutionResult, GraphQLError } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { isUserGone } from '../db/violations.ts'
import type { Deps } from '../deps.ts'
import { type ErrorCode, errorCodes, isErrorCode } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { errorExtensions, OUTAGE_HEADERS, type UnavailableCode } from '../http/error-response.ts'
import { findUnavailable, logFailure } from '../http/failure-log.ts'
import type { GraphqlContext } from './context.ts'

// Replaces the sentences of Yoga that do not say what to send instead.
const plainSentences = new Map([
  ['POST body sent invalid JSON.', 'The body is not JSON. Send {"query": "…", "variables": {…}}.'],
  ['Must provide query string.', 'The request has no query. Send {"query": "…", "variables": {…}}.'],
  ['Batching is not supported.', 'Send one document in a request, not a list of them.'],
  [
    'Could not determine what operation to execute.',
    'The operation is ambiguous: operationName matches none in the document, or is missing where there are several. Send the name of one.',
  ],
])

/** Adds codes to syntax and validation errors. */
export const addCodes: Plugin = {
  onParse:
    () =>
    ({ result, replaceParseResult }) => {
      if (result instanceof GraphQLError) replaceParseResult(coded(result))
    },
  onValidate:
    () =>
    ({ valid, result, setResult }) => {
      if (!valid) setResult(result.map((error: Error) => (error instanceof GraphQLError ? coded(error) : error)))
    },
}

/**
 * Describes the errors of resolvers. This happens here, and not where Yoga masks errors, because the
 * request is known only here.
 */
export function describeErrors(deps: Deps): Plugin<GraphqlContext> {
  const describeAll = ({ data, errors }: ExecutionResult, { requestId }: GraphqlContext) => {
    // With data the response stays a 200: a mutation in it may have taken effect.
    const isEmpty = data == null || Object.values(data).every((value) => value === null)
    return errors?.map((error) => {
      const described = describeError(deps, error, requestId)
      return isEmpty && isUnavailable(described.extensions.code) ? unavailable(described, OUTAGE_HEADERS) : described
    })
  }
  return {
    onExecute: ({ args }) => ({
      onExecuteDone: ({ result, setResult }) => {
        if (Symbol.asyncIterator in result || result.errors === undefined) return
        setResult({ ...result, errors: describeAll(result, args.contextValue) })
      },
    }),
    onSubscribe: ({ args }) => ({
      onSubscribeResult: ({ result, setResult }) => {
        if (Symbol.asyncIterator in result || result.errors === undefined) return
        setResult({ ...result, errors: describeAll(result, args.contextValue) })
      },
    }),
  }
}

/**
 * Returns an error as the API shows it. Logs an unexpected one.
 * @param requestId null outside of a request's execution.
 */
export function describeError(deps: Deps, error: unknown, requestId: string | null): GraphQLError {
  const thrown = findOrigin(error)
  const original = isUserGone(thrown) ? new AppError('UNAUTHENTICATED', { cause: thrown }) : thrown
  const place = error instanceof GraphQLError ? { nodes: error.nodes, path: error.path } : {}
  if (original instanceof AppError) {
    const { code, field, retryAt } = original
    return new GraphQLError(original.message, {
      ...place,
      extensions: errorExtensions(code, { ...(field && { field }), ...(retryAt && { retryAt }) }),
    })
  }
  if (error instanceof GraphQLError && original instanceof GraphQLError) return coded(error)
  logFailure(deps, original, requestId)
  const code: ErrorCode = findUnavailable(original) ?? 'INTERNAL'
  return new GraphQLError(errorCodes[code].sentence, {
    ...place,
    extensions: errorExtensions(code, { ...(requestId && { requestId }) }),
  })
}

const UNAVAILABLE: readonly unknown[] = ['DATABASE_UNAVAILABLE', 'ENCRYPTION_KEY_MISSING'] satisfies UnavailableCode[]

function isUnavailable(code: unknown): boolean {
  return UNAVAILABLE.includes(code)
}

/** Makes the response a 503, as on other routes. */
export function unavailable({ message, nodes, path, extensions }: GraphQLError, headers = {}): GraphQLError {
  return new GraphQLError(message, { nodes, path, extensions: { ...extensions, http: { status: 503, headers } } })
}

function coded(error: GraphQLError): GraphQLError {
  return isListed(error.extensions.code) ? error : withCode(error)
}

function withCode({ message, nodes, source, positions, path, extensions }: GraphQLError): GraphQLError {
  return new GraphQLError(plainSentences.get(message) ?? message, {
    nodes,
    source,
    positions,
    path,
    extensions: {
      ...errorExtensions('BAD_USER_INPUT'),
      // GraphQL over HTTP allows status 200 for a malformed request. 400 is clearer.
      http: extensions.code === 'BAD_REQUEST' ? { status: 400 } : extensions.http,
    },
  })
}

// Yoga has error codes of its own; the published list is closed.
function isListed(code: unknown): boolean {
  return typeof code === 'string' && isErrorCode(code)
}

// Returns the error that was thrown first. GraphQL.js wraps it to add the location, and others may
// too.
function findOrigin(error: unknown): unknown {
  let origin = error
  while (origin instanceof GraphQLError && origin.originalError !== undefined) origin = origin.originalError
  return origin
}
