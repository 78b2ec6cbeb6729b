// The size of a response: the bytes of its JSON in UTF-8. An execution counts them while it completes
// values, so that it ends before a response that is too large is built.
import type { GraphQLError } from 'graphql'
import { AppError } from '../errors.ts'

// An error of a resolver has the sentence and the extensions of its code, and for each node a
// location such as {"line":1,"column":7999}.
const BYTES_PER_ERROR = 700
const BYTES_PER_LOCATION = 30

// JSON writes every other character as one byte.
const NEEDS_MEASURING = /[^\x20\x21\x23-\x5b\x5d-\x7e]/

/** What an execution counts in. */
export type SizeBudget = {
  /** The most bytes of the response. */
  readonly maxBytes: number
  /** What is left of them; below 0 the response is too large. */
  bytesLeft: number
}

// A character has six bytes at most, as \u0001, and so has the null of a list with its comma. No other
// leaf is longer than six times the least.
const MAX_BYTES_PER_CHARACTER = 6
const MIN_LEAF_BYTES = 4

// Thrown where the response gets too large. What is reported is the error of `createSizeError`.
const TOO_LARGE = new Error('Bug: an execution whose response is too large was not ended')

/** Counts bytes of the response. @throws Error when there are too many: the execution has to end. */
export function countBytes(budget: SizeBudget, bytes: number): void {
  budget.bytesLeft -= bytes
  if (budget.bytesLeft < 0) throw TOO_LARGE
}

/**
 * Counts a leaf of the response: by its characters, which costs nothing, as long as the response
 * cannot be too large, and then by its bytes. @throws as `countBytes`
 */
export function countLeaf(budget: SizeBudget, value: unknown): void {
  if (mayBeTooLarge(budget)) countBytes(budget, measureValue(value))
  else countBytes(budget, typeof value === 'string' ? value.length : MIN_LEAF_BYTES)
}

/** Returns true when what was counted can have more than `maxBytes`, with all its escapes. */
export function mayBeTooLarge({ maxBytes, bytesLeft }: SizeBudget): boolean {
  return (maxBytes - bytesLeft) * MAX_BYTES_PER_CHARACTER > maxBytes
}

/** Returns the bytes of a text as JSON, with its quotation marks and escapes. */
export function measureText(text: string): number {
  return NEEDS_MEASURING.test(text) ? Buffer.byteLength(JSON.stringify(text)) : text.length + 2
}

/** Returns the bytes of a value as JSON. */
export function measureValue(value: unknown): number {
  return typeof value === 'string' ? measureText(value) : Buffer.byteLength(JSON.stringify(value) ?? '')
}

/** Returns the most bytes that an error of a resolver has in the response. */
export function measureError({ message, path, nodes }: GraphQLError): number {
  return BYTES_PER_ERROR + measureText(message) + measureValue(path) + BYTES_PER_LOCATION * (nodes?.length ?? 0)
}

/** Creates the error of a response with more than `maxBytes`. */
export function createSizeError(maxBytes: number, isMutation = false): AppError {
  const size = `The response has more than ${maxBytes.toLocaleString('en')} bytes`
  const detail = isMutation
    ? `${size}. The mutation may have taken effect: read its result with smaller queries.`
    : `${size}. Ask for fewer fields, or for a smaller page.`
  return new AppError('RESPONSE_TOO_LARGE', { detail })
}
