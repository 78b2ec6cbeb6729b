// Validates the input of `postTweet`.
import type { ConnectedAccount } from '../accounts/accounts.ts'
import { sha256 } from '../crypto.ts'
import { AppError } from '../errors.ts'
import type { IdempotencyKey } from './idempotency-keys.ts'
import { checkTweetText, MAX_PREMIUM_WEIGHTED_LENGTH, MAX_WEIGHTED_LENGTH } from './text/length.ts'

const MAX_KEY_LENGTH = 255
// 12,500 of the longest emoji are 187,500 UTF-16 units, and have a weighted length of 25,000.
const MAX_TEXT_UNITS = 200_000
/** The values of `subscription_type` of accounts that may post long tweets. */
export const premiumSubscriptions: readonly string[] = ['Basic', 'Premium', 'PremiumPlus']

/** Returns the longest weighted length of a tweet of this account. */
export function maxTweetLength(account: Pick<ConnectedAccount, 'subscriptionType'>): number {
  return premiumSubscriptions.includes(account.subscriptionType ?? '')
    ? MAX_PREMIUM_WEIGHTED_LENGTH
    : MAX_WEIGHTED_LENGTH
}

/** Returns true for a valid text that only accounts with a premium subscription can post. */
export function isLongTweet(text: string): boolean {
  return checkTweetText(text, MAX_WEIGHTED_LENGTH) !== null
}

/** @throws AppError TEXT_EMPTY, TEXT_INVALID_CHARACTERS, TEXT_TOO_LONG */
export function assertTweetText(text: string, maxWeightedLength: number): void {
  // Checked first, because weighing a text takes time. A text of nothing but the longest emoji, or
  // of links with 180 characters, still fits.
  if (text.length > MAX_TEXT_UNITS) {
    const [units, most] = [text.length, MAX_TEXT_UNITS].map((number) => number.toLocaleString('en'))
    const detail = `The text has ${units} UTF-16 units of at most ${most}. Shorten it.`
    throw new AppError('TEXT_TOO_LONG', { field: ['input', 'text'], detail })
  }
  const problem = checkTweetText(text, maxWeightedLength)
  const field = ['input', 'text']
  if (problem === null) return
  if (problem.code === 'EMPTY') throw new AppError('TEXT_EMPTY', { field })
  if (problem.code === 'INVALID_CHARACTERS') {
    throw new AppError('TEXT_INVALID_CHARACTERS', {
      field,
      detail: `The character at position ${problem.index} (${problem.character}) cannot be posted. Remove it.`,
    })
  }
  throw new AppError('TEXT_TOO_LONG', {
    field,
    // The subscription is read when an account is connected, not for each tweet: X bills for it.
    detail: `The text counts ${problem.weightedLength} of at most ${problem.maxWeightedLength}, as X said when the account was last connected. Shorten it; or, if its subscription has changed since, connect it again with startXConnect(input: {reconnectAccountId}).`,
  })
}

/**
 * Returns the hashes of an idempotency key and of the input, or null when there is no key.
 * @param input the values that a retry has to repeat.
 * @throws AppError IDEMPOTENCY_KEY_INVALID
 */
export function parseIdempotencyKey(idempotencyKey: string | null, input: readonly unknown[]): IdempotencyKey | null {
  if (idempotencyKey === null) return null
  // Hashing replaces every lone surrogate by U+FFFD, so that different keys would have one hash.
  const isText = idempotencyKey.isWellFormed() && !idempotencyKey.includes('\0')
  if (idempotencyKey === '' || idempotencyKey.length > MAX_KEY_LENGTH || !isText) {
    throw new AppError('IDEMPOTENCY_KEY_INVALID', { field: ['input', 'idempotencyKey'] })
  }
  return { hash: sha256(idempotencyKey), requestHash: sha256(JSON.stringify(input)) }
}
