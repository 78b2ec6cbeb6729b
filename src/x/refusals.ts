// What X's refusals mean: by the type of the problem, by its title, by the number that API v1.1
// gave it, and by the sentences that X has used for years. X says "Tweet" and "Post" for the same,
// and its types moved from api.twitter.com to api.x.com in 2026.
import { z } from 'zod'
import { type ErrorCode, errorCodes } from '../error-codes.ts'
import { AppError } from '../errors.ts'
import { redactText } from '../telemetry/redaction.ts'
import { isAppLimitUsedUp, parseResetDate, parseRetryAt } from './rate-limit-headers.ts'

/** A call that was refused: for one account, or for all accounts of our app. */
export type Refusal = {
  kind: 'refused'
  code: ErrorCode
  retryAt: Date | null
  to: 'ACCOUNT' | 'APP'
  /** What X said; null where it was not asked, or it was not X that answered. */
  problem: XProblem | null
  /**
   * False where it was not X that answered, so that what was asked for may have been done all the
   * same.
   */
  isCertain: boolean
}

/** What X says of a refusal, for operators. Neither tells what was asked for. */
export type XProblem = { status: number; title: string | null; type: string | null }

/** A 4xx, as far as it is to be judged. */
export type Refused = {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** The answer's JSON; null where it is none. */
  body: unknown
  /** True for a body that is no JSON. */
  isOtherText: boolean
  isPost: boolean
}

type Rule = {
  code: ErrorCode
  to?: 'APP'
  /** The last segment of the type. */
  types?: RegExp
  titles?: RegExp
  numbers?: readonly number[]
  words?: RegExp
  /** The words also count in a 400, where X quotes what was sent. */
  isAnchored?: true
}

// Numbers: docs.x.com, "Response codes" of API v1.1. The first that fits.
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
// Internal errors of X, which X reports with a 4xx.
const FAILURES_OF_X: readonly number[] = [130, 131]

// A limit that is used up, with no word of when: X's windows are a quarter of an hour.
const UNTOLD_WAIT_MILLISECONDS = 60_000

/**
 * A refusal. @param more what differs from one to an account, for sure, of which no more is known.
 */
export function refusal(code: ErrorCode, more: Partial<Omit<Refusal, 'kind' | 'code'>> = {}): Refusal {
  return { kind: 'refused', code, retryAt: null, to: 'ACCOUNT', problem: null, isCertain: true, ...more }
}

/** The error of a refusal, with what X said where the code alone does not tell enough. */
export function refusalError({ code, retryAt, problem }: Refusal): AppError {
  const said = describeProblem(code, problem)
  return new AppError(code, { retryAt, ...(said !== null && { detail: withProblem(code, said) }) })
}

/** A code's sentence, followed by what X said. */
export function withProblem(code: ErrorCode, said: string): string {
  return `${errorCodes[code].sentence} ${said}`
}

/** What X said, in a sentence; null where the code says it all. */
export function describeProblem(code: ErrorCode, problem: XProblem | null): string | null {
  if (problem === null || (code !== 'TWEET_REFUSED' && code !== 'X_REQUEST_INVALID')) return null
  const { status, title, type } = problem
  return `X answered ${status}${title === null ? '' : ` "${title}"`} (${type ?? 'without a type'}).`
}

/**
 * Judges a 4xx. What is not X's problem JSON is no decision of X's: something in front of it
 * answered, and X may even have acted.
 */
export function classifyRefusal(refused: Refused, now: Date): { kind: 'unauthorized' } | Refusal {
  const { status, headers } = refused
  const said = status === 408 || status === 425 ? null : parseProblem(refused.body)
  const retryAt = parseRetryAt(headers, now)
  // In front of X too there are limits, and to wait is right for either.
  if (said === null && status === 429) return rateLimited(headers, retryAt, now, null)
  // Only X answers 402, and it has done so with an empty body.
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
    // X's limits stand in the headers of every refusal. To wait for them cures no duplicate.
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
  // A refusal that X itself calls passing must not be taken for its last word.
  return refusal(/try again later/i.test(said.words) ? 'X_UNAVAILABLE' : 'TWEET_REFUSED', { problem })
}

function rateLimited(headers: Refused['headers'], retryAt: Date | null, now: Date, problem: XProblem | null): Refusal {
  const to = isAppLimitUsedUp(headers) ? 'APP' : 'ACCOUNT'
  return refusal('X_RATE_LIMITED', {
    to,
    retryAt: retryAt ?? new Date(now.getTime() + UNTOLD_WAIT_MILLISECONDS),
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
  /** The last segment of the type; about:blank as it is. */
  type: string | null
  title: string | null
  detail: string | null
  numbers: number[]
  /** All sentences. */
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
 * What X says in a body; null for a body that is not X's: neither a problem document of its own
 * (RFC 9457) nor numbered errors.
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

// Null for a type of somebody else's.
function typeName(type: string): string | null {
  return type === BLANK ? BLANK : (/^https?:\/\/[\w.-]+\/(?:\d\/)?problems\/([\w-]{1,64})\/?$/.exec(type)?.[1] ?? null)
}

// On one line of a log or an answer, and of a title's length; without what an answer may have
// repeated.
function printable(title: string): string {
  return redactText(title.replaceAll(/[\p{C}\s]+/gu, ' ').trim()).slice(0, 100)
}
