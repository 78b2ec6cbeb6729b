// Checks of subscriptions, and the headers of their event streams.
import { GraphQLError, TypeInfo, visit, visitWithTypeInfo } from 'graphql'
import type { Plugin, YogaInitialContext } from 'graphql-yoga'
import type { ErrorCode } from '../error-codes.ts'
import { errorExtensions } from '../http/error-response.ts'

/**
 * Refuses a subscription whose client does not accept a stream, or that has a conditional root
 * field, before a stream is opened.
 */
export const checkSubscription: Plugin<YogaInitialContext> = {
  onSubscribe: ({ args, setResultAndStopExecution }) => {
    const stop = (code: ErrorCode, message: string, status: number) => {
      const extensions = errorExtensions(code, { http: { status } })
      setResultAndStopExecution({ errors: [new GraphQLError(message, { extensions })] })
    }
    const types = new TypeInfo(args.schema)
    let isConditional = false
    visit(
      args.document,
      visitWithTypeInfo(types, {
        Directive: () => {
          isConditional ||= types.getParentType() === args.schema.getSubscriptionType()
        },
      }),
    )
    // The GraphQL specification forbids @skip and @include here since 2025. GraphQL.js 16 does not
    // check it, and fails on a stream without a field.
    if (isConditional)
      return stop('BAD_USER_INPUT', 'The root field of a subscription cannot have @skip or @include.', 200)
    // Yoga checks the Accept header only after the stream is open, and leaves it open.
    if (!/text\/(event-stream|\*)|\*\/\*/.test(args.contextValue.request.headers.get('accept') ?? '*/*'))
      stop('NOT_ACCEPTABLE', 'A subscription responds with a stream of events: send "accept: text/event-stream".', 406)
  },
}

/**
 * Corrects the headers of an event stream. Yoga sets a content encoding that does not exist, and
 * headers of the connection and of caching, which belong to the HTTP layer.
 */
export function setStreamHeaders(headers: Headers): void {
  for (const name of ['content-encoding', 'connection', 'cache-control']) headers.delete(name)
  // Otherwise nginx buffers events until its buffer is full.
  headers.set('x-accel-buffering', 'no')
}
