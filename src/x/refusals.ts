// Classifies X's refusals by the type of the problem document, by its title, by the error number of
// API v1.1, and by sentences that X has used for years. X uses "Tweet" and "Post" for the same
// thing, and its types moved from api.twitter.com to api.x.com in 2026.
import { z } from 'zod'
import { type ErrorCode, errorCodes } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { redactText } from '../telemetry/redaction.ts'
import { isAppLimitUsedUp, parseResetDate, parseRetryAt } from './rate-limit-headers.ts'

/** A refused call. The refusal applies to one account, or to all accounts of the app. */
export type Refusal = {
  kind: 'refused'
  code: ErrorCode
  retryAt: Date | null
  to: 'ACCOUNT' | 'APP'
  /** The problem document; null when X was not called, or the response is not X's own. */
  problem: XProblem | null
  /** False when the response may not be X's own: X may have processed the request nevertheless. */
  isCertain: boolean
}

/** The parts of X's problem document that operators see. They contain nothing of the request. */
export type XProblem = { status: number; title: string | null; type: string | null }

/** The parts of a 4xx response that its classification depends on. */
export type Refused = {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** The parsed JSON body; null when the body is empty or not JSON. */
  body: unknown
  /** True for a body that is not JSON. */
  isOtherText: boolean
  isPost: boolean
}

type Rule = {
  code: ErrorCode
  to?: 'APP'
  /** Matched against the last segment of the type. */
  types?: RegExp
  titles?: RegExp
  numbers?: readonly number[]
  words?: RegExp
  /** True when the words also count in a 400, in which X quotes the request. */
  isAnchored?: true
}

// The first rule that matches applies. Numbers: docs.x.com, "Response codes" of API v1.1.
const RULES: readonly Rule[] = [
  { code: 'X_APP_SUSPENDED', to: 'APP', numbers: [416], words: /\b(app|application) (has been|is) suspended/i },
  {
    code: 'ACCOUNT_SUSPENDED',
    types: /^user-suspended$/,
    numbers: [64, 326],
    words: /suspended|temporarily locked/i,
  },
  { code: 'X_APP_NOT_ENROLLED', to: 'APP', types: /^client-forbidden$/, numbers: [453] },
  { code: 'X_APP_READ_ONLY', to: 'APP', types: /^oauth\d?-permissions$/, numbers: [261] },
  {
    code: 'X_USAGE_CAPPED',
    to: 'APP',
    types: /^(usage-capped|spend-cap-reached)$/,
    titles: /^(UsageCapExceeded|SpendCapReached)$/,
  },
  { code: 'X_CREDITS_EXHAUSTED', to: 'APP', types: /^credits(-depleted)?$/ },
  {
    code: 'X_RATE_LIMITED',
    numbers: [88, 185, 344],
    words: /reached your daily limit|over daily status update limit/i,
  },
  { code: 'X_SUSPECTS_AUTOMATION', numbers: [226], words: /might be automated/i },
  { code: 'DUPLICATE_TWEET', types: /^duplicate-/, numbers: [187], words: /duplicate content|status is a duplicate/i },
  {
    code: 'REPLY_TARGET_GONE',
    numbers: [385],
    words: /attempted to reply to a (tweet|post) that is deleted/i,
  },
  {
    code: 'REPLY_NOT_ALLOWED',
    numbers: [433],
    words: /only reply to or quote|reply to this conversation is not allowed|restricted who can reply/i,
  },
  { code: 'MENTION_NOT_ALLOWED', words: /(tweets|posts) with @mentions is not allowed/i },
  {
    code: 'TEXT_TOO_LONG',
    numbers: [186],
    words: /^(your (tweet|post) text is too long|(tweet|post) needs to be a bit shorter)/im,
    isAnchored: true,
  },
]
// Internal errors of X that come with a 4xx.
const FAILURES_OF_X: readonly number[] = [130, 131]

// The wait after a 429 without a reset time. X's windows are 15 minutes.
const DEFAULT_WAIT_MILLISECONDS = 60_000

/**
 * Returns a refusal with this code.
 * @param more the properties that differ from the defaults: certain, for one account, without
 * `retryAt` and problem document.
 */
export function refusal(code: ErrorCode, more: Partial<Omit<Refusal, 'kind' | 'code'>> = {}): Refusal {
  return { kind: 'refused', code, retryAt: null, to: 'ACCOUNT', problem: null, isCertain: true, ...more }
}

/** Returns the error of a refusal, with X's problem where the code alone is not specific enough. */
export function refusalError({ code, retryAt, problem }: Refusal): AppError {
  const said = describeProblem(code, problem)
  return new AppError(code, { retryAt, ...(said !== null && { detail: withProblem(code, said) }) })
}

/** Returns the sentence of a code, followed by the description of X's problem. */
export function withProblem(code: ErrorCode, said: string): string {
  return `${errorCodes[code].sentence} ${said}`
}

/** Returns a sentence that describes X's problem; null when the code is specific enough. */
export function describeProblem(code: ErrorCode, problem: XProblem | null): string | null {
  if (problem === null || (code !== 'TWEET_REFUSED' && code !== 'X_REQUEST_INVALID')) return null
  const { status, title, type } = problem
  return `X responded ${status}${title === null ? '' : ` "${title}"`} (${type ?? 'without a type'}).`
}

/**
 * Classifies a 4xx response. A body that is not X's problem JSON comes from a proxy in front of X,
 * and X may have processed the request.
 */
