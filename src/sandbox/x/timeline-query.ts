import type { StoredTweet } from '../state.ts'
import { invalidRequest, type Problem } from './problem-format.ts'

/**
 * Returns a page of a user's tweets, newest first (docs.x.com, "Get Posts by User": max_results,
 * times, ids, pagination).
 */
export type TimelinePage = {
  tweets: StoredTweet[]
  meta: { result_count: number; newest_id?: string; oldest_id?: string; next_token?: string; previous_token?: string }
}

const TOKEN_PREFIX = 'sandboxpage'

export function readPage(query: URLSearchParams, all: StoredTweet[]): TimelinePage | Problem {
  const size = readNumber(query, 'max_results', 10)
  if (size === null || size < 5 || size > 100) {
    return refuse('max_results', query, `is not between 5 and 100`)
  }
  const startTime = readTime(query, 'start_time')
  if (startTime === null) return refuse('start_time', query, 'is not a valid date-time')
  const endTime = readTime(query, 'end_time')
  if (endTime === null) return refuse('end_time', query, 'is not a valid date-time')
  for (const name of ['since_id', 'until_id']) {
    if (query.has(name) && !/^[0-9]{1,19}$/.test(query.get(name) ?? '')) return refuse(name, query, 'is not valid')
  }
  const offset = readPaginationToken(query.get('pagination_token'))
  if (offset === null) return refuse('pagination_token', query, 'is not valid')

  const sinceId = query.get('since_id')
  const untilId = query.get('until_id')
  const withoutReplies = (query.get('exclude') ?? '').split(',').includes('replies')
  const matching = all.filter(
    (tweet) =>
      (startTime === undefined || tweet.createdAt >= startTime) &&
      (endTime === undefined || tweet.createdAt < endTime) &&
      (sinceId === null || BigInt(tweet.id) > BigInt(sinceId)) &&
      (untilId === null || BigInt(tweet.id) < BigInt(untilId)) &&
      !(withoutReplies && tweet.inReplyToTweetId !== null),
  )
  const tweets = matching.slice(offset, offset + size)
  const newest = tweets[0]
  const oldest = tweets.at(-1)
  return {
    tweets,
    meta: {
      result_count: tweets.length,
      ...(newest === undefined ? {} : { newest_id: newest.id }),
      ...(oldest === undefined ? {} : { oldest_id: oldest.id }),
      ...(offset + size < matching.length ? { next_token: paginationToken(offset + size) } : {}),
      ...(offset > 0 ? { previous_token: paginationToken(Math.max(0, offset - size)) } : {}),
    },
  }
}

function readNumber(query: URLSearchParams, name: string, fallback: number): number | null {
  const text = query.get(name)
  if (text === null) return fallback
  return /^\d{1,6}$/.test(text) ? Number(text) : null
}

// undefined: absent; null: invalid. X accepts ISO 8601 in UTC with seconds.
function readTime(query: URLSearchParams, name: string): number | null | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text)) return null
  const time = Date.parse(text)
  return Number.isNaN(time) ? null : time
}

function paginationToken(offset: number): string {
  return Buffer.from(`${TOKEN_PREFIX}${offset}`).toString('hex')
}

function readPaginationToken(token: string | null): number | null {
  if (token === null) return 0
  const text = Buffer.from(token, 'hex').toString('latin1')
  const offset = text.startsWith(TOKEN_PREFIX) ? text.slice(TOKEN_PREFIX.length) : ''
  return /^\d{1,9}$/.test(offset) ? Number(offset) : null
}

function refuse(name: string, query: URLSearchParams, because: string): Problem {
  const value = query.get(name) ?? ''
  return invalidRequest(`The \`${name}\` query parameter value [${value}] ${because}`, { [name]: [value] })
}
