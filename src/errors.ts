import { type ErrorCode, errorCodes } from './error-codes.ts'

// A sentence that points to `retryAt` needs one.
function sentenceOf(code: ErrorCode, retryAt: Date | null): string {
  const { sentence } = errorCodes[code]
  return retryAt === null ? sentence.replace('Try again at retryAt.', 'Try again in a few minutes.') : sentence
}

/**
 * An error that the caller can act on. Any other thrown error is a bug, and reaches the client as
 * `INTERNAL`.
 */
export class AppError extends Error {
  readonly code: ErrorCode
  /** Path of the input field at fault, as in `['input', 'text']`; null when none is. */
  readonly field: string[] | null
  /** The time after which a retry can succeed; null when unknown. */
  readonly retryAt: Date | null

  /**
   * @param options.detail replaces the code's own sentence. It says what to do next, and contains
   * no secret.
   */
  constructor(
    code: ErrorCode,
    options: { detail?: string; field?: string[]; retryAt?: Date | null; cause?: unknown } = {},
  ) {
    super(
      options.detail ?? sentenceOf(code, options.retryAt ?? null),
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.name = 'AppError'
    this.code = code
    this.field = options.field ?? null
    this.retryAt = options.retryAt ?? null
  }
}
