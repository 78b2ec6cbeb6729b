// The console's texts for codes and timestamps of the API.
import { type ErrorCode, errorCodes, isErrorCode } from '../../error-codes.ts'
import type { Account, ApiToken, Session, TweetStatus, UserError } from './api.ts'

/** A badge: its text and its colour. */
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
  GRANT_SCOPES: 'Grant permissions',
}

const reasons: Record<string, string> = {
  GRANT_REVOKED: 'The gateway’s access was revoked at X, or the account was connected elsewhere.',
  REFRESH_LOST: 'New tokens from X were lost because of a network failure.',
  DATABASE_RESTORED: 'The gateway was restored from a backup, which had older tokens.',
  REFRESH_TOKEN_MISSING: 'Access ended after two hours, because the permission to stay connected was not granted at X.',
  TOKENS_UNREADABLE: 'The stored tokens were altered outside the gateway.',
}

const abilities: Record<string, string> = {
  'tweet.write': 'posting',
  'offline.access': 'staying connected for more than two hours',
}

/** Explains the status of an account; null when it is active. */
export function explainAccount({ status, statusReason, missingScopes }: Account): string | null {
  if (status === 'ACTIVE') return null
  if (status === 'LIMITED')
    return `Not granted at X: ${missingScopes.map((scope) => abilities[scope] ?? scope).join(', ')}.`
  return reasons[statusReason ?? ''] ?? null
}

// For codes whose sentence in the API names an operation to call. In the console the user needs the
// button.
const sentences: Partial<Record<ErrorCode, string>> = {
  ACCOUNT_NEEDS_REAUTH: 'X no longer accepts the gateway’s access to this account. Reconnect it under X accounts.',
  ACCOUNT_DISCONNECTED: 'This account is disconnected. Connect it again under X accounts.',
  SCOPES_MISSING: 'A required permission was not granted at X. Connect the account again and grant all permissions.',
  RATE_LIMITED: 'You have reached a rate limit of this gateway.',
  X_RATE_LIMITED: 'The account has reached a rate limit of X.',
  API_TOKEN_SCOPES_INVALID: 'Select at least one permission.',
}

/** The sentence for an error of the API, with the time after which a retry makes sense. */
export function explainError(error: Pick<UserError, 'code' | 'message' | 'retryAt'>): string {
  const sentence = sentences[error.code] ?? error.message
  return error.retryAt === null ? sentence : `${sentence} Try again after ${formatMoment(error.retryAt)}.`
}

/**
 * The sentence for the code in the URL to which an OAuth callback redirected.
 * @param error the error of the attempt, where the API has it.
 */
export function explainCode(
  code: string | null,
  error?: Pick<UserError, 'code' | 'message' | 'retryAt'> | null,
): string {
  if (error) return explainError(error)
  if (code === 'RATE_LIMITED') return 'There were too many attempts. Wait a few minutes, then try again.'
  if (code === 'UNAUTHENTICATED') return 'Sign in first, then connect the account.'
  if (code === 'RETURN_TO_NOT_ALLOWED')
    return 'This gateway does not redirect back to the page that you came from. The operator has to list its origin in ALLOWED_ORIGINS.'
  return code !== null && isErrorCode(code) ? errorCodes[code].sentence : errorCodes.INTERNAL.sentence
}

const WAITS: Partial<Record<ErrorCode, string>> = {
  X_RATE_LIMITED: 'this gateway has reached a rate limit of X',
  X_CREDITS_EXHAUSTED: 'this gateway has used up its credits at X, and the operator has to buy more',
  X_USAGE_CAPPED: 'this gateway has reached its usage cap at X',
  X_APP_NOT_ENROLLED: 'the operator has to add the gateway’s app to a project at X',
  X_CREDENTIALS_REJECTED: 'X rejects the gateway’s credentials, and the operator has to correct them',
}

/**
 * Explains what a connection waits for after the user has approved it at X. The sentence of the code
 * itself asks the user to try again, which is not necessary here.
 * @param error the error of the attempt; null when it is unknown.
 */
export function explainWait(
  code: string | null,
  error: Pick<UserError, 'code' | 'message' | 'retryAt'> | null,
): string {
  const why = (code !== null && isErrorCode(code) ? WAITS[code] : undefined) ?? 'X does not respond correctly'
  const next = error?.retryAt == null ? '' : `, next after ${formatMoment(error.retryAt)}`
  return `You authorized the gateway at X, but it could not read the account yet: ${why}. The gateway retries automatically${next}. You do not have to connect the account again.`
}

const relativeTime = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' })
const absoluteTime = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' })
const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' })

/** `just now`, `5 min ago`, `3 hr ago`; the date after a week. */
export function formatAge(moment: string): string {
  const minutes = Math.round((Date.now() - Date.parse(moment)) / 60_000)
  if (minutes < 1) return 'just now'
  if (minutes < 60) return relativeTime.format(-minutes, 'minute')
  if (minutes < 24 * 60) return relativeTime.format(-Math.round(minutes / 60), 'hour')
  if (minutes < 7 * 24 * 60) return relativeTime.format(-Math.round(minutes / (24 * 60)), 'day')
  return date.format(new Date(moment))
}

/**
 * The last use of a session, which is stored with a precision of an hour: `, used within the last
 * hour`, `, used 3 hr ago`, or an empty text.
 */
export function describeUse({ createdAt, lastUsedAt }: Pick<Session, 'createdAt' | 'lastUsedAt'>): string {
  const isRecent = (moment: string) => Date.now() - Date.parse(moment) < 3_600_000
  // The sign-in counts as use.
  if (isRecent(createdAt)) return ''
  return isRecent(lastUsedAt) ? ', used within the last hour' : `, used ${formatAge(lastUsedAt)}`
}

/** `23 Nov 2026, 18:04` */
export function formatMoment(moment: string): string {
  return absoluteTime.format(new Date(moment))
}

/** `23 Nov 2026` */
export function formatDate(moment: string): string {
  return date.format(new Date(moment))
}
