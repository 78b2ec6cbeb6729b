// Bounds of the responses that no plan counts: the errors of all, and the events of streams.
import { GraphQLError } from 'graphql'
import { isAsyncIterable, type Plugin } from 'graphql-yoga'
import { errorExtensions } from '../http/error-response.ts'
import { createSizeError, measureValue } from './response-size.ts'

// Syntax, validation and variable errors repeat their input.
const MAX_MESSAGE_CHARACTERS = 1_000

/**
 * Bounds the single results of an event stream, and the errors of every response: their number of
 * bytes together, and the characters of each message.
 */
export function boundResponses(maxBytes: number): Plugin {
  const isTooLarge = (value: unknown) => measureValue(value) > maxBytes
  const refusal = () => {
    const originalError = createSizeError(maxBytes)
    const extensions = errorExtensions(originalError.code)
    return { data: null, errors: [new GraphQLError(originalError.message, { extensions })] }
  }
  return {
    onSubscribe: () => ({
      onSubscribeResult: () => ({
        onNext: ({ result, setResult }) => {
          if (isTooLarge(result)) setResult(refusal())
        },
      }),
    }),
    onResultProcess: ({ result, setResult }) => {
      if (Array.isArray(result) || isAsyncIterable(result) || result.errors === undefined) return
      const errors = result.errors.map(shorten)
      setResult(isTooLarge(errors) ? refusal() : { ...result, errors })
    },
  }
}

function shorten(error: GraphQLError): GraphQLError {
  const { message, nodes, source, positions, path, originalError, extensions } = error
  if (message.length <= MAX_MESSAGE_CHARACTERS) return error
  const shortened = `${message.slice(0, MAX_MESSAGE_CHARACTERS)}…`
  return new GraphQLError(shortened, { nodes, source, positions, path, originalError, extensions })
}