export function classifyRefusal(refused: Refused, now: Date): { kind: 'unauthorized' } | Refusal {
  const { status, headers } = refused
  const said = status === 408 || status === 425 ? null : parseProblem(refused.body)
  const retryAt = parseRetryAt(headers, now)
  // A proxy in front of X has rate limits too. Waiting is right for either.
  if (said === null && status === 429) return rateLimited(headers, retryAt, now, null)
  // Only X sends a 402, and has sent it with an empty body.
  if (said === null && status === 402 && !refused.isOtherText)
    return refusal('X_CREDITS_EXHAUSTED', { to: 'APP', retryAt })
  if (said === null) return refusal('X_UNAVAILABLE', { retryAt, isCertain: false })
  const problem = { status, title: said.title, type: said.type }
  const rule = RULES.find((rule) => fits(rule, said, status))
  if (rule?.code === 'X_RATE_LIMITED' || (status === 429 && rule?.code !== 'X_USAGE_CAPPED'))
    return rateLimited(headers, retryAt, now, problem)
  if (rule !== undefined) {
    const end = rule.code === 'X_USAGE_CAPPED' ? parseResetDate(said.resetDate, now) : null
    const to = rule.to ?? 'ACCOUNT'
    // Every refusal has rate limit headers, also one that waiting does not resolve, such as a
    // duplicate.
    const isCuredByTime = to === 'APP' || errorCodes[rule.code].retry === 'LATER'
    return refusal(rule.code, { to, retryAt: isCuredByTime ? (end ?? retryAt) : null, problem })
  }
  if (status === 401) return { kind: 'unauthorized' }
  if (status === 402) return refusal('X_CREDITS_EXHAUSTED', { to: 'APP', problem })
  if (said.numbers.some((number) => FAILURES_OF_X.includes(number)))
    return refusal('X_UNAVAILABLE', { problem, isCertain: false })
  if (status !== 403) return refusal('X_REQUEST_INVALID', { problem })
  if (said.type === 'not-authorized-for-resource' && refused.isPost) return refusal('REPLY_NOT_ALLOWED', { problem })
  if (said.detail === 'Forbidden') return refusal('SCOPES_MISSING', { problem })
  // A refusal that X itself describes as temporary is not final.
  return refusal(/try again later/i.test(said.words) ? 'X_UNAVAILABLE' : 'TWEET_REFUSED', { problem })
}

function rateLimited(headers: Refused['headers'], retryAt: Date | null, now: Date, problem: XProblem | null): Refusal {
  const to = isAppLimitUsedUp(headers) ? 'APP' : 'ACCOUNT'
  return refusal('X_RATE_LIMITED', {
    to,
    retryAt: retryAt ?? new Date(now.getTime() + DEFAULT_WAIT_MILLISECONDS),
    problem,
  })
}

function fits({ types, titles, numbers, words, isAnchored }: Rule, said: Said, status: number): boolean {
  return (
    (said.type !== null && types?.test(said.type) === true) ||
    (said.title !== null && titles?.test(said.title) === true) ||
    said.numbers.some((number) => numbers?.includes(number)) ||
    ((status !== 400 || isAnchored === true) && words?.test(said.words) === true)
  )
}

type Said = {
  /** The last segment of the type, or `about:blank`. */
  type: string | null
  title: string | null
  detail: string | null
  numbers: number[]
  /** All titles, details and messages, one a line. */
  words: string
  resetDate: string | null
}

const text = z.string().nullish().catch(null)
const number = z.number().int().nullish().catch(null)
const part = z.object({ type: text, title: text, detail: text, message: text, code: number })
const problemShape = part.extend({
  status: number,
  reset_date: text,
  errors: z.array(part.catch({})).nullish().catch(null),
})

/**
 * Parses a body as a problem document of X (RFC 9457) or as its numbered errors. Returns null for
 * any other body.
 */
function parseProblem(body: unknown): Said | null {
  const problem = problemShape.safeParse(body).data
  if (problem === undefined) return null
  const parts = [problem, ...(problem.errors ?? [])]
  if (parts.some(({ type }) => type != null && typeName(type) === null)) return null
  const isDocument = parts.some(({ title, detail, type }) => title && (detail || type || problem.status))
  const numbers = parts.flatMap(({ code, message }) => (code != null && message ? [code] : []))
  if (!isDocument && numbers.length === 0) return null
  const named = parts.find(({ type }) => type != null && type !== BLANK) ?? parts.find(({ title }) => title) ?? problem
  return {
    type: named.type == null ? null : typeName(named.type),
    title: named.title == null ? null : printable(named.title),
    detail: problem.detail ?? null,
    numbers,
    words: parts
      .flatMap(({ title, detail, message }) => [title, detail, message].filter((one) => one != null))
      .join('\n'),
    resetDate: problem.reset_date ?? null,
  }
}

const BLANK = 'about:blank'

// Returns null for a type that is not X's.
function typeName(type: string): string | null {
  return type === BLANK ? BLANK : (/^https?:\/\/[\w.-]+\/(?:\d\/)?problems\/([\w-]{1,64})\/?$/.exec(type)?.[1] ?? null)
}

// Returns the title on one line, redacted and truncated: a response may repeat parts of the
// request.
function printable(title: string): string {
  return redactText(title.replaceAll(/[\p{C}\s]+/gu, ' ').trim()).slice(0, 100)
}
