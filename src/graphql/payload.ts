import { type ErrorCode, errorCodes, type RetryAdvice } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { builder, describeValues } from './builder.ts'

/** The enum of all codes, with each code's sentence as its description. */
export const ErrorCodeRef = builder.enumType('ErrorCode', {
  description: 'The closed list of error codes.',
  values: Object.fromEntries(
    Object.entries(errorCodes).map(([code, { sentence }]) => [
      code,
      { description: sentence, value: code as ErrorCode },
    ]),
  ),
})

const RetryAdviceRef = builder.enumType('RetryAdvice', {
  description:
    'Whether the same request can succeed when it is sent again. Every `ErrorCode` has its advice; top-level errors and error responses outside GraphQL have it in `extensions.retry`.',
  values: describeValues<RetryAdvice>({
    NEVER: 'The same request fails again. Correct it first.',
    LATER: 'Time alone may remove the cause. Send the same request again, not before `retryAt` if that is given.',
    AFTER_ACTION:
      'The user or the operator has to do something first, which the message of the error says. Then the same request may succeed.',
  }),
})

/**
 * An `AppError` as the API shows it. GraphQL treats an Error that a resolver returns as thrown, so
 * it is a plain object.
 */
export type UserError = { code: ErrorCode; message: string; field: string[] | null; retryAt: Date | null }

/** An error that a person or a program can act on. */
export const UserErrorRef = builder.objectRef<UserError>('UserError').implement({
  description: 'An error of a mutation: a message for people and a code for programs.',
  fields: (t) => ({
    code: t.field({
      type: ErrorCodeRef,
      description: 'The code of the error, for programs.',
      resolve: ({ code }) => code,
    }),
    message: t.exposeString('message', {
      description: 'A sentence for people that says what to do next. Its wording may change.',
    }),
    field: t.exposeStringList('field', {
      nullable: true,
      description: 'The path of the invalid input, such as ["input", "text"]; null when no input is.',
    }),
    retry: t.field({
      type: RetryAdviceRef,
      description: 'Whether the same request can succeed when it is sent again, and after what.',
      resolve: ({ code }) => errorCodes[code].retry,
    }),
    retryable: t.boolean({
      description:
        'True when `retry` is LATER: the same request may be sent again, but not before `retryAt` if that is given.',
      resolve: ({ code }) => errorCodes[code].retry === 'LATER',
    }),
    retryAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When to try again; null when unknown.',
      resolve: ({ retryAt }) => retryAt,
    }),
  }),
})

/** The result of a mutation: its thing, or the reasons why there is none. */
export type Payload<Thing> = { thing: Thing | null; userErrors: UserError[] }

/**
 * Returns the type of a payload, with `userErrors` and without its thing.
 * @param userErrors the description of that field.
 */
export function payloadRef<Thing>(
  name: string,
  userErrors = 'The errors that the caller can act on; empty when the mutation succeeded.',
) {
  const ref = builder.objectRef<Payload<Thing>>(name)
  builder.objectField(ref, 'userErrors', (t) =>
    t.field({ type: [UserErrorRef], description: userErrors, resolve: (payload) => payload.userErrors }),
  )
  return ref
}

// These concern the request as a whole, and become top-level errors.
const REQUEST_CODES: readonly ErrorCode[] = ['UNAUTHENTICATED', 'FORBIDDEN', 'DATABASE_UNAVAILABLE', 'INTERNAL']

/** Returns an `AppError` as the API shows it. */
export function toUserError({ code, message, field, retryAt }: AppError): UserError {
  return { code, message, field, retryAt }
}

/**
 * Runs the feature of a mutation, and turns an `AppError` that the caller can act on into
 * `userErrors`.
 */
export async function toPayload<Thing>(work: () => Promise<Thing>): Promise<Payload<Thing>> {
  try {
    return { thing: await work(), userErrors: [] }
  } catch (error) {
    if (!(error instanceof AppError) || REQUEST_CODES.includes(error.code)) throw error
    return { thing: null, userErrors: [toUserError(error)] }
  }
}
