// What the page says for the API's codes and moments.
import { type ErrorCode, errorCodes, isErrorCode } from '../../error-codes.ts'
import type { Account, ApiToken, Session, TweetStatus, UserError } from './api.ts'

/** A word, and how it is coloured. */
export type Badge = { word: string; tone: 'good' | 'fair' | 'bad' | 'plain' }

export const accountBadges: Record<Account['status'], Badge> = {
  ACTIVE: { word: 'Active', tone: 'good' },
  LIMITED: { word: 'Limited', tone: 'fair' },
  NEEDS_REAUTH: { word: 'Access lost', tone: 'bad' },
  DISCONNECTED: { word: 'Disconnected', tone: 'plain' },
}

export const tweetBadges: Record<TweetStatus, Badge> = {
  PENDING: { word: 'Sending', tone: 'fair' },
  POSTED: { word: 'Posted', tone: 'good' },
  FAILED: { word: 'Not posted', tone: 'bad' },
  UNKNOWN: { word: 'Unconfirmed', tone: 'fair' },
  DELETED: { word: 'Deleted', tone: 'plain' },
}

export const tokenBadges: Record<ApiToken['status'], Badge> = {
  ACTIVE: { word: 'Active', tone: 'good' },
  EXPIRED: { word: 'Expired', tone: 'fair' },
  REVOKED: { word: 'Revoked', tone: 'plain' },
}

export const actionWords: Record<NonNullable<Account['nextAction']>, string> = {
  RECONNECT: 'Reconnect',
  GRANT_SCOPES: 'Allow the rest',
}

const reasons: Record<string, string> = {
  GRANT_REVOKED: 'X no longer accepts our access: it was revoked there, or the account was connected elsewhere.',
  REFRESH_LOST: 'Our renewed access was lost on its way from X.',
  REFRESH_TOKEN_MISSING: 'Its two hours are over, because staying connected was not allowed at X.',
  TOKENS_UNREADABLE: 'The stored access was altered outside the gateway.',
}

const abilities: Record<string, string> = {
  'tweet.write': 'posting',
  'offline.access': 'staying connected for more than two hours',
}

/** Why an account is not simply active; null when it is. */
export function explainAccount({ status, statusReason, missingScopes }: Account): string | null {
  if (status === 'ACTIVE') return null
  if (status === 'LIMITED')
    return `Not allowed at X: ${missingScopes.map((scope) => abilities[scope] ?? scope).join(', ')}.`
  return reasons[statusReason ?? ''] ?? null
}

// Where the API tells a program what to call, the page tells a person where to click.
const sentences: Partial<Record<ErrorCode, string>> = {
  ACCOUNT_NEEDS_REAUTH: 'X no longer accepts our access to this account. Reconnect it under X accounts.',
  ACCOUNT_DISCONNECTED: 'This account is disconnected. Connect it again under X accounts.',
  SCOPES_MISSING: 'Something that this requires was not allowed at X. Connect the account again, and allow all of it.',
  RATE_LIMITED: 'This gateway allows no more of these just now.',
  X_RATE_LIMITED: 'X allows no more of these just now.',
  API_TOKEN_SCOPES_INVALID: 'Tick at least one thing that it may do.',
}

/** What the API says about an error, in the page's terms, with the time of the next try if there is one. */
export function explainError(error: Pick<UserError, 'code' | 'message' | 'retryAt'>): string {
  const sentence = sentences[error.code] ?? error.message
  return error.retryAt === null ? sentence : `${sentence} Try again after ${sayMoment(error.retryAt)}.`
}

/**
 * The sentence for a code in the address that a trip to a provider led to.
 * @param error what the API says about this very trip, where it is known.
 */
export function explainCode(
  code: string | null,
  error?: Pick<UserError, 'code' | 'message' | 'retryAt'> | null,
): string {
  if (error) return explainError(error)
  if (code === 'RATE_LIMITED') return 'This was tried too often just now. Wait a few minutes, then try again.'
  if (code === 'UNAUTHENTICATED') return 'Sign in first, then connect the account.'
  if (code === 'RETURN_TO_NOT_ALLOWED')
    return 'You came from a page that this gateway does not lead back to. Its origin must be listed in ALLOWED_ORIGINS by whoever runs the gateway.'
  return code !== null && isErrorCode(code) ? errorCodes[code].sentence : errorCodes.INTERNAL.sentence
}

const WAITS: Partial<Record<ErrorCode, string>> = {
  X_RATE_LIMITED: 'it allows this gateway no more calls just now',
  X_CREDITS_EXHAUSTED: 'this gateway’s credits at X are used up, and its operator has to buy more',
  X_USAGE_CAPPED: 'this gateway has reached its cap at X',
  X_APP_NOT_ENROLLED: 'the operator of this gateway has to put its app into a project at X',
  X_CREDENTIALS_REJECTED: 'it rejects this gateway’s credentials, which its operator has to correct',
}

/**
 * What a connection waits for that X has approved. The code's own sentence asks the person to try again, which is not theirs to do here.
 * @param error what the API says about the attempt; null where it is not known.
 */
export function explainWait(
  code: string | null,
  error: Pick<UserError, 'code' | 'message' | 'retryAt'> | null,
): string {
  const why = (code !== null && isErrorCode(code) ? WAITS[code] : undefined) ?? 'it does not respond as it should'
  const next = error?.retryAt == null ? '' : `, next after ${sayMoment(error.retryAt)}`
  return `X has approved it, but cannot say yet which account it is: ${why}. The gateway asks again by itself${next}. You need not connect it again.`
}

const relativeTime = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' })
const absoluteTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' })

/** `just now`, `5 min ago`, `3 hr ago`; the date after a week. */
export function sayWhen(moment: string): string {
  const minutes = Math.round((Date.now() - Date.parse(moment)) / 60_000)
  if (minutes < 1) return 'just now'
  if (minutes < 60) return relativeTime.format(-minutes, 'minute')
  if (minutes < 24 * 60) return relativeTime.format(-Math.round(minutes / 60), 'hour')
  if (minutes < 7 * 24 * 60) return relativeTime.format(-Math.round(minutes / (24 * 60)), 'day')
  return date.format(new Date(moment))
}

/** What is known of a session's use, which is written down once an hour: ``, or `, used within the last hour`, `, used 3 hr ago`. */
export function sayUse({ createdAt, lastUsedAt }: Pick<Session, 'createdAt' | 'lastUsedAt'>): string {
  const isRecent = (moment: string) => Date.now() - Date.parse(moment) < 3_600_000
  // The sign-in was a use.
  if (isRecent(createdAt)) return ''
  return isRecent(lastUsedAt) ? ', used within the last hour' : `, used ${sayWhen(lastUsedAt)}`
}

/** `23 Nov 2026, 18:04` */
export function sayMoment(moment: string): string {
  return absoluteTime.format(new Date(moment))
}

/** `23 Nov 2026` */
export function sayDate(moment: string): string {
  return date.format(new Date(moment))
}
