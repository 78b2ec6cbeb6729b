// What is particular to answers that go on: who can read them, and what stands above them.
import { GraphQLError, TypeInfo, visit, visitWithTypeInfo } from 'graphql'
import type { Plugin, YogaInitialContext } from 'graphql-yoga'
import type { ErrorCode } from '../error-codes.ts'
import { errorExtensions } from '../http/error-response.ts'

/** Refuses a subscription that nobody could read, or that may turn out to be none, before anything is opened for it. */
export const refuseOddStream: Plugin<YogaInitialContext> = {
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
    // The specification forbids it since 2025; GraphQL.js 16 does not look, and the executor stumbles over a stream of nothing.
    if (isConditional)
      return stop('BAD_USER_INPUT', 'What a subscription follows cannot depend on @skip or @include.', 200)
    // Yoga would find out that the client takes no stream only when it is open, and leave it so.
    if (!/text\/(event-stream|\*)|\*\/\*/.test(args.contextValue.request.headers.get('accept') ?? '*/*'))
      stop('NOT_ACCEPTABLE', 'A subscription responds with a stream of events: send "accept: text/event-stream".', 406)
  },
}

/**
 * The headers of a stream. Yoga's own have an encoding that does not exist, and speak for the connection and its caches, which are the
 * edge's.
 */
export function setStreamHeaders(headers: Headers): void {
  for (const name of ['content-encoding', 'connection', 'cache-control']) headers.delete(name)
  // nginx would keep events until it has a buffer full of them.
  headers.set('x-accel-buffering', 'no')
}
